"""ADD, and what COPY has beyond plain files: links, parents, exclusions, documents."""

from __future__ import annotations

import pytest

from dissolver.errors import BadDigest, DissolverError
from dissolver.plan.git_reference import GitReference
from dissolver.plan.modes import ModeProgram
from dissolver.plan.sources import AddSource, GitSource, LocalSource, UrlSource
from dissolver.plan.steps import AddStep, CopyStep, InlineFile
from plan.planning import failure_of, lower

REPOSITORY = "https://h/a.git"
DIGEST = "sha256:" + "0" * 64


def add(line: str) -> AddStep:
    step = lower(f"FROM image\nWORKDIR /w\nENV A=1 URL=https://h/x E=\n{line}").steps[-1]
    assert isinstance(step, AddStep)
    return step


def copy(line: str) -> CopyStep:
    step = lower(f"FROM image AS b\nWORKDIR /w\nENV A=1 E=\n{line}").steps[-1]
    assert isinstance(step, CopyStep)
    return step


SOURCES: list[tuple[str, tuple[AddSource, ...]]] = [
    ("a /x", (LocalSource("/a"),)),
    ("../a ./b/ *.tar /x/", (LocalSource("/a"), LocalSource("/b"), LocalSource("/*.tar"))),
    ("a$A /x", (LocalSource("/a1"),)),
    ("--unpack a /x", (LocalSource("/a"),)),
    ("--unpack=false a /x", (LocalSource("/a", unpacks=False),)),
    ("https://h/a /x", (UrlSource("https://h/a", "a"),)),
    ("http://h/p/a.tar.gz?q=1#f /x/",
     (UrlSource("http://h/p/a.tar.gz?q=1#f", "a.tar.gz"),)),
    ("https://h/p/a/ /x/", (UrlSource("https://h/p/a/", "a"),)),
    ("https://h/a%20b /x/", (UrlSource("https://h/a%20b", "a b"),)),
    ("https://h/a%2Fb /x/", (UrlSource("https://h/a%2Fb", "b"),)),
    ("https://h /x/", (UrlSource("https://h", "__unnamed__"),)),
    ("https://h/ /x/", (UrlSource("https://h/", "__unnamed__"),)),
    ("https://h/.. /x/", (UrlSource("https://h/..", "__unnamed__"),)),
    ("https://h/%2e%2e /x/", (UrlSource("https://h/%2e%2e", "__unnamed__"),)),
    ("https://[bad/a /x/", (UrlSource("https://[bad/a", "__unnamed__"),)),
    ("$URL/y.zip /x/", (UrlSource("https://h/x/y.zip", "y.zip"),)),
    ("--unpack https://h/a /x", (UrlSource("https://h/a", "a", unpacks=True),)),
    (f"--checksum={DIGEST} https://h/a /x", (UrlSource("https://h/a", "a", DIGEST),)),
    ("--checksum=$E a /x", (LocalSource("/a"),)),
    ("HTTPS://h/a /x", (LocalSource("/HTTPS:/h/a"),)),
    (f"{REPOSITORY} /x", (GitSource(GitReference(REPOSITORY, "a")),)),
    (f"{REPOSITORY}#v$A:s /x", (GitSource(GitReference(REPOSITORY, "a", "v1", "s")),)),
    ("git@h:a.git /x", (GitSource(GitReference("git@h:a.git", "a")),)),
    ("github.com/a/b.git /x", (LocalSource("/github.com/a/b.git"),)),
    (f"--keep-git-dir {REPOSITORY} /x", (GitSource(GitReference(REPOSITORY, "a"), True),)),
    (f"--keep-git-dir=false {REPOSITORY} /x", (GitSource(GitReference(REPOSITORY, "a")),)),
    (f"{REPOSITORY}?keep-git-dir /x",
     (GitSource(GitReference(REPOSITORY, "a", keeps_git_directory=True), True),)),
    (f"--checksum=abc {REPOSITORY} /x",
     (GitSource(GitReference(REPOSITORY, "a"), checksum="abc"),)),
    (f"--checksum=abc {REPOSITORY}?commit=abc /x",
     (GitSource(GitReference(REPOSITORY, "a", "abc", checksum="abc"), checksum="abc"),)),
    (f"a https://h/b {REPOSITORY} /x/",
     (LocalSource("/a"), UrlSource("https://h/b", "b"), GitSource(GitReference(REPOSITORY, "a")))),
    ('["a b", "/x"]', (LocalSource("/a b"),)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "sources"), SOURCES)
def test_sources_of_add_are_told_apart(line: str, sources: tuple[AddSource, ...]) -> None:
    assert add(f"ADD {line}").sources == sources


FAULTS = [
    ("ADD --checksum=abc a b /x", "checksum can't be specified for multiple sources"),
    (f"ADD --checksum={DIGEST} a /x", "checksum requires HTTP(S) or Git sources"),
    (f"ADD --keep-git-dir=false {REPOSITORY}?keep-git-dir /x",
     "inconsistent keep-git-dir configuration"),
    (f"ADD --checksum=abc {REPOSITORY}?commit=def /x", "checksum mismatch: `abc` and `def`"),
    (f"ADD {REPOSITORY}?nope=1 /x", "unexpected query `nope`"),
    ("ADD --from=a b /x", "unknown flag `--from` of `ADD`"),
    ("COPY --checksum=a b /x", "unknown flag `--checksum` of `COPY`"),
    ("COPY --unpack a /x", "unknown flag `--unpack` of `COPY`"),
    ("COPY https://h/a /x", "source can't be a URL for `COPY`"),
    (f"COPY {REPOSITORY} /x", "source can't be a git ref for `COPY`"),
    ("COPY git@h:a /x", "source can't be a git ref for `COPY`"),
    (f"COPY {REPOSITORY}?nope=1 /x", "unexpected query `nope`"),
    ("ADD --chmod=9 a /x", "invalid chmod parameter `9`"),
    ("COPY <<a/b /x\n1\na/b", "`a/b` cannot be the name of a file"),
    ("COPY <<.. /x\n1\n..", "`..` cannot be the name of a file"),
    ("COPY <<E /x\n${V:?gone}\nE", "`V`: gone"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), FAULTS)
def test_mistakes_are_named_with_their_place(line: str, message: str) -> None:
    error = failure_of(lambda: lower(f"FROM image\n{line}"))
    assert error is not None
    assert error.message == message
    assert error.where is not None
    assert error.where.line >= 2


def test_a_checksum_of_a_url_is_a_digest() -> None:
    error = failure_of(lambda: add("ADD --checksum=abc https://h/a /x"))
    assert isinstance(error, BadDigest)
    assert error.where is not None


PIVOTS = [
    ("a/b c /x/", ("/a/b", "/c"), ("/", "/")),
    ("./a/./b/c /x/", ("/a/b/c",), ("/a",)),
    ("a/././b /x/", ("/a/b",), ("/a",)),
    ("/./a /x/", ("/a",), ("/",)),
    ("./ /x/", ("/",), ("/",)),
    (". /x/", ("/",), ("/",)),
    ("a/./../b /x/", ("/a/b",), ("/a",)),
    ("a*/./**/c.py /x/", ("/a*/**/c.py",), ("/a*",)),
    ("../a/./b /x/", ("/a/b",), ("/a",)),
]


@pytest.mark.parametrize(("words", "sources", "pivots"), PIVOTS)
def test_parents_begin_at_a_pivot(
    words: str, sources: tuple[str, ...], pivots: tuple[str, ...]
) -> None:
    step = copy(f"COPY --parents {words}")
    assert (step.sources, step.pivots, step.parents) == (sources, pivots, True)


def test_without_parents_there_are_no_pivots() -> None:
    step = copy("COPY a/./b /x/")
    assert (step.sources, step.pivots, step.parents) == (("/a/b",), (), False)


FLAGS = [
    ("--link", {"link": True}),
    ("--link=false", {"link": False}),
    ("--exclude=*.o --exclude=!a.o", {"excludes": ("*.o", "!a.o")}),
    ("--exclude=$A", {"excludes": ("$A",)}),
    ("--chown=$A:2", {"chown": "1:2"}),
    ("--chmod=0755", {"chmod": 0o755}),
]


@pytest.mark.parametrize(("flags", "fields"), FLAGS)
@pytest.mark.parametrize("keyword", ["COPY", "ADD"])
def test_flags_of_both(keyword: str, flags: str, fields: dict[str, object]) -> None:
    step = (copy if keyword == "COPY" else add)(f"{keyword} {flags} a /x")
    assert {name: getattr(step, name) for name in fields} == fields


def test_a_mode_may_be_symbolic_and_hold_variables() -> None:
    step = lower("FROM a\nENV M=g+w\nCOPY --chmod=u=rwX,$M a /x").steps[-1]
    assert isinstance(step, CopyStep)
    assert isinstance(step.chmod, ModeProgram)
    assert step.chmod.text == "u=rwX,g+w"


DOCUMENTS = [
    ("COPY <<a.txt /x\nhi $A\na.txt", ("a.txt", "hi 1\n")),
    ("COPY <<'E' /x\nhi $A \\$\nE", ("E", "hi $A \\$\n")),
    ('COPY <<"E" /x\n$A\nE', ("E", "$A\n")),
    ("COPY <<E /x\n'$A' \"$A\" \\$A \\\\ \\n\nE", ("E", "'1' \"1\" $A \\ n\n")),
    ("COPY <<-E /x\n\t\ta\n\t b\n\tE", ("E", "a\n b\n")),
    ("COPY <<E /x\n${B:-none}${B}\nE", ("E", "none\n")),
    ("COPY <<E /x\nE", ("E", "")),
    ("COPY << E /x\na\nE", ("E", "a\n")),
    ("COPY <<E /x\n# no comment\n\\\nE", ("E", "# no comment\n\n")),
]


@pytest.mark.parametrize(("line", "document"), DOCUMENTS)
def test_documents_are_files(line: str, document: tuple[str, str]) -> None:
    step = copy(line)
    assert step.documents == (InlineFile(*document, 0o644),)
    assert step.sources == ()


def test_documents_come_after_files_and_may_be_several() -> None:
    step = add("ADD a <<one b <<two /x/\n1\none\n2\ntwo")
    assert [document.path for document in step.documents] == ["one", "two"]
    assert step.sources == (LocalSource("/a"), LocalSource("/b"))
    assert step.created_by == "ADD a b <<one <<two /x/ # buildkit"
    assert step.destination == "/x/"


TEXTS = [
    ("ADD a b /x/", "ADD a b /x/ # buildkit"),
    ("ADD --chown=u --chmod=600 --link --exclude=z a /x",
     "ADD --chown=u --chmod=600 a /x # buildkit"),
    ("ADD $URL /x", "ADD https://h/x /x # buildkit"),
    ("ADD --checksum=abc https://h/a.git#v1 /x", "ADD https://h/a.git#v1 /x # buildkit"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "created_by"), TEXTS)
def test_the_history_tells(line: str, created_by: str) -> None:
    step = add(line)
    assert (step.created_by, step.makes_layer) == (created_by, True)


def test_the_history_of_a_copy_tells_of_parents() -> None:
    step = copy("COPY --parents --chmod=u+x a /x")
    assert step.created_by == "COPY --parents --chmod=u+x a /x # buildkit"


def test_a_mistake_in_a_document_is_shown_where_it_is() -> None:
    error: DissolverError | None = failure_of(lambda: lower("FROM a\nCOPY <<E /x\nok\n${\nE"))
    assert error is not None
    assert error.where is not None
    assert (error.where.line, error.where.end_line) == (3, 5)
