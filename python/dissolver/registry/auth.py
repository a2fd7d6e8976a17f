"""What a registry is told about who asks: challenges, tokens, passwords (RFC 7235, RFC 6750).

A registry that wants to know answers 401 with a challenge. ``Basic`` wants the
password with each request. ``Bearer`` names another server (the realm), which gives
a token for some actions on some repositories and for some minutes.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from dissolver.errors import AccessDenied, RegistryError
from dissolver.registry.endpoints import is_loopback
from dissolver.registry.transport import Request, named_url, shown

if TYPE_CHECKING:
    from dissolver.registry.credentials import Credentials
    from dissolver.registry.endpoints import Endpoint
    from dissolver.registry.transport import Answer, Transport

TOKEN_LIMIT = 1 << 20
"""Longest answer of a token server in bytes; real ones have a few thousand."""

USUAL_TOKEN_SECONDS = 60.0
"""How long a token counts that does not say it (token specification of distribution)."""

EARLY_SECONDS = 10.0
"""How long before its end a token is renewed: a request must arrive in time."""

CLIENT_ID = "dissolver"

_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)(?=\s+[A-Za-z0-9_-]+\s*=|\s*(?:,|$))")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 asks for: a scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def read_challenges(header: str) -> list[Challenge]:
    """Read a ``WWW-Authenticate`` header, which may hold several challenges."""
    marks = list(_SCHEME.finditer(header))
    challenges = []
    for index, mark in enumerate(marks):
        end = marks[index + 1].start() if index + 1 < len(marks) else len(header)
        found = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
            for name, quoted, plain in _PARAMETER.findall(header[mark.end() : end])
        }
        challenges.append(Challenge(mark[1].lower(), found))
    return challenges


def pull_scope(repository: str) -> str:
    """Write the right to read a repository."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """Write the right to read and to write a repository."""
    return f"repository:{repository}:pull,push"


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    ends: float


class Authorizer:
    """Who one is to one registry; remembers challenges and tokens. For several threads.

    ``find`` looks credentials up when a challenge asks for them, once.
    """

    def __init__(
        self, transport: Transport, endpoint: Endpoint, find: Callable[[], Credentials | None]
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._find = find
        self._lock = threading.RLock()
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._known: list[Credentials | None] = []

    def headers(self, scopes: tuple[str, ...]) -> dict[str, str]:
        """Write what a request has to carry, as far as it is known what is asked for.

        Raises:
            AccessDenied: the credentials were refused, or there are none and some are needed.
            RegistryError: the token server fails.
        """
        with self._lock:
            challenge = self._challenge
            if challenge is None:
                return {}
            if challenge.scheme == "basic":
                return _basic(self._needed())
            token = self._tokens.get(scopes)
            if token is None or token.ends - EARLY_SECONDS < time.monotonic():
                token = self._tokens[scopes] = self._fetch(challenge, scopes)
            return {"Authorization": f"Bearer {token.text}"}

    def challenged(self, answer: Answer, scopes: tuple[str, ...], sent: Mapping[str, str]) -> bool:
        """Take note of a 401; tell whether another attempt could be answered otherwise.

        ``sent`` is what the refused request carried. A token that was refused may have ended,
        so it is forgotten; the caller gives up after a fresh one.
        """
        found = read_challenges(answer.headers.get("www-authenticate", ""))
        known = [one for one in found if one.scheme in ("bearer", "basic")]
        if not known:
            return False
        with self._lock:
            chosen = next((one for one in known if one.scheme == "bearer"), known[0])
            if chosen.scheme == "basic" and sent:
                return False
            token = self._tokens.get(scopes)
            if token is not None and sent.get("Authorization") == f"Bearer {token.text}":
                del self._tokens[scopes]
            self._challenge = chosen
            return True

    def redacted(self, text: str) -> str:
        """Take out of a server's words what they must not repeat: passwords and tokens."""
        with self._lock:
            secrets = [token.text for token in self._tokens.values()]
            for known in filter(None, self._known):
                secrets += [known.password, known.identity_token]
                secrets.append(_basic(known)["Authorization"].removeprefix("Basic "))
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "****")
        return text

    @property
    def is_known(self) -> bool:
        """Whether there are credentials for the registry at all."""
        return self._credentials() is not None

    def _credentials(self) -> Credentials | None:
        with self._lock:
            if not self._known:
                self._known.append(self._find())
            return self._known[0]

    def _needed(self) -> Credentials:
        found = self._credentials()
        if found is None or not found.user:
            raise AccessDenied(
                f"`{self._endpoint.name}` wants a user name and a password",
                hint=f"log in first: `dissolver login {self._endpoint.name}`",
            )
        return found

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...]) -> _Token:
        realm = named_url(challenge.parameters.get("realm", ""))
        if realm is None:
            raise RegistryError(f"`{self._endpoint.name}` names no server that gives tokens")
        parts = urlsplit(realm)
        credentials = self._credentials()
        is_open = parts.scheme == "http" and not is_loopback(parts.netloc)
        if credentials is not None and is_open and self._endpoint.is_verified:
            raise RegistryError(
                f"`{self._endpoint.name}` wants the password sent to `{shown(realm)}`, "
                "which is not encrypted"
            )
        wanted = scopes or tuple(filter(None, (challenge.parameters.get("scope"),)))
        service = challenge.parameters.get("service", "")
        if credentials is not None and credentials.identity_token:
            make = _refresh_request(realm, service, wanted, credentials)
        else:
            make = _token_request(realm, service, wanted, credentials)
        answer = self._transport.ask(lambda: make, self._endpoint)
        with self._transport.watched(answer):
            return self._read(answer, realm, has_credentials=credentials is not None)

    def _read(self, answer: Answer, realm: str, *, has_credentials: bool) -> _Token:
        if answer.status in (400, 401, 403):
            if has_credentials:
                raise AccessDenied(
                    f"`{self._endpoint.name}` refuses the user name or the password",
                    hint=f"log in again: `dissolver login {self._endpoint.name}`",
                )
            raise AccessDenied(
                f"`{self._endpoint.name}` gives no access without a login",
                hint=f"log in first: `dissolver login {self._endpoint.name}`",
            )
        if answer.status != 200:
            raise RegistryError(f"`{shown(realm)}` gives no token: status {answer.status}")
        try:
            document = answer.json(TOKEN_LIMIT)
            text = document.get("token") or document.get("access_token")
            seconds = float(document.get("expires_in") or USUAL_TOKEN_SECONDS)
        except (ValueError, TypeError, AttributeError, OverflowError):
            # What came may hold a token: it is not shown.
            raise RegistryError(
                f"`{shown(realm)}` answers with something else than a token"
            ) from None
        if not isinstance(text, str) or not re.fullmatch(r"[\x21-\x7e]+", text):
            raise RegistryError(f"`{shown(realm)}` answers with something else than a token")
        return _Token(text, time.monotonic() + seconds)


def _basic(credentials: Credentials) -> dict[str, str]:
    text = f"{credentials.user}:{credentials.password}"
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def _token_request(
    realm: str, service: str, scopes: tuple[str, ...], credentials: Credentials | None
) -> Request:
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in scopes]
    if credentials is not None:
        query.append(("account", credentials.user))
    joint = "&" if urlsplit(realm).query else "?"
    url = f"{realm}{joint}{urlencode(query)}" if query else realm
    return Request("GET", url, secrets={} if credentials is None else _basic(credentials))


def _refresh_request(
    realm: str, service: str, scopes: tuple[str, ...], credentials: Credentials
) -> Request:
    form = {
        "grant_type": "refresh_token",
        "service": service,
        "client_id": CLIENT_ID,
        "scope": " ".join(scopes),
        "refresh_token": credentials.identity_token,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    # The token is in the body, which must not follow a redirect.
    return Request("POST", realm, headers, body=urlencode(form).encode(), follows=False)
