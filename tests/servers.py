"""Servers on this machine: web pages that change, and git repositories."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scene import free_port


@dataclass
class Page:
    """What is behind a path of a server."""

    content: bytes
    etag: str = ""
    modified: str = ""
    status: int = 200
    secret: str = ""
    location: str = ""


@dataclass
class Web:
    """A web server; ``asked`` lists what it was asked for, and what it answered."""

    url: str
    host: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    def put(self, path: str, content: str | bytes, **more: object) -> str:
        data = content.encode() if isinstance(content, str) else content
        self.pages[path] = Page(data, **more)  # type: ignore[arg-type]
        return self.url + path


@contextmanager
def web_server() -> Iterator[Web]:
    web = Web("", "")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = web.pages.get(self.path.partition("?")[0])
            status = 404 if page is None else page.status
            if page is not None and page.secret not in ("", self.headers.get("Authorization")):
                status = 401
            if page is not None and status == 200:
                known = {self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")}
                if {page.etag, page.modified} & known:
                    status = 304
            web.asked.append((self.path, status))
            self.send_response(status)
            content = page.content if page is not None and status == 200 else b""
            for name, value in (
                ("ETag", page.etag if page else ""),
                ("Last-Modified", page.modified if page else ""),
                ("Location", page.location if page else ""),
            ):
                if value:
                    self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as web.host:
        web.url = f"http://{web.host}"
        yield web


IDENTITY = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


@dataclass
class Repository:
    """A git repository that a server shows."""

    path: Path
    url: str

    def git(self, *words: str, when: int = 1_700_000_000) -> str:
        stamp = f"{when} +0000"
        environment = {
            **os.environ, **IDENTITY, "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp,
        }  # fmt: skip
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            cwd=self.path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | None]) -> str:
        """Write files (``None`` removes one), and answer the commit's ID."""
        for name, content in files.items():
            target = self.path / name
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
            if content.startswith("#!"):
                target.chmod(0o755)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")


@contextmanager
def git_server(base: Path) -> Iterator[Repository]:
    """Serve a new repository `repo` below ``base`` by git's own protocol."""
    work = base / "repo"
    work.mkdir(parents=True)
    port = free_port()
    repository = Repository(work, f"git://127.0.0.1:{port}/repo")
    repository.git("init", "-q", "-b", "main", "--template=")
    words = ["git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"]
    environment = {**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
                   "GIT_CONFIG_VALUE_0": "*"}  # fmt: skip
    process = subprocess.Popen(
        [*words, f"--port={port}", f"--base-path={base}", str(base)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        _wait_for(port)
        yield repository
    finally:
        os.killpg(process.pid, 15)
        process.wait()


@contextmanager
def git_http_server(base: Path, secret: str) -> Iterator[Repository]:
    """Serve a new repository below ``base`` by HTTP, to who sends ``secret`` as authorization."""
    work = base / "repo.git"
    work.mkdir(parents=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != secret:
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic realm=git")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            environment = {
                **os.environ, "GIT_HTTP_EXPORT_ALL": "1", "GIT_PROJECT_ROOT": str(base),
                "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_USER": "robot",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            }  # fmt: skip
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            done = subprocess.run(
                ["git", "http-backend"],
                env=environment,
                input=body,
                capture_output=True,
                check=True,
            )
            head, _, answer = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(fields.pop("Status", "200").partition(" ")[0]))
            for name, value in fields.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815 - the name that the class looks for

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as host:
        repository = Repository(work, f"http://{host}/repo.git")
        repository.git("init", "-q", "-b", "main", "--template=")
        yield repository


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a port of this machine, and give host and port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _wait_for(port: int) -> None:
    import socket

    end = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end
        time.sleep(0.02)
