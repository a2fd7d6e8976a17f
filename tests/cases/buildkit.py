"""Who else builds cases: a BuildKit daemon of the test's own, and its client."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cases.builders import Dissolver, Failed, remove
from cases.reading import Case
from cases.yard import Plot, lay_out_case

PATIENCE_SECONDS = 60
_OPTIONS = {
    "--target": "target={}",
    "--build-arg": "build-arg:{}",
    "--label": "label:{}",
    "--network": "force-network-mode={}",
    "--platform": "platform={}",
    "--no-cache-filter": "no-cache={}",
    "--pull": "image-resolve-mode=pull",
}
"""What the client calls those of our flags that are options of the frontend."""


class BuildKit:
    """A daemon that builds what dissolver builds, from the same bases."""

    def __init__(self, directory: Path, dissolver: Dissolver) -> None:
        self.directory, self.dissolver = directory, dissolver
        self._socket = f"unix://{directory}/socket"
        self._log = (directory / "log").open("w")
        self._daemon = subprocess.Popen(
            [
                "buildkitd", "--root", directory / "root", "--addr", self._socket,
                "--oci-worker-net", "host", "--containerd-worker=false",
                "--allow-insecure-entitlement", "network.host",
                "--allow-insecure-entitlement", "security.insecure",
            ],
            stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        try:
            self._wait()
            self._digests = {name: self._digest(name) for name in dissolver.bases}
        except BaseException:
            self.close()
            raise

    def outcome(self, case: Case) -> dict[str, str]:
        """Build a case, and tell what came of it.

        Raises:
            Failed: the build failed, with what it said.
        """
        directory, base = self.directory / f"plot-{case.number}", self.dissolver.base(case)
        plot = lay_out_case(case, directory, self.dissolver.servers, base, **self.dissolver.places)
        try:
            return self._outcome(plot)
        finally:
            remove(plot.directory)

    def close(self) -> None:
        """End the daemon."""
        self._daemon.terminate()
        self._daemon.wait(timeout=PATIENCE_SECONDS)
        self._log.close()

    def _outcome(self, plot: Plot) -> dict[str, str]:
        archive = plot.directory / "image.tar"
        given = {path.name for path in plot.outside.iterdir()}
        keys = f"{self._annotations(plot)}{plot.case.text('output').strip()}"
        words = [*self._words(plot), "--output", f"type=oci,dest={archive}{keys}"]
        done = subprocess.run(
            words,
            cwd=plot.context,
            env={**os.environ, **plot.environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(plot.unfill(done.stderr))
        return {**plot.read(archive), "written": plot.written(given)}

    def _words(self, plot: Plot) -> Iterator[str]:
        yield from ("buildctl", "--addr", self._socket, "build", "--progress=plain")
        yield from ("--frontend", "dockerfile.v0", "--opt", "image-resolve-mode=local")
        for name in self._digests:
            yield from ("--oci-layout", f"{name}={self.dissolver.layouts / name}")
            yield from self._image(name, name)
        kind = plot.case.kind
        if kind == "directory":
            yield from ("--local", f"context={plot.context}")
        elif kind in ("git", "url"):
            yield from ("--opt", f"context={plot.where}")
        dockerfile = plot.directory if kind == "Dockerfile" or plot.reads_text else plot.context
        if dockerfile == plot.directory:
            (dockerfile / "Dockerfile").write_bytes(plot.stdin)
        if kind in ("directory", "Dockerfile"):
            yield from ("--local", f"dockerfile={dockerfile}")
        if "--no-cache" in plot.flags:
            yield "--no-cache"
        for flag, values in _grouped(plot.flags).items():
            yield from self._flag(plot, flag, values)

    def _flag(self, plot: Plot, flag: str, values: list[str]) -> Iterator[str]:
        """Say to the client what one of our flags says."""
        if flag in _IN_ONE:
            yield from ("--opt", _IN_ONE[flag](values))
        for value in values:
            if flag in ("--secret", "--ssh", "--allow"):
                yield from (flag, value)
            elif flag in ("--cache-from", "--cache-to"):
                yield from ("--import-cache" if flag == "--cache-from" else "--export-cache", value)
            elif flag in ("-o", "--output"):
                yield from ("--output", value if "=" in value else f"type=local,dest={value}")
            elif flag in ("-f", "--file") and value != "-":
                yield from ("--opt", f"filename={value}")
            elif flag == "--build-context":
                yield from self._named_context(*value.split("=", 1))
            elif flag == "--build-arg" and "=" not in value:
                yield from ("--opt", f"build-arg:{value}={plot.environment[value]}")
            elif flag in _OPTIONS and (flag, value) != ("--network", "default"):
                yield from ("--allow", "network.host") if value == "host" else ()
                yield from ("--opt", _OPTIONS[flag].format(value))

    def _annotations(self, plot: Plot) -> str:
        """Ask for annotations as the client does: as keys of the output."""
        words = _grouped(plot.flags).get("--annotation", ())
        return "".join(f',"annotation.{word.removeprefix("manifest:")}"' for word in words)

    def _named_context(self, name: str, place: str) -> Iterator[str]:
        if place.startswith("oci-layout://"):
            yield from self._image(name, Path(place).name.partition(":")[0])
        elif "://" in place:
            yield from ("--opt", f"context:{name}={place}")
        else:
            yield from ("--local", f"{name}-files={place}")
            yield from ("--opt", f"context:{name}=local:{name}-files")

    def _image(self, name: str, base: str) -> Iterator[str]:
        yield from ("--opt", f"context:{name}=oci-layout://{base}@{self._digests[base]}")

    def _digest(self, name: str) -> str:
        document = json.loads((self.dissolver.layouts / name / "index.json").read_text())
        return str(document["manifests"][0]["digest"])

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        words = ["buildctl", "--addr", self._socket, "debug", "workers"]
        while subprocess.run(words, capture_output=True, check=False).returncode != 0:
            assert time.monotonic() < end, (self.directory / "log").read_text()
            time.sleep(0.1)


def _grouped(words: list[str]) -> dict[str, list[str]]:
    """Gather the values of each flag."""
    found: dict[str, list[str]] = {}
    rest = iter(words)
    for word in rest:
        flag, has_value, value = word.partition("=")
        if flag != "--no-cache":
            found.setdefault(flag, []).append(value if has_value else next(rest))
    return found


def _hosts(values: list[str]) -> str:
    pairs = (re.split("[=:]", value, maxsplit=1) for value in values)
    return "add-hosts=" + ",".join(f"{name}={address.strip('[]')}" for name, address in pairs)


_IN_ONE: dict[str, Callable[[list[str]], str]] = {
    "--add-host": _hosts,
    "--ulimit": lambda values: f"ulimit={','.join(values)}",
    "--shm-size": lambda values: f"shm-size={int(values[-1].rstrip('m')) << 20}",
}
"""Those that are one option, whatever they are said."""


def missing() -> str:
    """Name what the machine lacks for a daemon; nothing if it has all."""
    lacking = [name for name in ("buildkitd", "buildctl", "runc") if shutil.which(name) is None]
    return shlex.join(lacking)
