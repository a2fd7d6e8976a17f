"""Builds as sequences of events, told by a clock that the tests move."""

from __future__ import annotations

from dissolver.build.events import Event, Vertex, VertexLog, VertexStatus

START = 1_700_000_000.0


class Script:
    """Collects the events of a made-up build, each with the moment it comes at."""

    def __init__(self) -> None:
        self.events: list[tuple[float, Event]] = []
        self.now = START
        self.vertices: dict[int, Vertex] = {}

    def wait(self, seconds: float) -> Script:
        self.now += seconds
        return self

    def announce(self, *names: str) -> Script:
        for name in names:
            self._tell(Vertex(len(self.vertices) + 1, name))
        return self

    def start(self, number: int) -> Script:
        old = self.vertices[number]
        self._tell(Vertex(number, old.name, started=self.now))
        return self

    def complete(
        self,
        number: int,
        *,
        after: float = 0.0,
        cached: bool = False,
        error: str | None = None,
        is_cancelled: bool = False,
    ) -> Script:
        self.now += after
        old = self.vertices[number]
        started = self.now if old.started is None else old.started
        self._tell(Vertex(number, old.name, started, self.now, cached, error, is_cancelled))
        return self

    def status(self, number: int, text: str, current: int = 0, total: int = 0) -> Script:
        """Tell a status that is complete at once."""
        self.events.append(
            (self.now, VertexStatus(number, text, current, total, self.now, self.now))
        )
        return self

    def transfer(self, number: int, text: str, current: int, total: int = 0) -> Script:
        """Tell a status that goes on."""
        started = self.vertices[number].started
        self.events.append((self.now, VertexStatus(number, text, current, total, started)))
        return self

    def log(self, number: int, text: str | bytes) -> Script:
        data = text.encode() if isinstance(text, str) else text
        self.events.append((self.now, VertexLog(number, 1, data, self.now)))
        return self

    def tell(self, event: Event) -> Script:
        self.events.append((self.now, event))
        return self

    def _tell(self, vertex: Vertex) -> None:
        self.vertices[vertex.id] = vertex
        self.events.append((self.now, vertex))


def story() -> Script:
    """The build of the story: everything CACHED but the last COPY."""
    script = Script().announce(
        "[internal] load build definition from Dockerfile",
        "[internal] load .dockerignore",
        "[internal] load metadata for docker.io/library/node:latest",
        "[1/5] FROM docker.io/library/node@sha256:"
        "bf718fc580177cd927173c8617cf7f527a1b7f6278d5c6a2d6f3c5d0f4a3b2c1",
        "[internal] load build context",
        "[2/5] WORKDIR /app",
        "[3/5] COPY package.json /app",
        "[4/5] RUN npm install",
        "[5/5] COPY . /app",
        "exporting to image",
    )
    script.start(1).status(1, "transferring dockerfile:", 152).complete(1, after=0.01)
    script.start(2).status(2, "transferring context:", 2).complete(2, after=0.01)
    script.start(3).complete(3, after=0.8)
    script.complete(4)
    script.start(5).status(5, "transferring context:", 1140).complete(5, after=0.01)
    for number in (6, 7, 8):
        script.complete(number, cached=True)
    script.start(9).complete(9, after=0.02)
    script.start(10).status(10, "exporting layers")
    script.status(
        10,
        "writing image sha256:f1bbbd303ca2a880f6fd9bd4dc4cc0db21b2d15879a9fb9b290a9339717da5c6",
    )
    return script.complete(10, after=0.04)
