"""Git repositories in ADD and as contexts: a commit, checked out by the `git` program.

Nothing of the caller's own configuration of git plays a part, so a commit gives the
same files wherever it is built. What a repository says is not trusted: no hook runs, no
submodule is taken from this machine's files or from a program, and no name that a server
or a Dockerfile gives is read as an option.
"""

from __future__ import annotations

import base64
import os
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dissolver.build.fetched_files import find_files, keep_files, key_of
from dissolver.errors import BuildError, Cancelled
from dissolver.plan.credentials import basic_authorization, split_credentials
from dissolver.plan.git_reference import is_ref
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dissolver.build.events import OpenVertex
    from dissolver.plan.git_reference import GitReference
    from dissolver.store import Store

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,39}")
_REDIRECTED = re.compile(r"returned error: 30\d")
_POLL_SECONDS = 0.05
_USER = "x-access-token"
"""The user name that goes with a token: what GitHub expects, and others accept."""

PROTOCOLS = ("http", "https", "git", "ssh")
"""How repositories, and their submodules, are reached."""

PASSED_ON = (
    "PATH", "LANG", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""Variables of the caller that git gets."""

PASSED_ON_WITH_KEYS = ("HOME", "GIT_SSH_COMMAND")
"""Those that lead to what the caller logs in with, and git gets where that is lent."""

_NO_SSH = ("http://", "https://", "git://")


@dataclass(frozen=True, slots=True)
class Git:
    """How git is run: the caller's variables, an agent for SSH, and secrets.

    `GIT_AUTH_TOKEN` and `GIT_AUTH_HEADER` among the secrets, with `.host` at their end
    for one host alone, are sent to HTTP servers that are asked; without these, it is
    ``credentials``, which a URL had before its host. Git is given the URL without them, so
    that they are neither in what it writes nor in what it says.

    ``lends_keys`` lets SSH log in with what the caller has besides ``agent``: the keys of the
    home directory, or `GIT_SSH_COMMAND`. Without it a Dockerfile, or the submodule of somebody
    else's repository, could have the caller's private ones fetched.
    """

    environment: Mapping[str, str]
    agent: Callable[[], str | None]
    secrets: Mapping[str, bytes] = field(repr=False)
    is_cancelled: Callable[[], bool]
    credentials: str = field(default="", repr=False)
    lends_keys: bool = False

    def run(self, directory: Path, *words: str, remote: str = "") -> str:
        """Run git in a directory, and answer what it printed.

        Raises:
            BuildError: it is not installed, or failed; its last line says why.
            Cancelled: the build was cancelled meanwhile.
        """
        import subprocess

        from dissolver.network.programs import find_program

        program = find_program("git")
        if program is None:
            raise BuildError("`git` is not installed", hint="install `git`")
        process = subprocess.Popen(
            [program, *words],
            cwd=directory,
            env=self._environment(remote),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            umask=0o022,
        )
        with _ended_with(process, self.is_cancelled):
            output, complaints = process.communicate()
        if self.is_cancelled():
            raise Cancelled("the build was cancelled")
        if process.returncode != 0:
            raise GitFailed(f"`git {words[0]}` failed: {_last_line(complaints)}")
        return output.decode("utf-8", "surrogateescape")

    def _environment(self, remote: str) -> dict[str, str]:
        home = self.environment.get("HOME", "/")
        known = Path(home) / ".ssh" / "known_hosts"
        names = (*PASSED_ON, *(PASSED_ON_WITH_KEYS if self.lends_keys else ()))
        passed = {name: self.environment[name] for name in names if name in self.environment}
        settings = {
            "core.hooksPath": "/dev/null",
            # Files of this machine and `ext::`, which is a program, are none of these.
            "protocol.allow": "never",
            **{f"protocol.{name}.allow": "always" for name in PROTOCOLS},
            "core.fsmonitor": "false",
            "core.attributesFile": "/dev/null",
            "advice.detachedHead": "false",
            "init.defaultBranch": "main",
            "gc.auto": "0",
        }
        header = self._authorization(remote)
        if header is not None:
            settings[f"http.{_server(remote)}.extraHeader"] = f"Authorization: {header}"
            # Git goes on where a redirect led, and takes the header along.
            settings["http.followRedirects"] = "false"
        # As variables, because other users can read the words of a program.
        pairs = {
            f"GIT_CONFIG_{what}_{number}": text
            for number, pair in enumerate(settings.items())
            for what, text in zip(("KEY", "VALUE"), pair, strict=True)
        }
        agent = self.agent()
        keys = "" if self.lends_keys else " -o IdentityFile=none"
        return {
            "GIT_SSH_COMMAND": "ssh -F /dev/null -o BatchMode=yes "
            f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={known}{keys}",
            # What is there for servers (`.netrc`) is for nobody who was not named.
            "HOME": "/dev/null",
            **passed,
            **({"SSH_AUTH_SOCK": agent} if agent else {}),
            **pairs,
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }

    def _authorization(self, remote: str) -> str | None:
        if not remote.startswith(("http://", "https://")):
            return None
        host = remote.partition("://")[2].partition("/")[0]
        for suffix in (f".{host}", ""):
            header = self.secrets.get(f"GIT_AUTH_HEADER{suffix}")
            if header is not None:
                return header.decode("latin-1").strip()
            token = self.secrets.get(f"GIT_AUTH_TOKEN{suffix}")
            if token is not None:
                pair = f"{_USER}:{token.decode('latin-1').strip()}"
                return f"basic {base64.b64encode(pair.encode('latin-1')).decode()}"
        return basic_authorization(self.credentials) if self.credentials else None


class GitFailed(BuildError):
    """Git ended with another code than 0."""


def fetch_git(
    store: Store,
    git: Git,
    reference: GitReference,
    *,
    checksum: str | None,
    keeps_git_directory: bool,
    vertex: OpenVertex,
    build: str,
) -> str:
    """Check out what ``reference`` means, and answer the layer that holds its files.

    A commit that was checked out before is not fetched again, and a full commit ID is
    not even asked for. ``checksum`` is the beginning of the ID that it must have.

    Raises:
        BuildError: there is no such repository, ref or directory, or it is another commit.
    """
    address, credentials = split_credentials(reference.remote)
    git = replace(git, credentials=credentials)
    reference = msgspec.structs.replace(reference, remote=address)
    with store.workspace() as directory:
        with vertex.status(f"resolving {reference.remote}"):
            commit, ref = _resolve(git, directory, reference)
        if checksum is not None and not commit.startswith(checksum):
            raise BuildError(
                f"`{reference.remote}` has the commit `{commit}`, and not `{checksum}`",
                hint="the ref was moved, or the checksum is for another one",
            )
        key = key_of(
            "git",
            reference.remote,
            commit,
            reference.subdirectory,
            str(keeps_git_directory),
            str(reference.has_submodules),
            reference.modification_times,
            # What is kept of `.git` names the ref.
            ref if keeps_git_directory else "",
        )
        known = find_files(store, key, build)
        if known is not None:
            return known.diff_id
        work = directory / "work"
        with vertex.status(f"fetching {commit}"):
            _check_out(git, work, reference, commit, ref)
        top = _part(work, reference)
        if reference.modification_times == "commit":
            _set_times(work, int(git.run(work, "log", "-1", "--format=%ct", commit).strip()))
        return keep_files(
            store,
            top,
            key=key,
            kind="git",
            build=build,
            inputs=(("commit", commit),),
            without=() if keeps_git_directory else (".git", "**/.git"),
        )


def needs_ssh(remote: str) -> bool:
    """Tell whether a repository is reached by SSH."""
    return not remote.startswith(_NO_SSH)


def _resolve(git: Git, directory: Path, reference: GitReference) -> tuple[str, str]:
    """Find the commit, and the ref that leads to it where one does."""
    wanted = reference.ref
    if _COMMIT.fullmatch(wanted):
        return wanted, ""
    asked = ("HEAD",) if not wanted else (wanted, f"{wanted}^{{}}")
    try:
        words = ("ls-remote", "--", reference.remote, *asked)
        listed = git.run(directory, *words, remote=reference.remote)
    except GitFailed as error:
        is_elsewhere = _REDIRECTED.search(error.message) is not None
        raise BuildError(
            f"cannot reach the repository `{reference.remote}`: {error.message}",
            hint="credentials follow no redirect: name the server that it leads to"
            if is_elsewhere
            else None,
        ) from error
    lines = [line.partition("\t") for line in listed.splitlines()]
    # What a server says becomes words for git: commits and refs, and nothing else.
    found = {
        name: commit
        for commit, _, name in lines
        if _COMMIT.fullmatch(commit)
        and (name == "HEAD" or (name.startswith("refs/") and is_ref(name.removesuffix("^{}"))))
    }
    if not wanted:
        candidates = ["HEAD"]
    else:
        plain = wanted.removeprefix("refs/")
        # Branches first, as `git checkout` would; of a tag with a message, what it stands on.
        names = (wanted, f"refs/{plain}", f"refs/heads/{wanted}", f"refs/tags/{wanted}")
        candidates = [name + end for name in names for end in ("^{}", "")]
    for name in candidates:
        if name in found:
            return found[name], name.removesuffix("^{}")
    hint = "write the whole ID of a commit" if _SHORT_COMMIT.fullmatch(wanted) else None
    raise BuildError(f"`{reference.remote}` has no ref `{wanted or 'HEAD'}`", hint=hint)


def _check_out(git: Git, work: Path, reference: GitReference, commit: str, ref: str) -> None:
    work.mkdir()
    remote = reference.remote
    # No templates: they may hold hooks.
    git.run(work, "init", "-q", "--template=")
    git.run(work, "remote", "add", "--", "origin", remote)
    _fetch(git, work, remote, commit, "" if reference.fetches_by_commit else ref)
    git.run(work, "checkout", "-q", commit)
    if reference.has_submodules and (work / ".gitmodules").exists():
        words = ("submodule", "update", "--init", "--recursive", "--depth=1")
        git.run(work, *words, remote=remote)


def _fetch(git: Git, work: Path, remote: str, commit: str, ref: str) -> None:
    """Fetch one commit, with as little of its history as the server allows."""
    attempts: list[Sequence[str]] = [("--depth=1", "origin", ref)] if ref else []
    attempts += [
        ("--depth=1", "origin", commit),
        ("--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"),
    ]
    failure: GitFailed | None = None
    for words in attempts:
        try:
            how, *what = words
            options = ("-q", "--no-recurse-submodules", how, "--")
            git.run(work, "fetch", *options, *what, remote=remote)
            git.run(work, "cat-file", "-e", f"{commit}^{{commit}}")
        except GitFailed as error:
            failure = error
            continue
        return
    raise BuildError(
        f"cannot fetch the commit `{commit}` of `{remote}`: {failure}",
        hint="it may not be part of any branch or tag",
    )


def _part(work: Path, reference: GitReference) -> Path:
    """Find the wanted part of a checkout; links in it do not lead out."""
    from dissolver.dockerfile.ignore import clean_path

    inside = clean_path(f"/{reference.subdirectory}").lstrip("/")
    place = (work / inside).resolve()
    if not place.is_dir() or not place.is_relative_to(work.resolve()):
        raise BuildError(
            f"`{reference.remote}` has no directory `{reference.subdirectory}`",
            hint="the part behind the `:` is a path from the top of the repository",
        )
    return place


def _set_times(work: Path, seconds: int) -> None:
    with explained("set the times of the checkout"):
        for base, directories, files in os.walk(work):
            for name in (*directories, *files, "."):
                os.utime(Path(base) / name, (seconds, seconds), follow_symlinks=False)


def _server(remote: str) -> str:
    scheme, _, rest = remote.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/"


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines()]
    told = [line for line in lines if line]
    fatal = [line.removeprefix("fatal: ") for line in told if line.startswith("fatal: ")]
    return (fatal or told or ["it said nothing"])[-1].rstrip(".")


@contextmanager
def _ended_with(process: object, is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """End a process, and what it started, when the build is cancelled."""
    import signal
    import subprocess

    assert isinstance(process, subprocess.Popen)  # noqa: S101 - imported late
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            if is_cancelled():
                os.killpg(process.pid, signal.SIGTERM)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        over.set()
        watcher.join()
