"""What is a git repository, and what of it is meant."""

from __future__ import annotations

import pytest

from dissolver.errors import DockerfileError
from dissolver.plan.git_reference import GitReference, parse_git_reference

HTTPS = "https://example.com/foo.git"

REPOSITORIES = [
    (HTTPS, GitReference(HTTPS, "foo")),
    (f"{HTTPS}#deadbeef", GitReference(HTTPS, "foo", "deadbeef")),
    (f"{HTTPS}#release/1.2", GitReference(HTTPS, "foo", "release/1.2")),
    (f"{HTTPS}#main:sub/dir", GitReference(HTTPS, "foo", "main", "sub/dir")),
    (f"{HTTPS}#:sub", GitReference(HTTPS, "foo", "", "sub")),
    (f"{HTTPS}#", GitReference(HTTPS, "foo")),
    (f"{HTTPS}#a%2Bb", GitReference(HTTPS, "foo", "a+b")),
    ("https://u:p@h/x/y.git", GitReference("https://u:p@h/x/y.git", "y")),
    ("https://h:8443/y.git", GitReference("https://h:8443/y.git", "y")),
    ("HTTPS://h/y.git", GitReference("https://h/y.git", "y")),
    ("http://h/y.git", GitReference("http://h/y.git", "y", is_unencrypted=True)),
    ("git://h/y", GitReference("git://h/y", "y", is_unencrypted=True)),
    ("git://h/y.git#v1", GitReference("git://h/y.git", "y", "v1", is_unencrypted=True)),
    ("ssh://git@h:22/x/y.git", GitReference("ssh://git@h:22/x/y.git", "y")),
    ("ssh://git@h/x/y#v1:z", GitReference("ssh://git@h/x/y", "y", "v1", "z")),
    ("git@h:x/y.git", GitReference("git@h:x/y.git", "y")),
    ("git@h:y", GitReference("git@h:y", "y")),
    ("me_2@h.i:x/y.git#b:s", GitReference("me_2@h.i:x/y.git", "y", "b", "s")),
    ("git@h:x/y.git?branch=b", GitReference("git@h:x/y.git", "y", "refs/heads/b")),
    (f"{HTTPS}?ref=v1&subdir=/s", GitReference(HTTPS, "foo", "v1", "/s")),
    (f"{HTTPS}?ref=v1#v1", GitReference(HTTPS, "foo", "v1")),
    (f"{HTTPS}?tag=v1", GitReference(HTTPS, "foo", "refs/tags/v1")),
    (f"{HTTPS}?tag=refs/tags/v1", GitReference(HTTPS, "foo", "refs/tags/v1")),
    (f"{HTTPS}?branch=x/y", GitReference(HTTPS, "foo", "refs/heads/x/y")),
    (f"{HTTPS}?commit=abc", GitReference(HTTPS, "foo", "abc", checksum="abc")),
    (f"{HTTPS}?checksum=abc", GitReference(HTTPS, "foo", "abc", checksum="abc")),
    (f"{HTTPS}?ref=v1&checksum=abc", GitReference(HTTPS, "foo", "v1", checksum="abc")),
    (f"{HTTPS}?keep-git-dir", GitReference(HTTPS, "foo", keeps_git_directory=True)),
    (f"{HTTPS}?keep-git-dir=1", GitReference(HTTPS, "foo", keeps_git_directory=True)),
    (f"{HTTPS}?keep-git-dir=false", GitReference(HTTPS, "foo", keeps_git_directory=False)),
    (f"{HTTPS}?submodules=0", GitReference(HTTPS, "foo", has_submodules=False)),
    (f"{HTTPS}?submodules", GitReference(HTTPS, "foo")),
    (f"{HTTPS}?mtime=commit", GitReference(HTTPS, "foo", modification_times="commit")),
    (f"{HTTPS}?mtime=checkout", GitReference(HTTPS, "foo")),
    (f"{HTTPS}?fetch-by-commit=true", GitReference(HTTPS, "foo", fetches_by_commit=True)),
    (f"{HTTPS}?subdir=a%2Fb", GitReference(HTTPS, "foo", "", "a/b")),
]


@pytest.mark.parametrize(("text", "reference"), REPOSITORIES)
def test_a_repository_is_read(text: str, reference: GitReference) -> None:
    assert parse_git_reference(text) == reference


OTHERS = [
    "https://example.com/", "https://example.com/foo", "https://example.com/foo.git/",
    "https://example.com/foo.git.bar", "https://example.com/x?y.git", "https://h/#a.git",
    "custom.xyz/a/b.git", "github.com/a/b.git", "./.git", ".git", "../a.git", "a.git", "a b",
    "", "/x@y:z", "a@b", "@h:x", "-oProxy@h:x", "u@-h:x", "ftp://h/a.git", "file:///a.git",
    "https://[bad/x.git", "a:b", "C:\\x", "http:/h/a.git",
]  # fmt: skip


@pytest.mark.parametrize("text", OTHERS)
def test_other_sources_are_no_repositories(text: str) -> None:
    assert parse_git_reference(text) is None


FAULTS = [
    ("?nope=1", "unexpected query `nope`"),
    ("?reff=1", "unexpected query `reff`"),
    ("?ref=a&ref=b", "query `ref` has multiple values"),
    ("?ref=", "query `ref` has no value"),
    ("?ref", "query `ref` has no value"),
    ("?ref=a#b", "ref conflicts: `b` and `a`"),
    ("?subdir=a#b:c", "subdir conflicts: `c` and `a`"),
    ("?tag=a&branch=b", "branch conflicts with tag"),
    ("?tag=a#b", "ref conflicts: `b` and `refs/tags/a`"),
    ("?branch=a&ref=b", "ref conflicts: `b` and `refs/heads/a`"),
    ("?keep-git-dir=maybe", "invalid keep-git-dir value: `maybe`"),
    ("?submodules=2", "invalid submodules value: `2`"),
    ("?mtime=now", "invalid mtime value: `now`"),
    *(
        (f"#{ref}", f"`{ref}` is no name of a branch, a tag or a commit")
        for ref in (
            "--upload-pack=touch /x",
            "-b",
            "a..b",
            "a b",
            "/a",
            "a/",
            ".a",
            "a/.b",
            "a//b",
            "a.lock",
            "a.",
            "@",
            "a@{1}",
            "a~1",
            "a^",
            "a*",
            "a?b",
            "a[b",
            "a\\b",
            "a\x1bb",
        )
    ),
    ("?ref=--upload-pack%3Dx", "`--upload-pack=x` is no name of a branch, a tag or a commit"),
    ("?commit=-x", "`-x` is no name of a branch, a tag or a commit"),
    ("##ref=a", f"`{HTTPS}##ref=a` has two `#` before its ref"),
]


@pytest.mark.parametrize(("rest", "message"), FAULTS)
def test_a_repository_that_makes_no_sense_is_refused(rest: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_git_reference(HTTPS + rest)
    assert caught.value.message == message


def test_a_misspelt_parameter_gets_a_hint() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_git_reference(f"{HTTPS}?subdri=a")
    assert caught.value.hint == "did you mean `subdir`?"


@pytest.mark.parametrize("ref", ["main", "v1.0", "feature/a-b_c", "refs/pull/1/head", "a@b", "é"])
def test_what_git_takes_for_a_ref_is_one(ref: str) -> None:
    found = parse_git_reference(f"{HTTPS}#{ref}")
    assert found is not None
    assert found.ref == ref


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "user@-oProxyCommand=x"])
def test_no_host_is_an_option_for_ssh(host: str) -> None:
    with pytest.raises(DockerfileError, match="a name does not begin with `-`"):
        parse_git_reference(f"ssh://{host}/a.git")
