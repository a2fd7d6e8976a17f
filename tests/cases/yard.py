"""Where cases are built: files beside each other, servers, and words with places filled in."""

from __future__ import annotations

import gzip
import io
import lzma
import platform
import re
import shlex
import shutil
import subprocess
import tarfile
from bz2 import compress as bzip2
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cases.images import (
    Exported,
    annotations_text,
    config_text,
    history_text,
    read_archive,
    scratch,
    times_text,
    tree_text,
)
from cases.leftovers import describe
from cases.notation import lay_out, read_tree
from cases.reading import DIRECTORY, Case, read_cases
from registry.servers import registry_server
from servers import Page, Repository, Web, git_server, web_server

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "amd64")
ARCHIVE = "context.tar.gz"
"""What a context behind a URL is called there."""


# Servers ----------------------------------------------------------------------------------


@dataclass
class Servers:
    """A web server and a git server, which every case has a directory of."""

    web: Web
    git: Repository | None
    registry: str

    def places(self, case: Case) -> dict[str, str]:
        """Put up what the case wants, and say where it is."""
        places = {"case": f"case-{case.number}", "registry": self.registry}
        prefix = f"/case-{case.number}"
        if case.has("web") or case.kind == "url":
            places["web"] = self.web.url + prefix
            for path, node in read_tree(case.text("web")).items():
                self.web.pages[f"{prefix}/{path}"] = Page(node.content)
        if case.has("git"):
            assert self.git is not None, "git is not installed"
            places |= self._repository(case, f"case-{case.number}.git")
        return places

    def _repository(self, case: Case, name: str) -> dict[str, str]:
        assert self.git is not None
        place = self.git.url.rpartition("/")[0] + f"/{name}"
        made = Repository(self.git.path.parent / name, place)
        places = {"git": place}
        if made.path.exists():
            shutil.rmtree(made.path)
        made.path.mkdir()
        made.git("init", "-q", "-b", "main", "--template=")
        for section in case.all("git"):
            lay_out(section.text, made.path)
            if case.kind == "git":
                write_dockerfiles(case, made.path, {})
            made.git("add", "-A")
            made.git("commit", "-q", "-m", "x")
            if "commit" not in places:
                made.git("tag", "v1")
                places["commit"] = made.git("rev-parse", "HEAD")
        return places


@contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    with web_server() as web, registry_server(directory / "registry") as registry:
        if shutil.which("git") is None:
            yield Servers(web, None, registry.host)
            return
        with git_server(directory / "git") as repository:
            yield Servers(web, repository, registry.host)


# One case on disk -------------------------------------------------------------------------


@dataclass
class Plot:
    """A case laid out: its directories, and what its words mean there."""

    case: Case
    directory: Path
    places: dict[str, str]
    base: Exported

    @property
    def context(self) -> Path:
        return self.directory / "context"

    @property
    def outside(self) -> Path:
        return self.directory / "outside"

    def fill(self, text: str) -> str:
        """Put places where their names are."""
        for name, place in self.places.items():
            text = text.replace(f"{{{name}}}", place)
        return text

    def unfill(self, text: str) -> str:
        """Put names where their places are, and `{digest}` where digests are."""
        text = re.sub(r"sha256:[0-9a-f]{64}", "{digest}", text)
        for name, place in sorted(self.places.items(), key=lambda item: -len(item[1])):
            text = text.replace(place, f"{{{name}}}")
        return text

    @property
    def flags(self) -> list[str]:
        return shlex.split(self.fill(self.case.text("flags")))

    @property
    def environment(self) -> dict[str, str]:
        lines = self.fill(self.case.text("environment")).splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def where(self) -> str:
        """The last word of the command: where the files come from."""
        words = {"directory": str(self.context), "tar": "-", "Dockerfile": "-"}
        words |= {"git": self.places.get("git", ""), "url": f"{{web}}/{ARCHIVE}"}
        return self.fill(words[self.case.kind] + self.case.text("from").strip().partition(" ")[2])

    @property
    def stdin(self) -> bytes:
        if self.case.kind == "tar":
            return packed(self.context, "tar.gz")
        is_text = self.case.kind == "Dockerfile" or self.reads_text
        return self.fill(self.case.text("Dockerfile")).encode() if is_text else b""

    @property
    def reads_text(self) -> bool:
        """Whether `-f -` asks for the Dockerfile on standard input."""
        words = self.flags
        return any(words[index : index + 2] == ["-f", "-"] for index in range(len(words)))

    def written(self, given: Collection[str]) -> str:
        """Tell what lies outside that was not ``given``, if the case is about that."""
        if not self.case.has("written"):
            return ""
        return self.unfill(describe(self.outside, given, self.base))

    def read(self, archive: Path) -> dict[str, str]:
        """Tell what came of the build, from the image that it exported."""
        image = read_archive(archive)
        told = {
            "tree": tree_text(image, self.base),
            "config": config_text(image, self.base),
            "history": history_text(image, self.base),
            "annotations": annotations_text(image),
            "times": times_text(image, self.base),
        }
        return {part: self.unfill(text) for part, text in told.items()}


def lay_out_case(
    case: Case, directory: Path, servers: Servers, base: Exported, **places: str
) -> Plot:
    """Write the files of a case below ``directory``, and put up what servers show of it."""
    plot = Plot(case, directory, places | servers.places(case), base)
    for path in (plot.context, plot.outside):
        path.mkdir(parents=True)
    plot.places |= {"context": str(plot.context), "outside": str(plot.outside)}
    lay_out(case.text("context"), plot.context)
    lay_out(case.text("outside"), plot.outside)
    for section in case.all("archive"):
        inside = lay_out(section.text, directory / "packed" / section.argument)
        path = plot.context / section.argument
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed(inside, section.argument.partition(".")[2]))
    for section in case.all("file"):
        path = plot.context / section.argument
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(plot.fill(section.text), encoding="utf-8")
    if case.kind != "Dockerfile" and not plot.reads_text:
        write_dockerfiles(case, plot.context, plot.places)
    if case.kind == "url":
        servers.web.pages[f"/case-{case.number}/{ARCHIVE}"] = Page(packed(plot.context, "tar.gz"))
    return plot


def write_dockerfiles(case: Case, directory: Path, places: Mapping[str, str]) -> None:
    plot = Plot(case, directory, dict(places), Exported())
    for section in case.all("Dockerfile"):
        path = directory / (section.argument or "Dockerfile")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(plot.fill(section.text), encoding="utf-8")


def packed(directory: Path, suffix: str) -> bytes:
    """Pack what is in a directory, with the owners 5 and 6, as the suffix says."""
    buffer = io.BytesIO()

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid, entry.uname, entry.gname = 5, 6, "", ""
        return entry

    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(directory.iterdir()):
            tar.add(path, arcname=path.name, filter=owned)
    pack: dict[str, Callable[[bytes], bytes]] = {
        "tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bzip2, "tar.xz": lzma.compress,
        "tar.zst": _zstd,
    }  # fmt: skip
    return pack[suffix](buffer.getvalue())


def _zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout


# Bases ------------------------------------------------------------------------------------


def base_cases() -> list[Case]:
    """Read the images that cases build on, each of which comes from a Dockerfile of its own."""
    return read_cases(DIRECTORY / "bases.images")


def no_base() -> Exported:
    """Give what a case starts with whose base is `scratch`."""
    return scratch(ARCHITECTURE)
