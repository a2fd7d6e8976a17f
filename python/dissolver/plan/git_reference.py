"""Git repositories in ADD and as contexts: which repository, which commit, which part."""

from __future__ import annotations

from typing import Literal

import msgspec

ModificationTimes = Literal["checkout", "commit"]
"""What files of a checkout get as their time: that of the checkout, or of the commit."""


class GitReference(msgspec.Struct, frozen=True):
    """A repository and what of it is meant.

    ``remote`` is what git is given: a URL without fragment and without the query
    parameters that are for the builder, or ``user@host:path``. ``ref`` is a branch, a tag
    or a commit (empty: the remote's default branch), ``subdirectory`` the only part
    that is taken (empty: all). ``checksum`` is the beginning of the commit's ID that the
    ref must lead to. ``is_unencrypted`` marks ``git://`` and ``http://``.
    """

    remote: str
    name: str
    ref: str = ""
    subdirectory: str = ""
    checksum: str | None = None
    keeps_git_directory: bool | None = None
    has_submodules: bool = True
    modification_times: ModificationTimes = "checkout"
    fetches_by_commit: bool = False
    is_unencrypted: bool = False
