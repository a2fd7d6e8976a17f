"""What scenario tests are told with: accounts, the command, and patience."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from forms import FORM

if TYPE_CHECKING:
    from dissolver.store import LayerForm


@dataclass
class Account:
    """Somebody who runs dissolver: root, or a user made for the tests."""

    name: str
    uid: int
    gid: int
    home: Path
    python: str
    paths: str
    form: LayerForm = FORM

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    @property
    def environment(self) -> dict[str, str]:
        runtime = self.home / "run"
        return {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "PYTHONPATH": self.paths,
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_RUNTIME_DIR": str(runtime),
            "DISSOLVER_OFFLINE": "1",
            **({"DISSOLVER_LAYERS": self.form} if self.is_root else {}),
            # Which walls `make walls` has taken away.
            **{name: value for name, value in os.environ.items() if name == "DISSOLVER_BREACH"},
        }

    def command(self, *words: str) -> list[str]:
        """Give the argument list that runs dissolver as this account."""
        return [*self.become, self.python, "-m", "dissolver", *words]

    @property
    def become(self) -> list[str]:
        if self.uid == os.geteuid():
            return []
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups"]
        return ["setpriv", *ids, "--inh-caps=-all", "--"]

    def run_directory(self, root: Path) -> Path:
        """Where locks and sockets of the store at ``root`` are."""
        base = Path("/run") if self.is_root else self.home / "run"
        return base / "dissolver" / f"{crc32(os.fsencode(root)):08x}"

    def own(self, path: Path) -> Path:
        """Hand ``path`` and all below it to this account."""
        if os.geteuid() == 0 and not self.is_root:
            for base, directories, files in os.walk(path):
                for name in (".", *directories, *files):
                    place = Path(base) / name
                    mode = place.lstat().st_mode
                    os.lchown(place, self.uid, self.gid)
                    if mode & 0o6000 and not stat.S_ISLNK(mode):
                        # Another owner takes these bits away.
                        place.chmod(stat.S_IMODE(mode))
        return path


@dataclass
class Cli:
    """The `dissolver` command as one account, on a store of its own."""

    account: Account
    root: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {**self.account.environment, "DISSOLVER_ROOT": str(self.root), **self.extra}

    @property
    def run_directory(self) -> Path:
        """Where locks and sockets of this store are."""
        return self.account.run_directory(self.root)

    def __call__(
        self,
        *words: str | Path,
        check: bool = True,
        stdin: str | bytes | None = None,
        cwd: Path | None = None,
        timeout: float = 300,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end and return what it printed; text in and out."""
        data = stdin.decode() if isinstance(stdin, bytes) else stdin
        done = subprocess.run(
            self.account.command(*map(str, words)),
            cwd=cwd or self.account.home,
            env={**self.environment, **(environment or {})},
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"dissolver {' '.join(map(str, words))}: exit {done.returncode}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done

    def out(self, *words: str | Path, **options: object) -> str:
        """Run one command and return its standard output without the last line end."""
        return self(*words, **options).stdout.rstrip("\n")  # type: ignore[arg-type]

    def spawn(self, *words: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start one command and leave it running, in a process group of its own."""
        return subprocess.Popen(
            self.account.command(*map(str, words)),
            cwd=cwd or self.account.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def directory(self, name: str, files: Mapping[str, str | bytes]) -> Path:
        """Make a directory in the account's home with ``files`` in it."""
        base = self.account.home / f"{name}-{uuid.uuid4().hex[:8]}"
        base.mkdir()
        for path, content in files.items():
            target = base / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return self.account.own(base)


# Waiting ----------------------------------------------------------------------------


def wait_until(claim: Callable[[], bool], *, seconds: float = 20, what: str = "it") -> None:
    """Call ``claim`` until it is true; fail with ``what`` when it never becomes so."""
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


def free_port() -> int:
    """Find a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a spawned command outright, as the machine's out-of-memory killer would."""
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)


def page(url: str, *, seconds: float = 20) -> str:
    """Fetch ``url`` until something answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def processes(text: str) -> list[int]:
    """List the processes whose command line contains ``text``, this one left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue  # It ended meanwhile.
            if text.encode() in words:
                found.append(int(entry.name))
    return found


def kill_processes_of(uid: int) -> None:
    """Kill every process of a user outright."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid:
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue  # It ended meanwhile.
