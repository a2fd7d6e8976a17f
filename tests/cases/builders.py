"""Who builds cases: dissolver, as one account."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path

from cases.images import Exported, read_layout
from cases.notation import shown_content
from cases.reading import RECORDED, Case
from cases.yard import Plot, Servers, base_cases, lay_out_case, no_base
from scene import Account
from warm import Done, Warm


class Failed(AssertionError):
    """A build failed; the text is what it said."""


class Dissolver:
    """Dissolver on one store with the base images, as one account."""

    def __init__(self, account: Account, busybox: Path, servers: Servers, key: Path) -> None:
        self.account = account
        self.servers = servers
        self.directory = account.home / f"cases-{uuid.uuid4().hex[:8]}"
        self.layouts = self.directory / "layouts"
        self.layouts.mkdir(parents=True)
        own_key = Path(shutil.copy(key, self.directory / "key"))
        own_key.chmod(0o600)
        self.places = {"key": str(own_key), "layouts": str(self.layouts)}
        account.own(self.directory)
        self.warm = Warm(account, self.directory / "store")
        self.bases: dict[str, Exported] = {}
        try:
            self._import(busybox)
            program = self.bases["box"].tree["/bin/busybox"].content
            self.places["busybox"] = shown_content(program)
            for base in base_cases():
                self._build_base(base)
        except BaseException:
            self.close()
            raise

    def outcome(self, case: Case) -> dict[str, str]:
        """Build a case, and tell what came of it.

        Raises:
            Failed: the build failed, with what it said.
        """
        plot = self._plot(case)
        try:
            return self._outcome(plot)
        finally:
            remove(plot.directory)

    def base(self, case: Case) -> Exported:
        """Give the image that a case builds on."""
        name = case.text("base", "box").strip()
        return no_base() if name == "scratch" else self.bases[name]

    def close(self) -> None:
        """End the process and remove the store."""
        self.warm.close()
        remove(self.directory)

    def _plot(self, case: Case) -> Plot:
        directory = self.directory / f"plot-{case.number}"
        plot = lay_out_case(case, directory, self.servers, self.base(case), **self.places)
        self.account.own(directory)
        return plot

    def _outcome(self, plot: Plot) -> dict[str, str]:
        archive = plot.directory / "image.tar"
        exports = plot.case.is_open or any(plot.case.has(part) for part in RECORDED)
        given = {path.name for path in plot.outside.iterdir()}
        output = f"type=oci,dest={archive},compression=uncompressed{plot.case.text('output')}"
        words = [*(["-o", output] if exports else []), *plot.flags, plot.where]
        done = self.warm(
            ["build", "--progress=plain", *words],
            stdin=plot.stdin,
            cwd=plot.context,
            environment=plot.environment,
        )
        if done.status != 0:
            raise Failed(plot.unfill(done.stderr + done.stdout))
        told = plot.read(archive) if exports else {}
        written = plot.written(given)
        stdout = plot.unfill(done.stdout).rstrip("\n")
        return {**told, "stdout": f"{stdout}\n" if stdout else "", "written": written}

    def _import(self, busybox: Path) -> None:
        self._checked(self.warm(["import", "-c", 'CMD ["sh"]', busybox, "box"]))
        self._keep_base("box")

    def _build_base(self, case: Case) -> None:
        plot = self._plot(case)
        self._checked(self.warm(["build", "-t", case.name, *plot.flags, plot.context]))
        self._keep_base(case.name)
        remove(plot.directory)

    def _keep_base(self, name: str) -> None:
        words = ["save", "--format", "oci-directory", "-o", self.layouts / name, name]
        self._checked(self.warm(words))
        self.bases[name] = read_layout(self.layouts / name)

    def _checked(self, done: Done) -> None:
        assert done.status == 0, done.stderr


def remove(directory: Path) -> None:
    """Remove what an account made, whoever it belongs to."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(directory)], check=False)


def compare(case: Case, outcome: Mapping[str, str], *, is_peer: bool = False) -> None:
    """Check that everything a case tells came true."""
    expected = {
        part: text for part in outcome if (text := case.expected(part, is_peer=is_peer)) is not None
    }
    found = {part: outcome[part] for part in expected}
    assert found == expected, difference(expected, found)


def difference(expected: Mapping[str, str], found: Mapping[str, str]) -> str:
    """Show which lines were expected and did not come, and which came instead."""
    texts = [
        [f"{part}: {line}" for part, text in told.items() for line in text.splitlines()]
        for told in (expected, found)
    ]
    return "\n".join(("not as expected", *unified_diff(*texts, "expected", "found", lineterm="")))
