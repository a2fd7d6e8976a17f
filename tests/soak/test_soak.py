"""Builds, imports, pulls, prunes and removals that are killed outright at random moments.

A few kills belong to every run of the tests. ``make soak`` kills 200 times;
``KILLS`` and ``SEED`` choose how often, and repeat what a seed did. After each
kill the store has to pass ``system check``, whatever went on beside the killed
process has to have succeeded, and the next build has to be right.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.servers import RegistryServer
from scene import Cli, wait_until
from soak.world import Context, archive, contexts, pushed

KILLS = int(os.environ.get("DISSOLVER_SOAK_KILLS") or 10)
SEED = int(os.environ.get("DISSOLVER_SOAK_SEED") or secrets.randbelow(1_000_000))

Words = list[str | Path]


@dataclass
class Deed:
    """What goes on at once, some of it killed."""

    name: str
    commands: Callable[[], list[Words]]
    seconds: float = 1.0
    """How long it takes when nobody kills it; the kill comes somewhere in that time."""


class Soak:
    """One store, and chance."""

    def __init__(self, cli: Cli, busybox_tar: Path, server: RegistryServer) -> None:
        self.cli = cli
        self.chance = random.Random(f"{SEED} {cli.account.is_root}")
        self.busybox_tar = busybox_tar
        names = [server.name(f"{cli.account.name}-{number}") for number in range(3)]
        images = [pushed(cli, self.chance, name) for name in names]
        self.contexts: tuple[Context, ...] = (*contexts(cli, self.chance), *images)
        self.archives = [archive(cli, self.chance) for _ in range(3)]
        self.log: list[str] = []
        self.hits = 0
        """Kills that came before the end of what they killed."""
        copy, run, *_ = self.contexts

        def pull() -> Words:
            image = self.chance.choice(images)
            self.cli("rmi", "-f", image.name, check=False)
            return image.build()

        def imports() -> list[Words]:
            path = self.chance.choice(self.archives)
            return [["import", path, f"imported{self.chance.randrange(3)}"]]

        def prune() -> Words:
            return self.chance.choice(
                [["system", "prune", "-f"], ["image", "prune", "-f"], ["builder", "prune", "-f"]]
            )

        def removes() -> list[Words]:
            names = self.cli.out("images", "--format", "{{.Repository}}").split()
            names = [name for name in names if name not in ("box", "<none>")] or ["copy"]
            return [["rmi", "-f", self.chance.choice(names)]]

        self.deeds = [
            Deed("copy", lambda: [copy.build()]),
            Deed("run", lambda: [run.build()]),
            Deed("run without cache", lambda: [["build", "--no-cache", *run.build()[1:]]]),
            Deed("the same twice", lambda: [copy.build(), copy.build(tag="again")]),
            Deed("two different ones", lambda: [copy.build(), run.build()]),
            Deed("import", imports),
            Deed("the same import twice", lambda: [self.import_base(), self.import_base()]),
            Deed("pull", lambda: [pull()]),
            Deed("the same pull twice", lambda: [pull()] * 2),
            Deed("pull during a build and a prune", lambda: [pull(), copy.build(), prune()]),
            Deed("prune", lambda: [["system", "prune", "-af"]]),
            Deed("rmi", removes),
            Deed("prune during builds", lambda: [copy.build(), run.build(), prune()]),
            Deed("rmi and import during a build", lambda: [run.build(), *removes(), *imports()]),
        ]

    def import_base(self) -> Words:
        return ["import", "-c", 'CMD ["sh"]', self.busybox_tar, "box"]

    def measure(self) -> None:
        """Find out how long everything takes."""
        for deed in self.deeds:
            self.change()
            started = time.monotonic()
            self.ends(deed, [self.cli.spawn(*words) for words in deed.commands()])
            deed.seconds = time.monotonic() - started
            self.restore_base()

    def round(self) -> None:
        """Change the contexts, begin something, kill it, and look at what is left."""
        deed = self.chance.choice(self.deeds)
        self.change()
        commands = deed.commands()
        moment = self.chance.uniform(0, deed.seconds * 1.05)
        victims = self.chance.choice([range(len(commands)), [self.chance.randrange(len(commands))]])
        whole_group = self.chance.random() < 0.5
        self.log.append(
            f"{len(self.log)}: {deed.name}, {[' '.join(map(str, words)) for words in commands]}, "
            f"killed {list(victims)} after {moment:.3f} s{' with children' * whole_group}"
        )
        running = [self.cli.spawn(*words) for words in commands]
        time.sleep(moment)
        kill = os.killpg if whole_group else os.kill
        alive = [number for number in victims if running[number].poll() is None]
        for number in alive:
            kill(running[number].pid, signal.SIGKILL)
        self.hits += bool(alive)
        self.ends(deed, running, killed=set(alive))
        self.looks_right()

    def change(self) -> None:
        for context in self.contexts:
            if self.chance.random() < 0.7:
                context.change(self.chance)

    def ends(
        self,
        deed: Deed,
        running: list[subprocess.Popen[str]],
        killed: frozenset[int] | set[int] = frozenset(),
    ) -> None:
        """Wait for all of them; what was not killed has to have worked."""
        for number, process in enumerate(running):
            said, _ = process.communicate(timeout=120)
            # Names are removed by chance, also such as are gone already.
            is_excused = number in killed or ("no local image" in said and "rmi" in deed.name)
            assert process.returncode == 0 or is_excused, f"{deed.name}: {process.args}\n{said}"

    def restore_base(self) -> None:
        if "box" not in self.cli.out("images", "--format", "{{.Repository}}").split():
            self.cli(*self.import_base())

    def looks_right(self) -> None:
        checked = self.cli("system", "check", check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        lines = checked.stdout.splitlines()
        assert lines[-1] == "no problems found"
        leftovers = ("nothing uses ", "container ")
        assert all(line.startswith(leftovers) for line in lines[:-1]), checked.stdout
        self.restore_base()
        self.chance.choice(self.contexts).assert_right(self.cli)

    def ends_clean(self) -> None:
        """Build everything once more, then remove everything: nothing of it stays."""
        for context in self.contexts:
            context.assert_right(self.cli)
        self.cli("system", "prune", "-af")
        self.cli("rmi", "-f", *self.cli.out("images", "-aq").split(), check=False)
        self.cli("system", "prune", "-af")
        assert self.cli.out("system", "check") == "no problems found"
        for name in ("layers", "packs", "tmp"):
            wait_until(lambda name=name: not any((self.cli.root / name).iterdir()), what=name)  # type: ignore[misc]
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        assert str(self.cli.root) not in mounts


@pytest.mark.slow
def test_no_kill_harms_the_store(box: Cli, busybox_tar: Path, server: RegistryServer) -> None:
    soak = Soak(box, busybox_tar, server)
    rounds = -(-KILLS // 2)  # the other half is that of the other account
    try:
        soak.measure()
        for _ in range(rounds):
            soak.round()
        soak.ends_clean()
    except BaseException:
        say(f"seed {SEED}, {box.account.name}; the last rounds:", *soak.log[-5:])
        kept = Path("/var/tmp") / f"dissolver-soak-{SEED}-{len(soak.log)}"
        subprocess.run(["cp", "-a", box.root, kept], check=False)
        say(f"the store was copied to {kept}")
        raise
    say(f"{rounds} kills as {box.account.name} with seed {SEED}, {soak.hits} of them in time")


def say(*lines: str) -> None:
    sys.stdout.write("\n".join(["", *lines, ""]))
