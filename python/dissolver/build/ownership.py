"""Who owns what a step makes: the text of ``--chown`` or USER, looked up where it lands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.errors import BuildError, RunError

if TYPE_CHECKING:
    from dissolver._core.layer import View
    from dissolver.errors import Where

# The kernel's own limit: 2^32 - 1 means "leave it".
_HIGHEST_ID = 2**32 - 2


def resolve_owner(text: str, view: View, where: Where) -> tuple[int, int]:
    """Answer the user and group that ``--chown=text``, or a USER, means on top of ``view``.

    A number alone is both; a name alone brings its primary group, also in front of an
    empty one; ``root`` is 0 everywhere, and so is an empty user. Names are looked up in the
    image's own ``/etc/passwd`` and ``/etc/group``.

    Raises:
        BuildError: a name that the image does not know. (BuildKit makes the files
            root's without a word.)
    """
    from dissolver.sandbox.users import resolve_user

    user, _, group = text.partition(":")
    if not group and _is_number(user):
        return int(user), int(user)
    if all(part in ("", "root") or _is_number(part) for part in (user, group)):
        return _number(user), _number(group)
    known = [
        ("0" if part in ("", "root") else part) for part in ((user, group) if group else (user,))
    ]
    try:
        found = resolve_user(":".join(known), view)
    except RunError as error:
        hint = error.hint or "create it in an earlier RUN step, or use a numeric ID"
        raise BuildError(error.message, hint=hint, where=where) from error
    return found.uid, found.gid


def _is_number(text: str) -> bool:
    # Python refuses to read numbers of thousands of digits.
    is_short = len(text.lstrip("0")) <= len(str(_HIGHEST_ID))
    return text.isascii() and text.isdecimal() and is_short and int(text) <= _HIGHEST_ID


def _number(text: str) -> int:
    return int(text) if _is_number(text) else 0
