"""Reading the files of cases, and writing what a case lacks.

A file begins with what its cases are about. Every case begins with `=== ` and a sentence,
and consists of sections, `--- NAME ARGUMENT`, whose texts go on until the next one (a text has
`\\---` for `---` at the start of a line). What a case is made of:

    Dockerfile [PATH]   its text, at PATH of the context; `{web}` and the like are replaced
    context             files, in the notation of `notation.py`
    file PATH           a file of the context as it is
    archive PATH        a tar in the context, of files in the notation
    outside             files beside the context, at `{outside}`
    web                 files at `{web}`; git: files of a repository at `{git}`, tagged `v1`
    git later           files of a second commit there, on `main`
    flags               words behind `build`; environment: `NAME=value` lines
    from KIND           the context: `tar` or `Dockerfile` on standard input, `git`, `url`
    output KEYS         what else the exported image is asked for, `,rewrite-timestamp=true`
    base NAME           the image that it builds on: `box` unless it is said, or `scratch`

and of what comes of it, where the files, the configuration and the history are
told as differences from the base, and completely:

    tree, config, history
    annotations, times  those of the manifest; those of the image, its history and its files
    stdout, written     what is printed, and what is outside afterwards
    fails               parts of the error

    differs ROW         BuildKit does otherwise, as this row of docs/compatibility.md says;
                        `buildkit tree` and so on are what comes of it there
    no peer REASON      the case cannot be told to BuildKit at all
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

DIRECTORY = Path(__file__).parent
OUTCOMES = ("tree", "config", "history", "annotations", "times", "stdout", "written", "fails")
OPEN = "?"
"""What stands behind the name of an outcome that is to be recorded."""
RECORDED = ("tree", "config", "history")
OTHERWISE = tuple(f"buildkit {part}" for part in OUTCOMES)
INPUTS = {
    "Dockerfile", "context", "file", "archive", "outside", "web", "git", "flags", "environment",
    "from", "base", "output", "differs", "no peer",
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A part of a case."""

    name: str
    argument: str
    text: str


@dataclass
class Case:
    """One build, and what comes of it."""

    file: Path
    name: str
    sections: list[Section] = field(default_factory=list)
    number: int = 0

    @property
    def id(self) -> str:
        return f"{self.file.stem}: {self.name}"

    def all(self, name: str) -> list[Section]:
        return [section for section in self.sections if section.name == name]

    def text(self, name: str, default: str = "") -> str:
        """Give the text of the only section of that name, or what follows its name."""
        found = self.all(name)
        assert len(found) <= 1, f"{self.id} has several sections `{name}`"
        return (found[0].text or found[0].argument) if found else default

    def has(self, name: str) -> bool:
        return bool(self.all(name))

    def expected(self, part: str, *, is_peer: bool = False) -> str | None:
        """Give the text that is expected of a part of the outcome, if any is."""
        for name in ([f"buildkit {part}"] if is_peer else []) + [part]:
            if self.has(name):
                return self.text(name)
        return None

    @property
    def kind(self) -> str:
        """What the context is: a `directory`, `tar`, `Dockerfile`, `git` or `url`."""
        return self.text("from", "directory").split()[0]

    @property
    def is_open(self) -> bool:
        """Whether nothing says yet what comes of it."""
        return not any(section.name in OUTCOMES for section in self.sections) or any(
            section.argument == OPEN for section in self.sections
        )


def read_cases(file: Path) -> list[Case]:
    """Read all cases of a file."""
    cases: list[Case] = []
    for part in re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        case = Case(file, name.strip())
        for section in re.split(r"^--- ", rest, flags=re.MULTILINE)[1:]:
            case.sections.append(_section(section))
        cases.append(case)
    return cases


def _section(text: str) -> Section:
    head, _, body = text.partition("\n")
    known = {*INPUTS, *OUTCOMES, *OTHERWISE}
    name = max(
        (known_name for known_name in known if f"{head} ".startswith(f"{known_name} ")),
        key=len,
        default="",
    )
    assert name, f"unknown section `{head}`"
    body = re.sub(r"^\\(?=---|===)", "", body.rstrip("\n"), flags=re.MULTILINE)
    return Section(name, head[len(name) :].strip(), f"{body}\n" if body else "")


def all_cases() -> list[Case]:
    """Read all cases that there are."""
    found = [case for file in sorted(DIRECTORY.glob("*.cases")) for case in read_cases(file)]
    for number, case in enumerate(found):
        case.number = number
    return found


def record(case: Case, outcome: dict[str, str]) -> None:
    """Write what came of a case that did not say it into its file."""
    text = case.file.read_text(encoding="utf-8")
    begin = text.index(f"=== {case.name}\n")
    end = text.find("\n=== ", begin)
    end = len(text) if end < 0 else end
    body = text[begin:end].rstrip() + "\n"
    if not any(section.name in OUTCOMES for section in case.sections):
        body += "".join(f"--- {part} {OPEN}\n" for part in RECORDED)
    for part, told in outcome.items():
        shown = re.sub(r"^(?=---|===)", r"\\", told, flags=re.MULTILINE)
        body = body.replace(f"--- {part} {OPEN}\n", f"--- {part}\n{shown}")
    case.file.write_text(text[:begin] + body + text[end:], encoding="utf-8")
