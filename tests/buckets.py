"""A server of buckets: the part of S3's protocol that a cache needs, and what tests break in it.

It verifies signatures (AWS Signature Version 4) with a secret of its own, so that a client
that does not sign is refused as it would be elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit

KEY, SECRET = "tests-key", "tests-secret"


@dataclass
class Buckets:
    """Objects by bucket and key; ``asked`` lists methods and keys of requests."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bucket: str = "team"
    cuts: dict[str, int] = field(default_factory=dict)
    """After how many bytes an answer ends once, by a part of the key."""
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    def word(self, *more: str) -> str:
        return ",".join(("type=s3", f"bucket={self.bucket}", f"endpoint_url={self.url}", *more))

    def count(self, method: str, part: str) -> int:
        return sum(one == method and part in key for one, key in self.asked)


@contextmanager
def bucket_server() -> Iterator[Buckets]:
    buckets = Buckets()

    class Handler(_Handler):
        state = buckets

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    buckets.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield buckets
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: Buckets
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        self._object(lambda content: content)

    def do_HEAD(self) -> None:
        self._object(lambda content: content)

    def do_PUT(self) -> None:
        key, query, body = self._request()
        if not self._is_allowed(body):
            return
        if "uploadId" in query:
            self.state.parts[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.state.objects[key] = body
        self._answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')

    def do_POST(self) -> None:
        key, query, body = self._request()
        if not self._is_allowed(body):
            return
        if "uploads" in query:
            name = f"u{len(self.state.parts)}"
            self.state.parts[name] = {}
            text = f"<UploadId>{name}</UploadId>"
            self._answer(200, _document("InitiateMultipartUploadResult", text))
            return
        parts = self.state.parts.pop(query["uploadId"])
        self.state.objects[key] = b"".join(parts[number] for number in sorted(parts))
        self._answer(200, _document("CompleteMultipartUploadResult", "<ETag>x</ETag>"))

    def _object(self, change: Callable[[bytes], bytes]) -> None:
        key, _, body = self._request()
        if not self._is_allowed(body):
            return
        content = self.state.objects.get(key)
        if content is None:
            self._fail(404, "NoSuchKey", "The specified key does not exist.")
            return
        start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        status = 206 if "Range" in self.headers else 200
        cut = next((part for part in self.state.cuts if part in key), None)
        if cut is not None and self.command == "GET":
            length = self.state.cuts.pop(cut)
            self._answer(status, change(content)[start:], cut_at=length)
            return
        self._answer(status, change(content)[start:])

    def _request(self) -> tuple[str, dict[str, str], bytes]:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        self.state.asked.append((self.command, key))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.is_known = bucket == self.state.bucket
        return key, query, body

    def _is_allowed(self, body: bytes) -> bool:
        if not _is_signed(self.command, self.path, self.headers, body):
            self._fail(403, "SignatureDoesNotMatch", f"The signature of {KEY} is wrong.")
        elif not self.is_known:
            self._fail(404, "NoSuchBucket", "The specified bucket does not exist")
        else:
            return True
        return False

    def _fail(self, status: int, code: str, message: str) -> None:
        text = f"<Code>{code}</Code><Message>{message}</Message>"
        self._answer(status, _document("Error", text))

    def _answer(
        self, status: int, body: bytes = b"", *, cut_at: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut_at])
        if cut_at is not None:
            self.close_connection = True


def _document(name: str, text: str) -> bytes:
    return f'<?xml version="1.0"?><{name}>{text}</{name}>'.encode()


def _is_signed(method: str, target: str, headers: object, body: bytes) -> bool:
    """Check a signature (AWS documentation, "Signature Version 4")."""
    get = headers.get  # type: ignore[attr-defined]
    said = get("Authorization", "")
    if not said.startswith("AWS4-HMAC-SHA256 "):
        return False
    fields = dict(part.strip().split("=", 1) for part in said[17:].split(","))
    key, day, region, service, _ = fields["Credential"].split("/")
    payload = get("x-amz-content-sha256")
    if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(body).hexdigest():
        return False
    names = fields["SignedHeaders"].split(";")
    parts = urlsplit(target)
    query = "&".join(
        f"{quote(k, safe='')}={quote(v, safe='')}"
        for k, v in sorted(parse_qsl(parts.query, keep_blank_values=True))
    )
    canonical = "\n".join(
        [method, parts.path, query, *(f"{n}:{get(n).strip()}" for n in names), "",
         ";".join(names), payload]
    )  # fmt: skip
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", get("x-amz-date"), scope, digest])
    made = f"AWS4{SECRET}".encode()
    for part in (day, region, service, "aws4_request"):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    wanted = hmac.new(made, text.encode(), hashlib.sha256).hexdigest()
    return key == KEY and hmac.compare_digest(wanted, fields["Signature"])
