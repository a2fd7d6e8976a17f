"""Credentials as Docker keeps them: ``config.json``, and the programs that it names.

The file and the programs (``docker-credential-…``) are shared with Docker and with
every tool that reads them; what is in the file beside credentials stays as it is.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dissolver.errors import CredentialsError
from dissolver.registry.endpoints import login_server

FILE = "config.json"
TOKEN_USER = "<token>"  # noqa: S105 - what stands in place of a user name
"""The user name with which helpers keep identity tokens."""

HELPER_SECONDS = 60.0
"""How long a helper may take; some ask the user to unlock a key."""

ANSWER_LIMIT = 1 << 20
"""Longest answer of a helper in bytes; real ones have a few thousand."""

_NOT_FOUND = "credentials not found"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who one is to a registry: a user with a password, or an identity token."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class CredentialStore:
    """The credentials in a directory with Docker's ``config.json``; ``None`` has none."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / FILE

    def find(self, registry: str) -> Credentials | None:
        """Look up what is known for a registry.

        Raises:
            CredentialsError: the file is damaged, or a helper failed.
        """
        config = self._read()
        server = login_server(registry)
        helper = _helper(config, server)
        if helper is not None:
            return _from_helper(helper, server)
        auths = config.get("auths")
        entry = _entry(auths, server) if isinstance(auths, dict) else None
        return None if entry is None else _from_entry(entry, server)

    def keep(self, registry: str, credentials: Credentials) -> Path | None:
        """Keep credentials; answer the file that they are in, if they lie open in it.

        The file is readable for its owner only, and is replaced whole: whoever reads it
        meanwhile sees the old or the new one. Several logins at once are all kept.

        Raises:
            CredentialsError: it cannot be read or written, or a helper failed.
        """
        server = login_server(registry)
        helper = _helper(self._read(), server)
        # An empty entry tells other tools that the helper has something.
        entry: dict[str, str] = {}
        if helper is not None:
            secret = credentials.identity_token or credentials.password
            user = TOKEN_USER if credentials.identity_token else credentials.user
            _ask(helper, "store", {"ServerURL": server, "Username": user, "Secret": secret})
        else:
            text = f"{credentials.user}:{credentials.password}"
            entry["auth"] = base64.b64encode(text.encode()).decode()
            if credentials.identity_token:
                entry["identitytoken"] = credentials.identity_token
        self._change(lambda auths: {**auths, server: entry})
        return self._path if helper is None else None

    def forget(self, registry: str) -> bool:
        """Remove what is known for a registry; tell whether there was anything.

        Raises:
            CredentialsError: the file cannot be read or written, or a helper failed.
        """
        server = login_server(registry)
        helper = _helper(self._read(), server)
        had_secret = False
        if helper is not None:
            had_secret = _from_helper(helper, server) is not None
            if had_secret:
                _ask(helper, "erase", server)
        names = [name for name in self._read().get("auths") or {} if _is_same(name, server)]
        if names:
            self._change(
                lambda auths: {name: one for name, one in auths.items() if name not in names}
            )
        return had_secret or bool(names)

    def _read(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            config = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CredentialsError(
                f"cannot read `{self._path}`: {(error.strerror or str(error)).lower()}"
            ) from None
        except (ValueError, RecursionError):
            # The parser's own words could quote a secret.
            raise CredentialsError(
                f"`{self._path}` is not valid JSON", hint="mend it, or remove it and log in again"
            ) from None
        if not isinstance(config, dict) or not isinstance(config.get("auths", {}), dict | None):
            raise CredentialsError(f"`{self._path}` is no configuration of Docker's")
        return config

    def _change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Change what is known of registries; one process or thread after the other."""
        if self._path is None:
            raise CredentialsError("there is no directory to keep credentials in")
        path = Path(os.path.realpath(self._path))  # a link stays one
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _unwritten(path, error) from None
        try:
            with suppress(OSError):  # Some file systems of networks have no locks.
                fcntl.flock(directory, fcntl.LOCK_EX)
            config = self._read()
            _write(path, {**config, "auths": change(config.get("auths") or {})})
        finally:
            os.close(directory)


def _write(path: Path, config: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(config, file, indent="\t")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> CredentialsError:
    return CredentialsError(f"cannot write `{path}`: {(error.strerror or str(error)).lower()}")


def _helper(config: dict[str, Any], server: str) -> str | None:
    helpers = config.get("credHelpers")
    named = _entry(helpers, server) if isinstance(helpers, dict) else None
    found = named or config.get("credsStore")
    return found if isinstance(found, str) and found else None


def _entry(table: dict[str, Any], server: str) -> Any:
    if server in table:
        return table[server]
    return next((value for name, value in table.items() if _is_same(name, server)), None)


def _is_same(name: str, server: str) -> bool:
    """Tell whether two names mean one registry: older files have URLs, and paths in them."""

    def bare(text: str) -> str:
        host = text.partition("://")[2] or text
        return host.partition("/")[0]

    return name == server or login_server(bare(name)) == login_server(bare(server))


def _from_entry(entry: Any, server: str) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    told = [entry.get(name) or "" for name in ("username", "password", "identitytoken")]
    if not all(isinstance(text, str) for text in told):
        raise _damaged(server)
    user, password, token = told
    if encoded := entry.get("auth"):
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError, TypeError):
            text = ""
        user, colon, password = text.partition(":")
        if not colon:
            raise _damaged(server)
        password = password.rstrip("\0")  # Docker writes none, and removes them when it reads
    if not (user or token):
        return None
    return Credentials(user, password, token)


def _damaged(server: str) -> CredentialsError:
    return CredentialsError(
        f"the stored credentials of `{server}` are damaged",
        hint=f"log in again: `dissolver login {server}`",
    )


def _from_helper(helper: str, server: str) -> Credentials | None:
    answer = _ask(helper, "get", server)
    if answer is None:
        return None
    try:
        document = json.loads(answer)
        user, secret = document["Username"], document["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        user = secret = None
    if not (isinstance(user, str) and isinstance(secret, str)):
        raise CredentialsError(
            f"`docker-credential-{helper}` answers with something that is no credentials"
        )
    if user == TOKEN_USER:
        return Credentials(identity_token=secret)
    return Credentials(user, secret) if user else None


def _ask(helper: str, verb: str, question: str | dict[str, str]) -> bytes | None:
    """Run a credential helper; ``None`` says that it has nothing of that name."""
    program = f"docker-credential-{helper}"
    if "/" in helper or not helper.isprintable():
        raise CredentialsError(f"`{helper}` is not the name of a credential helper")
    text = question if isinstance(question, str) else json.dumps(question)
    try:
        code, answer = _run(program, verb, text.encode())
    except FileNotFoundError:
        raise CredentialsError(
            f"the credential helper `{program}` is not installed",
            hint=f"install it, or take `{helper}` out of Docker's `{FILE}`",
        ) from None
    except OSError as error:
        raise CredentialsError(
            f"cannot run the credential helper `{program}`: "
            f"{(error.strerror or str(error)).lower()}"
        ) from None
    if code == 0:
        return answer
    # Helpers tell failures on standard output, where secrets go as well: only what the
    # protocol defines is looked at.
    if verb == "get" and _NOT_FOUND in answer.decode(errors="replace"):
        return None
    raise CredentialsError(
        f"the credential helper `{program}` failed (`{verb}`, exit code {code})",
        hint="try it in a terminal: it may have to be unlocked",
    )


def _run(program: str, verb: str, question: bytes) -> tuple[int, bytes]:
    """Run a helper: its exit code, and what it says on standard output."""
    # A file takes the question at once, also where the helper never reads it.
    asked = os.memfd_create("question", os.MFD_CLOEXEC)
    with os.fdopen(asked, "w+b") as file:
        file.write(question)
        file.seek(0)
        process = subprocess.Popen(
            [program, verb], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    ends = time.monotonic() + HELPER_SECONDS
    with process:
        try:
            answer = _heard(process.stdout, program, ends)
            return process.wait(max(0.0, ends - time.monotonic())), answer
        except subprocess.TimeoutExpired:
            raise _silent(program) from None
        finally:
            if process.poll() is None:
                process.kill()


def _heard(output: IO[bytes] | None, program: str, ends: float) -> bytes:
    """Read all that a helper says, within its time and no more than it may."""
    assert output is not None  # noqa: S101 - it is a pipe
    poll = select.poll()
    poll.register(output, select.POLLIN)
    answer = b""
    while poll.poll(max(0.0, ends - time.monotonic()) * 1000):
        chunk = os.read(output.fileno(), ANSWER_LIMIT)
        answer += chunk
        if not chunk:
            return answer
        if len(answer) > ANSWER_LIMIT:
            raise CredentialsError(f"the credential helper `{program}` answers without an end")
    raise _silent(program)


def _silent(program: str) -> CredentialsError:
    return CredentialsError(
        f"the credential helper `{program}` has not answered for {HELPER_SECONDS:.0f} seconds"
    )
