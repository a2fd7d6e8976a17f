"""COPY and ADD: sources, destination, owner and mode."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from dissolver.dockerfile.ast import Add, Copy, Heredoc, Transfer, Word
from dissolver.dockerfile.expand import expand_document
from dissolver.dockerfile.ignore import clean_path
from dissolver.errors import BadDigest, DockerfileError
from dissolver.image.digest import parse_digest
from dissolver.plan import history
from dissolver.plan.credentials import redacted
from dissolver.plan.git_reference import GitReference, parse_git_reference
from dissolver.plan.modes import FileMode, parse_mode
from dissolver.plan.origins import Origin
from dissolver.plan.scope import Scope, joined_path, refuse_nul
from dissolver.plan.sources import AddSource, GitSource, LocalSource, UrlSource
from dissolver.plan.steps import AddStep, CopyStep, InlineFile

DOCUMENT_MODE = 0o644
"""The mode of files that the Dockerfile holds, where ``--chmod`` says nothing else."""

PIVOT = "/./"
"""What separates the directories that ``--parents`` leaves out from those it keeps."""

UNNAMED = "__unnamed__"
"""What a file is called whose URL has no name: BuildKit's word."""


def lower_copy(copy: Copy, scope: Scope, origin: Origin) -> CopyStep:
    """Turn a COPY into its step.

    Raises:
        DockerfileError: a word cannot be expanded, a source is a URL, or the mode is wrong.
    """
    words = _Words(copy, scope)
    for word, source in zip(copy.sources, words.sources, strict=True):
        _refuse_remote(copy, word, source)
    rooted = [_rooted(source, has_pivot=copy.keeps_parents) for source in words.sources]
    return CopyStep(
        where=copy.where,
        display=scope.display(copy.statement.text),
        created_by=words.history("COPY", parents=copy.keeps_parents),
        config=scope.run,
        sources=tuple(path for path, _ in rooted),
        destination=words.destination,
        from_=origin,
        parents=copy.keeps_parents,
        pivots=tuple(pivot for _, pivot in rooted) if copy.keeps_parents else (),
        chown=words.chown or None,
        chmod=words.mode,
        link=copy.is_linked,
        excludes=words.excludes,
        documents=words.documents,
    )


def lower_add(add: Add, scope: Scope) -> AddStep:
    """Turn an ADD into its step.

    Raises:
        DockerfileError: a word cannot be expanded, the mode is wrong, or a checksum does
            not fit what it is for.
    """
    words = _Words(add, scope)
    checksum = scope.expand(add, add.checksum) if add.checksum is not None else None
    if checksum and len(words.sources) != 1:
        raise DockerfileError(
            "checksum can't be specified for multiple sources", where=add.where_of(add.checksum)
        )
    return AddStep(
        where=add.where,
        display=redacted(scope.display(add.statement.text)),
        created_by=redacted(words.history("ADD")),
        config=scope.run,
        sources=tuple(
            _source(add, word, text, checksum or None)
            for word, text in zip(add.sources, words.sources, strict=True)
        ),
        destination=words.destination,
        chown=words.chown or None,
        chmod=words.mode,
        link=add.is_linked,
        excludes=words.excludes,
        documents=words.documents,
    )


class _Words:
    """The words of a COPY or ADD, expanded, and the values that both make of them."""

    def __init__(self, transfer: Transfer, scope: Scope) -> None:
        self.sources = [scope.expand(transfer, word) for word in transfer.sources]
        self._written = scope.expand(transfer, transfer.destination)
        refuse_nul(transfer, (*self.sources, self._written))
        self.destination = _destination(scope.directory, self._written)
        self.chown = scope.expand(transfer, transfer.chown) if transfer.chown is not None else ""
        self._chmod = scope.expand(transfer, transfer.chmod) if transfer.chmod is not None else ""
        self.mode = _mode(transfer, self._chmod) if self._chmod else None
        self.excludes = tuple(word.text for word in transfer.excludes)
        self.documents = tuple(_document(transfer, heredoc, scope) for heredoc in transfer.heredocs)

    def history(self, keyword: str, *, parents: bool = False) -> str:
        """Return the text of the step in the history."""
        sources = (*self.sources, *(f"<<{document.path}" for document in self.documents))
        return history.transfer_text(
            keyword, sources, self._written, chown=self.chown, chmod=self._chmod, parents=parents
        )


def _document(transfer: Transfer, heredoc: Heredoc, scope: Scope) -> InlineFile:
    """Make a file of a heredoc; variables are replaced unless its name was quoted."""
    content = heredoc.content
    if heredoc.expands:
        try:
            content = expand_document(content, scope.env)
        except DockerfileError as error:
            error.where = transfer.statement.source.where(heredoc.line, heredoc.end_line)
            raise
    if "/" in heredoc.name or heredoc.name in (".", ".."):
        raise DockerfileError(
            f"`{heredoc.name}` cannot be the name of a file",
            where=transfer.where,
            hint="a heredoc is copied to a file that is called as it is",
        )
    return InlineFile(heredoc.name, content, DOCUMENT_MODE)


def _destination(directory: str, written: str) -> str:
    """Return the absolute destination; what can only be a directory ends with a slash."""
    path = clean_path(joined_path(directory, written))
    names_directory = written in ("", ".", "..") or written.endswith(("/", "/.", "/.."))
    return f"{path}/" if names_directory and path != "/" else path


def _rooted(source: str, *, has_pivot: bool) -> tuple[str, str]:
    """Return a source as a clean path of its origin, and the part in front of its pivot."""
    front, found, rest = source.partition(PIVOT)
    if not (has_pivot and found):
        return clean_path(f"/{source}"), "/"
    pivot = clean_path(f"/{front}")
    # What climbs out behind the pivot ends at the pivot.
    kept = clean_path(f"/{rest}")
    return clean_path(pivot + kept), pivot


def _source(add: Add, word: Word, text: str, checksum: str | None) -> AddSource:
    """Tell what kind of source a word of ADD is."""
    reference = _git_reference(add, word, text)
    if reference is not None:
        return _git_source(add, reference, checksum)
    if text.startswith(("http://", "https://")):
        return UrlSource(text, _file_name(text), _digest(add, checksum), add.unpacks or False)
    if checksum is not None:
        raise DockerfileError(
            "checksum requires HTTP(S) or Git sources", where=add.where_of(add.checksum)
        )
    path, _ = _rooted(text, has_pivot=False)
    return LocalSource(path, True if add.unpacks is None else add.unpacks)


def _git_source(add: Add, reference: GitReference, checksum: str | None) -> GitSource:
    asked, queried = add.keeps_git_directory, reference.keeps_git_directory
    if asked is not None and queried is not None and asked != queried:
        raise DockerfileError("inconsistent keep-git-dir configuration", where=add.where)
    expected = reference.checksum
    if checksum and expected and checksum != expected:
        raise DockerfileError(
            f"checksum mismatch: `{checksum}` and `{expected}`", where=add.where_of(add.checksum)
        )
    keeps = queried if asked is None else asked
    return GitSource(reference, keeps or False, checksum or expected)


def _git_reference(transfer: Transfer, word: Word, text: str) -> GitReference | None:
    try:
        return parse_git_reference(text)
    except DockerfileError as error:
        error.where = transfer.where_of(word)
        raise


def _file_name(url: str) -> str:
    """Return the last part of a URL's path, which may be no way out of a directory."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return UNNAMED
    name = clean_path(path).rpartition("/")[2] if path else ""
    return UNNAMED if name in ("", ".", "..") or "\0" in name else name


def _digest(add: Add, checksum: str | None) -> str | None:
    if checksum is None:
        return None
    try:
        return parse_digest(checksum)
    except BadDigest as error:
        error.where = add.where_of(add.checksum)
        raise


def _refuse_remote(copy: Copy, word: Word, source: str) -> None:
    if _git_reference(copy, word, source) is not None:
        what = "git ref"
    elif source.startswith(("http://", "https://")):
        what = "URL"
    else:
        return
    raise DockerfileError(
        f"source can't be a {what} for `COPY`",
        where=copy.where_of(word),
        hint="`ADD` takes URLs and git repositories",
    )


def _mode(transfer: Transfer, text: str) -> FileMode:
    mode = parse_mode(text)
    if mode is None:
        raise DockerfileError(
            f"invalid chmod parameter `{text}`",
            where=transfer.where_of(transfer.chmod),
            hint="it is an octal number up to 07777, or symbolic as `u=rwX,go=rX`",
        )
    return mode
