"""Servers on loopback: Debian's docker-registry, a token server, and plain HTTP ones."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
USER, PASSWORD = "moby", "correct horse"
# bcrypt of the password, which is what docker-registry reads.
HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"

PROGRAM = shutil.which("docker-registry")
OPENSSL = shutil.which("openssl")
NO_REGISTRY = "docker-registry is not installed (`make setup` installs it)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RegistryServer:
    """A docker-registry that runs."""

    host: str
    data: Path
    log: Path
    headers: dict[str, str] = field(default_factory=dict)
    context: ssl.SSLContext | None = None

    def name(self, repository: str) -> str:
        return f"{self.host}/{repository}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request as nobody's client would: by hand."""
        if self.context is None:
            link = http.client.HTTPConnection(self.host, timeout=10)
        else:
            link = http.client.HTTPSConnection(self.host, timeout=10, context=self.context)
        link.request(method, path, body, {**self.headers, **(headers or {})})
        answer = link.getresponse()
        content = answer.read()
        link.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content

    def put_blob(self, repository: str, content: bytes) -> str:
        """Upload a blob and answer its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        status, headers, _ = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202
        parts = urlsplit(headers["location"])
        path = f"{parts.path}?{parts.query}&digest={digest}"
        status, _, text = self.ask(
            "PUT", path, content, {"Content-Type": "application/octet-stream"}
        )
        assert status == 201, text
        return digest

    def put_manifest(self, repository: str, version: str, document: Any, media_type: str) -> str:
        """Store a manifest and answer its digest."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        path = f"/v2/{repository}/manifests/{version}"
        status, headers, text = self.ask("PUT", path, content, {"Content-Type": media_type})
        assert status == 201, text
        return headers["docker-content-digest"]

    def manifest(self, repository: str, version: str, accept: str = OCI_MANIFEST) -> dict[str, Any]:
        status, _, content = self.ask(
            "GET", f"/v2/{repository}/manifests/{version}", headers={"Accept": accept}
        )
        assert status == 200, content
        return dict(json.loads(content))


@contextmanager
def registry_server(
    directory: Path,
    *,
    password_file: str | None = None,
    token: dict[str, str] | None = None,
    certificate: tuple[Path, Path, Path] | None = None,
    host: str = "127.0.0.1",
) -> Iterator[RegistryServer]:
    """Run a docker-registry; ``certificate`` is authority, certificate and key."""
    assert PROGRAM is not None
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "data")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{host}:{port}", "secret": "of the tests"},
        # Old images are refused by it unless this is set; tests have some.
        "compatibility": {"schema1": {"enabled": True}},
        "validation": {"disabled": True},
    }
    if password_file is not None:
        path = directory / "htpasswd"
        path.write_text(password_file, encoding="ascii")
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(path)}}
    if token is not None:
        settings["auth"] = {"token": token}
    context = None
    if certificate is not None:
        authority, chain, key = certificate
        settings["http"]["tls"] = {"certificate": str(chain), "key": str(key)}
        context = ssl.create_default_context(cafile=str(authority))
    config = directory / "config.yml"
    config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "serve", str(config)], stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        _wait_for(process, port, log)
        yield RegistryServer(f"{host}:{port}", directory / "data", log, context=context)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("docker-registry does not listen")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A client that is cut off is what many tests are about.
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections that break are meant to."""


@contextmanager
def http_server(
    handler: type[BaseHTTPRequestHandler], *, context: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve with ``handler`` and answer ``host:port``."""
    server = _Server(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class QuietHandler(BaseHTTPRequestHandler):
    """A handler that logs nothing and keeps connections."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Write no log."""

    @property
    def has_body(self) -> bool:
        """Tell whether the request carries something."""
        return "Transfer-Encoding" in self.headers or self.headers.get("Content-Length", "0") != "0"

    def body(self) -> bytes:
        """Read what the request carries, with its length told before or piece by piece."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = bytearray()
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(found)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer everything at once."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


# Certificates and tokens ------------------------------------------------------------


def openssl(*words: str | Path, stdin: bytes = b"") -> bytes:
    assert OPENSSL is not None
    done = subprocess.run([OPENSSL, *map(str, words)], input=stdin, capture_output=True, check=True)
    return done.stdout


def make_certificate(directory: Path) -> tuple[Path, Path, Path]:
    """Make an authority and a certificate of its for this machine."""
    directory.mkdir(parents=True, exist_ok=True)
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        *("req", "-x509", *new_key, "-keyout", authority_key, "-out", authority, "-days", "2"),
        *("-subj", "/CN=tests' own authority"),
    )
    request, key, chain = directory / "request", directory / "server.key", directory / "server.pem"
    openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    names = directory / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n", encoding="ascii")
    openssl(
        *("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key),
        *("-CAcreateserial", "-out", chain, "-days", "2", "-extfile", names),
    )
    return authority, chain, key


def _url_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class TokenServer:
    """Gives tokens that docker-registry believes, and remembers who asked for what."""

    directory: Path
    issuer: str = "tests"
    service: str = "the registry"
    seconds: int = 300
    host: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    allows: Callable[[str, str], bool] = lambda _user, _scope: True
    fault: Callable[[], tuple[int, bytes] | None] = lambda: None

    def prepare(self) -> dict[str, str]:
        """Make the key; answer what docker-registry has to know."""
        self.directory.mkdir(parents=True, exist_ok=True)
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens"),
            *("-keyout", self.directory / "key.pem", "-out", self.directory / "certificate.pem"),
        )
        return {
            "realm": f"http://{self.host}/token",
            "service": self.service,
            "issuer": self.issuer,
            "rootcertbundle": str(self.directory / "certificate.pem"),
        }

    def token(self, user: str, scopes: list[str]) -> str:
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 2)
            if self.allows(user, scope):
                access.append({"type": kind, "name": name, "actions": actions.split(",")})
        chain = openssl("x509", "-in", self.directory / "certificate.pem", "-outform", "DER")
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(chain).decode()]}
        claims = {
            "iss": self.issuer,
            "sub": user,
            "aud": self.service,
            "exp": now + self.seconds,
            "nbf": now - 10,
            "iat": now,
            "jti": str(now),
            "access": access,
        }
        text = ".".join(_url_base64(json.dumps(part).encode()) for part in (header, claims))
        signature = openssl(
            "dgst", "-sha256", "-sign", self.directory / "key.pem", stdin=text.encode()
        )
        return f"{text}.{_url_base64(signature)}"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        tokens = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = parse_qs(parts.query)
                basic = self.headers.get("Authorization", "").removeprefix("Basic ")
                self._give(base64.b64decode(basic).decode(), query.get("scope", []))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                form = parse_qs(self.rfile.read(length).decode())
                token = form.get("refresh_token", [""])[0]
                user = f"{USER}:{PASSWORD}" if token == "identity" else "nobody:no"
                self._give(user, form.get("scope", [""])[0].split())

            def _give(self, login: str, scopes: list[str]) -> None:
                user, _, password = login.partition(":")
                tokens.asked.append({"method": self.command, "user": user, "scopes": scopes})
                fault = tokens.fault()
                if fault is not None:
                    self.reply(*fault)
                    return
                if user and (user, password) != (USER, PASSWORD):
                    body = json.dumps({"details": f"bad {login}"}).encode()
                    self.reply(401, body)
                    return
                document = {"token": tokens.token(user, scopes), "expires_in": tokens.seconds}
                self.reply(200, json.dumps(document).encode())

        return Handler
