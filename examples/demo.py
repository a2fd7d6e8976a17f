"""Builds the Node example in both orders, rebuilds it from cache, and runs it.

Everything is real: a Debian base system from the machine's own mirror, a real
`npm install`, real namespaces. The images stay in the store afterwards, to be
looked at with `dissolver images`. Run it with `make demo`, as often as you like:
its images and its container have names of their own, and nothing of an earlier run
answers for a later one.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent

# Not `node` and `node-app`, which may be somebody's, and something else.
BASE = "dissolver-demo/debian:bookworm-slim"
NODE = "dissolver-demo/node"
APP = "dissolver-demo/node-app"

PORT = 3000

# Where Debian and Fedora keep authorities that somebody added to the machine.
OWN_AUTHORITIES = (
    Path("/usr/local/share/ca-certificates"),
    Path("/etc/pki/ca-trust/source/anchors"),
)

ORDERS = {
    "COPY . /app before RUN npm install": "Dockerfile.copy-first",
    "COPY package.json first": "Dockerfile",
}


class DemoFailed(Exception):
    """A step of the demo that did not do what it must; the message says which."""


class CommandFailed(DemoFailed):
    """A command that failed; ``told`` is what it wrote to its standard error."""

    def __init__(self, message: str, told: str) -> None:
        super().__init__(message)
        self.told = told


@dataclass(frozen=True)
class Build:
    """One build: how long the whole command took, and which steps were CACHED."""

    seconds: float
    image: str
    cached: tuple[str, ...]
    steps: tuple[str, ...]


def dissolver(*words: str, show: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command; show its progress; a failure ends the demo with what it said."""
    command = [sys.executable, "-m", "dissolver", *words]
    print(f"\n$ dissolver {' '.join(words)}", flush=True)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    output = process.stdout
    assert output is not None
    assert process.stderr is not None
    # Both at once: a list of many images fills its pipe while nothing is said beside it.
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.append(output.read()))
    reader.start()
    told: list[str] = []
    for line in process.stderr:
        told.append(line)
        if show:
            print(f"  {line}", end="", flush=True)
    reader.join()
    out = "".join(printed)
    status = process.wait()
    if out and show:
        print("".join(f"  {line}\n" for line in out.splitlines()), end="", flush=True)
    if status != 0:
        last = "" if show else "".join(told[-15:]) + out
        raise CommandFailed(
            f"`dissolver {' '.join(words)}` ended with exit code {status}\n{last}", "".join(told)
        )
    return subprocess.CompletedProcess(command, status, out, "".join(told))


def has_own_authorities() -> bool:
    """Tell whether somebody added certificate authorities to this machine."""
    return any(place.is_dir() and any(place.iterdir()) for place in OWN_AUTHORITIES)


def has_image(name: str) -> bool:
    """Tell whether the store has an image of this name."""
    probe = subprocess.run(
        [sys.executable, "-m", "dissolver", "image", "inspect", name],
        capture_output=True,
        check=False,
    )
    return probe.returncode == 0


def build(app: Path, dockerfile: str, *flags: str) -> Build:
    """Build the app with one of its Dockerfiles and read what the progress said."""
    start = time.monotonic()
    done = dissolver(
        *("build", "--progress=plain", "-f", str(app / dockerfile), "-t", APP),
        *("--build-context", f"node=docker-image://{NODE}", *flags, str(app)),
    )
    seconds = time.monotonic() - start
    names: dict[str, str] = {}
    cached: list[str] = []
    for line in done.stderr.splitlines():
        if match := re.match(r"#(\d+) (\[(?:\S+ )?\d+/\d+\] .*)$", line):
            names[match[1]] = match[2]
        if (match := re.match(r"#(\d+) CACHED$", line)) and match[1] in names:
            cached.append(names[match[1]])
    image = re.findall(r"writing image (sha256:[0-9a-f]{64})", done.stderr)
    if not image or not names:
        raise DemoFailed("the progress of the build names no steps or no image")
    return Build(seconds, image[-1], tuple(cached), tuple(names.values()))


def short(steps: tuple[str, ...]) -> str:
    """List steps without their counters, as the table shows them."""
    texts = [re.sub(r"^\[.*?\] ", "", step) for step in steps]
    return ", ".join(text for text in texts if not text.startswith("FROM")) or "-"


def expect(claim: bool, sentence: str) -> None:
    """End the demo with ``sentence`` when the claim does not hold."""
    if not claim:
        raise DemoFailed(sentence)


def new_app(place: Path) -> Path:
    """Copy the app to ``place``, with a `package.json` that no build has seen.

    So its first build finds nothing of it in the cache, whatever is in the store and whoever
    builds beside, and what it makes takes nothing away from others.
    """
    shutil.copytree(EXAMPLES / "node-app", place)
    package = place / "package.json"
    fields = json.loads(package.read_text(encoding="utf-8"))
    fields["description"] += f", copy {secrets.token_hex(8)}"
    package.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    return place


def three_builds(app: Path, dockerfile: str, flags: list[str]) -> list[Build]:
    """Build cold, again unchanged, and again with `server.js` changed."""
    cold = build(app, dockerfile, *flags)
    known = [step for step in cold.cached if "COPY" in step or "RUN" in step]
    expect(not known, f"these steps should not have been CACHED the first time: {known}")
    again = build(app, dockerfile, *flags)
    ran = [step for step in again.steps if "FROM" not in step]
    missing = [step for step in ran if step not in again.cached]
    expect(not missing, f"these steps should have been CACHED the second time: {missing}")
    expect(again.image == cold.image, "the second build gave another image ID")
    server = app / "server.js"
    source = server.read_text(encoding="utf-8")
    changed_text = source.replace("Hello from dissolver!", f"Hello again, from {dockerfile}!")
    expect(changed_text != source, "`server.js` has no greeting to change")
    server.write_text(changed_text, encoding="utf-8")
    try:
        changed = build(app, dockerfile, *flags)
    finally:
        server.write_text(source, encoding="utf-8")
    expect(changed.image != cold.image, "a changed `server.js` gave the same image")
    return [cold, again, changed]


def is_port_taken() -> bool:
    """Report whether something answers on the port that the demo likes best."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def remove(container: str) -> None:
    """Remove the container, if there is one, and say nothing."""
    subprocess.run(
        [sys.executable, "-m", "dissolver", "rm", "-f", container], capture_output=True, check=False
    )


PORT_IS_TAKEN = ("port is already allocated", "Failed to bind any port")
"""What root's bridge and an ordinary user's pasta say of a port that somebody was faster to get."""


def start(container: str, image: str) -> int:
    """Run the image under a name and return the port of this machine that leads to it.

    It is another one than usual, and said so, where something has that: a program that listens,
    or the container of somebody whom only the firewall knows, whose port looks free.
    """
    run = ("run", "-d", "--name", container, "-p")
    if not is_port_taken():
        try:
            dissolver(*run, f"{PORT}:80", image)
        except CommandFailed as failure:
            if not any(words in failure.told for words in PORT_IS_TAKEN):
                raise
            remove(container)
        else:
            return PORT
    print(f"\nPort {PORT} of this machine is taken, so the container gets another one.")
    dissolver(*run, "80", image)
    shown = json.loads(dissolver("inspect", container, show=False).stdout)
    return int(shown[0]["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"])


def fetch(url: str, container: str) -> str:
    """Fetch a page of the container as soon as it answers, through no proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 20
    while True:
        try:
            with opener.open(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError as error:
            if time.monotonic() > end:
                logs = dissolver("logs", container)
                raise DemoFailed(
                    f"nothing answered on {url}: {error}\n{logs.stdout}{logs.stderr}"
                ) from error
            time.sleep(0.1)


def serve_and_fetch(image: str) -> None:
    """Run a container, fetch its page through the published port, remove the container."""
    container = f"dissolver-demo-{secrets.token_hex(4)}"
    try:
        url = f"http://127.0.0.1:{start(container, image)}/"
        page = fetch(url, container)
        print(f"\n$ curl {url}\n{page}")
        expect("Hello again, from Dockerfile!" in page, "the page is not the changed one")
        dissolver("ps", "--filter", f"name={container}")
        dissolver("stop", container)
    finally:
        remove(container)


def print_table(results: dict[str, list[Build]]) -> None:
    """Print order by {cold, cached, source changed}: seconds, and what was CACHED."""
    print(
        f"{'order':<36}{'cold':>10}{'cached':>10}{'source changed':>17}   CACHED after the change"
    )
    for order, (cold, again, changed) in results.items():
        print(
            f"{order:<36}{cold.seconds:>8.2f} s{again.seconds:>8.2f} s{changed.seconds:>15.2f} s"
            f"   {short(changed.cached)}"
        )


def main() -> int:
    """Tell the story; return the exit code."""
    flags = ["--host-certificates"] if has_own_authorities() else []
    try:
        if not has_image(NODE):
            if not has_image(BASE):
                dissolver("image", "bootstrap", "bookworm", "-t", BASE)
            base = f"debian:bookworm-slim=docker-image://{BASE}"
            words = ("--build-context", base, "-t", NODE, str(EXAMPLES / "node"))
            dissolver("build", "--progress=plain", *words)
        with tempfile.TemporaryDirectory(prefix="dissolver-demo-") as scratch:
            results = {
                order: three_builds(new_app(Path(scratch) / str(number)), dockerfile, flags)
                for number, (order, dockerfile) in enumerate(ORDERS.items())
            }
        naive, good = (builds[2] for builds in results.values())
        expect(
            not any("npm install" in step for step in naive.cached),
            "npm install was CACHED although what it stands on changed",
        )
        expect(
            any("npm install" in step for step in good.cached),
            "npm install ran again although package.json did not change",
        )
        # Not by its name, which another demo may give to its own meanwhile.
        serve_and_fetch(good.image.removeprefix("sha256:")[:12])
        dissolver("images", "--filter", "reference=dissolver-demo/*")
        print()
        print_table(results)
    except DemoFailed as failure:
        print(f"\ndemo: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
