"""What a soak builds and pulls, and what must be in these images."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from scene import Cli

COPY_HEAVY = """\
FROM box AS files
COPY . /data
FROM box
COPY --from=files /data /all
COPY d1 /one/
WORKDIR /repo
"""

RUN_HEAVY = """\
FROM box
RUN mkdir -p /made/a/b && for i in $(seq 60); do echo $i > /made/a/f$i; done
RUN rm -rf /made/a/f1* && ln /made/a/f2 /made/a/b/linked && ln -s f3 /made/a/pointer
RUN dd if=/dev/zero of=/made/zeros bs=64k count=40 2>/dev/null && chmod 600 /made/zeros
RUN rm -rf /made/a/b && mkdir /made/a/b && echo new > /made/a/b/x && chown 1:1 /made/a/b/x
COPY changing /made/changing
RUN cat /made/changing >> /made/a/f3
"""

LIST = "find . | sort; find . -type f | sort | xargs -r sha256sum"


@dataclass
class Context(ABC):
    """A directory that is built from, and how an image of it is told to be right."""

    name: str
    path: Path
    where: str

    def build(self, *, tag: str | None = None) -> list[str | Path]:
        return ["build", "-q", "-t", tag or self.name, self.path]

    @abstractmethod
    def change(self, chance: random.Random) -> None:
        """Change something in the directory, so that the next build is another one."""

    @abstractmethod
    def expected(self) -> str:
        """Give what `LIST` prints in a right image."""

    def assert_right(self, cli: Cli) -> None:
        """Build to the end and compare what is in the image with what must be in it."""
        cli(*self.build())
        shell = f"cd {self.where} && {{ {LIST}; }}"
        assert cli.out("run", "--rm", "--network=none", self.name, "sh", "-c", shell) == (
            self.expected()
        ), f"the image of {self.name} is wrong"


class CopyHeavy(Context):
    """Some hundred files that are written, doubled, renamed and removed between builds."""

    def change(self, chance: random.Random) -> None:
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        files.remove(self.path / "Dockerfile")
        for _ in range(chance.randrange(1, 5)):
            file = chance.choice(files)
            if not file.exists():
                continue
            match chance.choice(["write", "same size", "append", "remove", "rename", "add"]):
                case "write":
                    file.write_bytes(chance.randbytes(chance.randrange(100_000)))
                case "same size":
                    file.write_bytes(chance.randbytes(file.stat().st_size))
                case "append":
                    file.write_bytes(file.read_bytes() + b"more")
                case "remove" if len(files) > 100:
                    file.unlink()
                case "rename":
                    file.rename(file.with_name(f"r{chance.randrange(1000)}"))
                case _:
                    file.with_name(f"n{chance.randrange(1000)}").write_bytes(chance.randbytes(999))

    def expected(self) -> str:
        paths = sorted(self.path.rglob("*"), key=lambda path: str(path))
        names = sorted(f"./{path.relative_to(self.path)}" for path in paths)
        lines = [".", *names]
        for name in names:
            file = self.path / name
            if file.is_file():
                lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}")
        return "\n".join(lines)


class RunHeavy(Context):
    """Steps that make, link, hide and replace files; one of them depends on a file that changes."""

    def change(self, chance: random.Random) -> None:
        (self.path / "changing").write_text(f"{chance.randrange(1000)}\n", encoding="utf-8")

    def expected(self) -> str:
        changing = (self.path / "changing").read_bytes()
        files = {f"./a/f{i}": b"%d\n" % i for i in range(1, 61) if str(i)[0] != "1"}
        files["./a/f3"] += changing
        files["./a/b/x"] = b"new\n"
        files["./changing"] = changing
        files["./zeros"] = bytes(40 << 16)
        names = sorted([".", "./a", "./a/b", "./a/pointer", *files])
        sums = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}" for name in sorted(files)]
        return "\n".join([*names, *sums])


class Pulled(Context):
    """An image of several layers in a registry, which is pulled and not built."""

    def build(self, *, tag: str | None = None) -> list[str | Path]:
        return ["pull", "-q", tag or self.name]

    def change(self, chance: random.Random) -> None:
        """Change nothing: what is in the registry stays."""

    def expected(self) -> str:
        names = sorted(f"./{path.relative_to(self.path)}" for path in self.path.rglob("*"))
        files = [name for name in names if (self.path / name).is_file()]
        sums = [f"{hashlib.sha256((self.path / f).read_bytes()).hexdigest()}  {f}" for f in files]
        return "\n".join([".", *names, *sums])


def pushed(cli: Cli, chance: random.Random, name: str) -> Pulled:
    """Make an image with a layer for each of some directories, and leave it in a registry only."""
    files = {f"d{n % 4}/f{n}": chance.randbytes(chance.randrange(90_000)) for n in range(60)}
    context = cli.directory("pushed", files)
    recipe = "\n".join(["FROM box", *(f"COPY d{number} /all/d{number}" for number in range(4))])
    cli("build", "-q", "-t", name, "-f", "-", context, stdin=recipe)
    cli("push", "-q", name)
    cli("rmi", name)
    return Pulled(name, context, "/all")


def contexts(cli: Cli, chance: random.Random) -> tuple[CopyHeavy, RunHeavy]:
    """Make both contexts in the account's home."""
    files = {
        f"d{number % 12}/f{number}": chance.randbytes(chance.randrange(40_000))
        for number in range(300)
    }
    copy = cli.directory("copy", {**files, "Dockerfile": COPY_HEAVY})
    run = cli.directory("run", {"Dockerfile": RUN_HEAVY, "changing": "0\n"})
    return CopyHeavy("copy", copy, "/all"), RunHeavy("run", run, "/made")


def archive(cli: Cli, chance: random.Random) -> Path:
    """Make a compressed tar of random files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(150):
            member = tarfile.TarInfo(f"d{number % 7}/f{number}")
            content = chance.randbytes(chance.randrange(60_000))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    data = gzip.compress(buffer.getvalue(), 1)
    return cli.directory("archive", {"layer.tar.gz": data}) / "layer.tar.gz"
