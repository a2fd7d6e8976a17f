"""A proxy before a registry that does to answers what networks and servers do."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from registry.servers import QuietHandler, RegistryServer, http_server

_HOP = {"connection", "transfer-encoding", "content-length", "date", "server", "keep-alive"}


@dataclass
class Asked:
    """A request that came: what it wanted, and what it carried."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Reply:
    """An answer on its way; rules change it."""

    status: int
    headers: dict[str, str]
    body: bytes
    length: int | None = None
    """What `Content-Length` says, if it lies."""
    cut_at: int | None = None
    """After how many bytes the connection ends."""
    is_endless: bool = False
    pause: float = 0.0


Change = Callable[[Reply], Reply | None]


@dataclass
class Rule:
    """Does something to the answers of some requests, ``times`` times."""

    method: str
    pattern: re.Pattern[str]
    change: Change
    times: int
    skips: int = 0
    before: bool = False
    """Answers without asking the registry."""
    sent: Callable[[bytes], bytes] = lambda body: body
    """What the registry gets of what was sent."""
    drains: bool = False
    """Reads what was sent, although nobody gets it."""


@dataclass
class Meddler:
    """The proxy; tests give it rules and read what was asked."""

    upstream: RegistryServer
    host: str = ""
    rules: list[Rule] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def name(self, repository: str) -> str:
        return f"{self.host}/{repository}"

    def rule(
        self,
        method: str,
        pattern: str,
        change: Change,
        *,
        times: int = 1,
        skips: int = 0,
        before: bool = False,
    ) -> None:
        self.rules.append(Rule(method, re.compile(pattern), change, times, skips, before))

    # What networks and servers do ------------------------------------------------

    def cuts(
        self, pattern: str, at: int, *, times: int = 1, skips: int = 0, method: str = "GET"
    ) -> None:
        """Break the connection after ``at`` bytes of the body."""
        self.rule(method, pattern, lambda reply: _set(reply, cut_at=at), times=times, skips=skips)

    def corrupts(self, pattern: str, at: int, *, times: int = 1) -> None:
        """Turn over one bit."""

        def flip(reply: Reply) -> Reply:
            body = bytearray(reply.body)
            body[at] ^= 1
            return _set(reply, body=bytes(body))

        self.rule("GET", pattern, flip, times=times)

    def spoils(
        self,
        method: str,
        pattern: str,
        sent: Callable[[bytes], bytes],
        *,
        times: int = 1,
        skips: int = 0,
    ) -> None:
        """Hand the registry something else than was sent."""
        kept = re.compile(pattern)
        self.rules.append(Rule(method, kept, lambda reply: reply, times, skips, sent=sent))

    def answers(
        self,
        pattern: str,
        status: int,
        body: bytes = b"",
        *,
        times: int = 1,
        skips: int = 0,
        method: str = "GET",
        drains: bool = False,
        **headers: str,
    ) -> None:
        """Answer in the registry's place."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = Reply(status, names, body)
        self.rule(method, pattern, lambda _: reply, times=times, skips=skips, before=True)
        self.rules[-1].drains = drains

    def fails(self, pattern: str, status: int, code: str, message: str, **options: Any) -> None:
        """Answer with an error as the specification has it."""
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.answers(pattern, status, body, **options)

    def count(self, method: str, pattern: str) -> int:
        """Count the requests of a kind."""
        return sum(
            one.method == method and re.search(pattern, one.path) is not None for one in self.asked
        )

    def matching(self, asked: Asked) -> list[Rule]:
        """Pick the rules for a request, and count them."""
        found = []
        with self.lock:
            self.asked.append(asked)
            for rule in self.rules:
                if rule.method != asked.method or not rule.pattern.search(asked.path):
                    continue
                if rule.skips:
                    rule.skips -= 1
                elif rule.times:
                    rule.times -= 1
                    found.append(rule)
        return found


def _set(reply: Reply, **changes: Any) -> Reply:
    for name, value in changes.items():
        setattr(reply, name, value)
    return reply


@contextmanager
def meddler(upstream: RegistryServer) -> Iterator[Meddler]:
    """Run the proxy before ``upstream``."""
    proxy = Meddler(upstream)
    with http_server(_handler(proxy)) as host:
        proxy.host = host
        yield proxy


def _handler(proxy: Meddler) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def handle_any(self) -> None:
            asked = Asked(self.command, self.path, dict(self.headers.items()))
            rules = proxy.matching(asked)
            early = next((rule for rule in rules if rule.before), None)
            if early is not None:
                reply = early.change(Reply(0, {}, b""))
                # What was sent is mostly not read: a server that refuses does not wait either.
                if early.drains:
                    self.body()
                self.close_connection = self.close_connection or self.has_body
            else:
                body = self.body()
                for rule in rules:
                    body = rule.sent(body)
                reply = self._forward(body)
                for rule in rules:
                    reply = rule.change(reply) if reply is not None else None
            if reply is None:
                self._hang_up()
            else:
                self._answer(reply)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def _forward(self, body: bytes) -> Reply:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            # The registry makes the addresses of uploads from it.
            headers["Host"] = proxy.host
            link = http.client.HTTPConnection(proxy.upstream.host, timeout=30)
            link.request(self.command, self.path, body or None, headers)
            answer = link.getresponse()
            content = answer.read()
            length = answer.getheader("Content-Length")
            link.close()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}
            told = int(length) if self.command == "HEAD" and length else None
            return Reply(answer.status, kept, content, length=told)

        def _answer(self, reply: Reply) -> None:
            if reply.pause:
                time.sleep(reply.pause)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.is_endless:
                self.close_connection = True
                self.end_headers()
                self._endless(reply.body)
                return
            length = len(reply.body) if reply.length is None else reply.length
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                end = len(reply.body) if reply.cut_at is None else reply.cut_at
                self.wfile.write(reply.body[:end])
            if reply.cut_at is not None or length != len(reply.body):
                self._hang_up()

        def _endless(self, start: bytes) -> None:
            self.wfile.write(start)
            try:
                while True:
                    self.wfile.write(bytes(1 << 16))
            except OSError:
                return

        def _hang_up(self) -> None:
            self.wfile.flush()
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    return Handler
