"""HTTP as registries need it: TLS, proxies, redirects, time limits, and trying again.

Every request of the package goes through here, and so does every failure: what a
message shows of a URL never includes its query, which may be signed.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3 import exceptions as faults

from dissolver.errors import Cancelled, RegistryError, RegistryUnreachable
from dissolver.registry.certificates import tls_context
from dissolver.registry.endpoints import is_loopback
from dissolver.registry.patience import Patience
from dissolver.registry.proxies import proxy_for

if TYPE_CHECKING:
    from urllib3._base_connection import BaseHTTPConnection

    from dissolver.registry.endpoints import Endpoint
    from dissolver.registry.ends import Reading
    from dissolver.registry.settings import RegistrySettings

CONNECT_SECONDS = 5.0
"""How long one address may take to answer: far beyond a slow line's handshake."""

REACH_SECONDS = 10.0
"""How long the first contact may take in all, with name servers and every address."""

SILENCE_SECONDS = 60.0
"""How long a server may say nothing in the middle of an answer."""

BLOCK_BYTES = 1 << 18
DRAINED_BYTES = 1 << 16
"""Up to here the rest of an answer is read, which is cheaper than another connection."""

MOST_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_LENGTH_DIGITS = 19
"""The digits of the longest size that a manifest can name."""

_HOST = re.compile(r"[\x21-\x7e]+")

Body = bytes | Iterable[bytes] | None
Read = TypeVar("Read", bound="Reading")


class Interrupted(RegistryError):
    """A connection that broke in the middle; what was asked for may be asked for again.

    ``seconds`` is how long the server asks to wait, if it does.
    """

    def __init__(self, message: str, *, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class _WithoutQueries(logging.Filter):
    """Keeps out of urllib3's log what is behind the `?` of an address, which may be signed."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the addresses of a record, and let it through."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args
            )
        return True


_WITHOUT_QUERIES = _WithoutQueries()


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``headers`` are for everybody, ``secrets`` for the first host alone."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body = field(default=None, repr=False)
    follows: bool = True


class Answer:
    """A response whose body has not been read; a context manager that lets go of it."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers
        self.url = url

    @property
    def length(self) -> int | None:
        """The length of the body, if the server tells it."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() and len(text) <= _LENGTH_DIGITS else None

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            Interrupted: the connection broke before its end.
        """
        with _broken(self.url):
            while chunk := self._response.read(BLOCK_BYTES, decode_content=False):
                yield chunk

    def document(self, limit: int) -> bytes:
        """Read the whole body, at most ``limit`` bytes.

        Raises:
            Interrupted: the connection broke before its end.
            RegistryError: there is more, as in an endless body.
        """
        content = bytearray()
        for chunk in self.chunks():
            content += chunk
            if len(content) > limit:
                raise RegistryError(
                    f"`{shown(self.url)}` answers with more than {limit} bytes, which is too long"
                )
        return bytes(content)

    def json(self, limit: int) -> Any:
        """Read the whole body as JSON, at most ``limit`` bytes.

        Raises:
            ValueError: it is none.
            Interrupted, RegistryError: as ``document``.
        """
        import json

        try:
            return json.loads(self.document(limit))
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    def abort(self) -> None:
        """Make whoever reads the body fail now; from any thread."""
        try:
            self._response.shutdown()
        except (ValueError, OSError, RuntimeError):
            # It has been read to its end meanwhile.
            return

    def close(self) -> None:
        """Let go of the connection; one with a long rest that nobody reads is closed."""
        rest = self._response.length_remaining
        if rest is not None and rest <= DRAINED_BYTES:
            self._response.drain_conn()
            self._response.release_conn()
        else:
            self._response.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Transport:
    """Sends requests; for several threads. ``cancel`` ends every wait and every transfer."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        patience: Patience | None = None,
        user_agent: str = "dissolver",
    ) -> None:
        self.settings = settings
        self.patience = patience or Patience()
        self._agent = user_agent
        self._pools: dict[tuple[str, str, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._open: set[Reading] = set()
        # Programs that log everything get what it writes; once is enough for all.
        logging.getLogger("urllib3.connectionpool").addFilter(_WITHOUT_QUERIES)

    def send(self, request: Request, endpoint: Endpoint) -> Answer:
        """Send a request once, follow redirects, and answer whatever comes.

        Secrets stay with the host that they were made for, and an encrypted connection is
        never given up for a plain one.

        Raises:
            RegistryUnreachable: nobody answers, or not by the rules of TLS.
            Interrupted: the connection broke.
            RegistryError: too many redirects, or one that leads nowhere.
        """
        url, first = request.url, _origin(request.url)
        for _ in range(MOST_REDIRECTS + 1):
            self.patience.check()
            headers = {"User-Agent": self._agent, **request.headers}
            if _origin(url) == first:
                headers |= request.secrets
            answer = self._once(request.method, url, headers, request.body, endpoint)
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not request.follows or not target:
                return answer
            answer.close()
            url = _redirected(url, target, endpoint)
        raise RegistryError(f"`{shown(request.url)}` redirects more than {MOST_REDIRECTS} times")

    def ask(self, make: Callable[[], Request], endpoint: Endpoint) -> Answer:
        """Send a request that may be repeated, until it is answered with more than an excuse.

        ``make`` makes it anew each time. What a server says with 429 and its own faults is
        waited for, as long as it asks and patience lasts; then its last answer is returned.

        Raises:
            RegistryUnreachable, Interrupted: as ``send``, after the last attempt.
        """
        for attempt in self.patience.attempts():
            try:
                answer = self.send(make(), endpoint)
            except Interrupted as error:
                attempt.failed(error)
                continue
            if not attempt.should_repeat(answer.status, answer.headers.get("retry-after")):
                return answer
            answer.close()
            attempt.rest()
        raise AssertionError("the last attempt answers or raises")

    @contextmanager
    def watched(self, answer: Read) -> Iterator[Read]:
        """Read an answer such that ``abort`` of another thread ends it."""
        with self._lock:
            self._open.add(answer)
        try:
            self.patience.check()
            yield answer
        except RegistryError as error:
            if self.patience.is_cancelled:
                raise Cancelled("the transfer was cancelled") from error
            raise
        finally:
            with self._lock:
                self._open.discard(answer)
            answer.close()

    def abort(self) -> None:
        """Break every transfer that is going on."""
        with self._lock:
            waiting = list(self._open)
        for answer in waiting:
            answer.abort()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.clear()

    def _once(
        self, method: str, url: str, headers: dict[str, str], body: Body, endpoint: Endpoint
    ) -> Answer:
        host = urlsplit(url).netloc.rpartition("@")[2]
        # A registry of this machine may send its clients elsewhere: to a token server, a store.
        if self.settings.is_offline and is_loopback(endpoint.host) and not is_loopback(host):
            raise RegistryUnreachable(f"`{host}` is not asked, because `offline` is set")
        pool = self._pool(url, endpoint)
        with _broken(url):
            response = pool.request(
                method,
                url,
                headers=headers,
                body=body,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
            )
        return Answer(response, url)

    def _pool(self, url: str, endpoint: Endpoint) -> urllib3.PoolManager:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        # Where a redirect leads is another host, with certificates of its own.
        is_endpoint = parts.netloc == endpoint.host
        name = endpoint.name if is_endpoint else parts.netloc
        verifies = endpoint.is_verified if is_endpoint else not self.settings.host(name).insecure
        proxy = proxy_for(self.settings, parts.scheme, host, port)
        key = (name, proxy.url if proxy else "", verifies)
        with self._lock:
            if key not in self._pools:
                options = {
                    "num_pools": 8,
                    "maxsize": 8,
                    "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
                    "ssl_context": tls_context(self.settings, name, verifies=verifies),
                    "blocksize": BLOCK_BYTES,
                }
                if not verifies:
                    options |= {"assert_hostname": False}
                manager: urllib3.PoolManager
                if proxy is None:
                    manager = urllib3.PoolManager(**options)  # type: ignore[arg-type]
                else:
                    secret = (
                        urllib3.make_headers(proxy_basic_auth=proxy.credentials)
                        if proxy.credentials
                        else None
                    )
                    manager = urllib3.ProxyManager(
                        proxy.url,
                        proxy_headers=secret,
                        **options,  # type: ignore[arg-type]
                    )
                if not verifies:
                    manager.pool_classes_by_scheme = {
                        **manager.pool_classes_by_scheme,
                        "https": _UnverifiedPool,
                    }
                self._pools[key] = manager
            return self._pools[key]


class _UnverifiedPool(urllib3.HTTPSConnectionPool):
    """Connections to hosts that the user said may have any certificate: not worth a warning."""

    def _validate_conn(self, conn: BaseHTTPConnection) -> None:
        if conn.is_closed:
            conn.connect()


def shown(url: str) -> str:
    """Write a URL without its query and without credentials, as messages may show it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def named_url(text: str, base: str = "") -> str | None:
    """Read an address that a server names, as seen from ``base``; ``None`` if it is none."""
    try:
        found = urljoin(base, text)
        parts = urlsplit(found)
        # Only reading it tells that a port is none.
        is_address = parts.scheme in ("http", "https") and (parts.port or 0) >= 0
    except ValueError:
        return None
    return found if is_address and _HOST.fullmatch(parts.hostname or "") else None


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def _redirected(url: str, target: str, endpoint: Endpoint) -> str:
    found = named_url(target, url)
    if found is None:
        raise RegistryError(f"`{shown(url)}` redirects to something that is no web address")
    is_plain = urlsplit(url).scheme == "https" and urlsplit(found).scheme == "http"
    if is_plain and endpoint.is_verified:
        raise RegistryError(
            f"`{shown(url)}` redirects to `{shown(found)}`, which is not encrypted",
            hint="if that is meant to be, set `insecure = true` for the registry in config.toml",
        )
    return found


@contextmanager
def _broken(url: str) -> Iterator[None]:
    """Turn the faults of connections into errors that tell whether to try again."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    try:
        yield
    except faults.ProxyError as error:
        raise RegistryUnreachable(
            f"`{host}` cannot be reached through the proxy: {_reason(error)}",
            hint="check the variables `HTTPS_PROXY` and `NO_PROXY`",
        ) from None
    except faults.SSLError as error:
        raise _tls_failure(host, str(error)) from None
    except faults.NameResolutionError:
        raise RegistryUnreachable(f"no address is known for `{host}`") from None
    except (faults.ConnectTimeoutError, faults.NewConnectionError) as error:
        raise RegistryUnreachable(f"no connection to `{host}`: {_reason(error)}") from None
    except faults.ReadTimeoutError:
        raise Interrupted(f"`{host}` has been silent for {SILENCE_SECONDS:.0f} seconds") from None
    except (faults.HTTPError, OSError) as error:
        raise Interrupted(f"the connection to `{host}` broke: {_reason(error)}") from None


class BadCertificate(RegistryUnreachable):
    """A server whose certificate is not to be believed."""


def _tls_failure(host: str, text: str) -> RegistryUnreachable:
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        why = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return BadCertificate(
            f"the certificate of `{host}` is not trusted: {why.lower() or 'another name'}",
            hint=f'name the authority in config.toml (`ca` of `[registries."{host}"]`) or with '
            "the variable `SSL_CERT_FILE`",
        )
    return RegistryUnreachable(f"`{host}` does not speak TLS")


def _reason(error: BaseException) -> str:
    """Find the plain reason in a chain of wrapped errors."""
    seen: BaseException | None = error
    while seen is not None:
        if type(seen) is faults.ConnectTimeoutError:
            return f"no answer within {CONNECT_SECONDS:.0f} seconds"
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        if isinstance(seen, faults.IncompleteRead):
            return "it ended too early"
        inner = seen.args[1] if len(seen.args) > 1 else None
        inner = inner if isinstance(inner, BaseException) else getattr(seen, "original_error", None)
        seen = inner or seen.__cause__ or seen.__context__
    return "it was closed"
