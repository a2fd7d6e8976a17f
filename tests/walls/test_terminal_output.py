"""What an image, a Dockerfile or a container is called does not steer the terminal."""

from __future__ import annotations

import re

import pexpect
import pytest

from scene import Cli

TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J"
C1 = "\x9b2J"
RETURN = "good\rbad"
HOSTILE = f"{TITLE}{CLEAR}{C1}{RETURN}"

OUR_OWN = re.compile(
    r"\x1b\[(?:\?25[lh]|K|J|\d+A|[0-9;]*m)"  # what pictures are drawn with
)


def on_terminal(cli: Cli, *words: str) -> str:
    """Run a command on a terminal, and return all that it sent there."""
    command = cli.account.command(*words)
    child = pexpect.spawn(
        command[0], command[1:], env={**cli.environment, "NO_COLOR": "1"},
        cwd=str(cli.account.home), encoding="utf-8", timeout=60, dimensions=(50, 200),
    )  # fmt: skip
    child.expect(pexpect.EOF)
    text = str(child.before)
    child.close()
    return text


def check(text: str) -> None:
    rest = OUR_OWN.sub("", text)
    assert re.findall(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f]", rest) == []
    assert "good\rbad" not in rest


@pytest.fixture
def hostile(box: Cli) -> Cli:
    """The command with an image `hostile`, and a container `it`, that have such texts."""
    recipe = (
        f'FROM box\nENV A="{HOSTILE}"\nLABEL b="{HOSTILE}"\nLABEL "{HOSTILE}"=c\n'
        f'CMD ["sh", "-c", ": {TITLE}{CLEAR}"]\n'
    )
    box("build", "-t", "hostile", box.directory("hostile", {"Dockerfile": recipe}))
    script = f'mkdir "/{TITLE}x"; touch "/{CLEAR}y"; exec sleep 100 "{TITLE}"'
    box(
        "run",
        "-d",
        "--name",
        "it",
        "hostile",
        "sh",
        "-c",
        script.replace("sleep 100", "sleep 100;:"),
    )
    return box


COMMANDS = [
    "inspect hostile", "image inspect hostile", "inspect it", "history --no-trunc hostile",
    "history --format {{.CreatedBy}} hostile", "history --format json hostile",
    "inspect --format {{.Config.Env}} hostile", "inspect --format {{json\u00a0.Config}} hostile",
    "ps -a --no-trunc", "ps --format {{.Command}} -a --no-trunc", "ps --format {{.Labels}}",
    "ps --format json", "images --format json", "images", "diff it", "image diff box hostile",
]  # fmt: skip


def test_no_list_sends_what_an_image_says(hostile: Cli) -> None:
    seen = ""
    for command in COMMANDS:
        words = [word.replace("\u00a0", " ") for word in command.split(" ")]
        text = on_terminal(hostile, *words)
        check(text)
        seen += text
    # It is shown, and shown as what it is.
    assert "\\x1b]0;owned" in seen


DOCKERFILES = {
    "an unknown instruction": f"FROM box\nRU{HOSTILE}N x\n",
    "an unknown stage": f"FROM box\nCOPY --from=no{TITLE} a /\n",
    "a missing file": f"FROM box\nCOPY no{TITLE}{C1} /\n",
    "a step that fails": (
        f"FROM box\nRUN printf '\\033]0;owned\\007\\033[2Jgood\\rbad\\n'; : '{TITLE}'; exit 3\n"
    ),
    "a stage's name": f"FROM box AS a{TITLE}\n",
    "a base's name": f"FROM {TITLE}box\n",
    "a repository": f"FROM box\nADD https://127.0.0.1:1/a{TITLE}b.git /x\n",
    "a URL": f"FROM box\nADD http://127.0.0.1:1/a{TITLE}b /x\n",
    "a directory": f"FROM box\nWORKDIR /a{TITLE}{C1}\nRUN exit 3\n",
}


@pytest.mark.parametrize("progress", ["plain", "tty", "quiet"])
@pytest.mark.parametrize("kind", DOCKERFILES)
def test_no_message_and_no_progress_sends_it(box: Cli, kind: str, progress: str) -> None:
    context = box.directory("hostile", {"Dockerfile": DOCKERFILES[kind]})
    text = on_terminal(box, "build", f"--progress={progress}", str(context))
    assert "error:" in text
    check(text)


def test_colours_of_a_step_stay_in_a_plain_log(box: Cli) -> None:
    recipe = "FROM box\nRUN printf '\\033[32mgreen\\n'\n"
    context = box.directory("colour", {"Dockerfile": recipe})
    done = box("build", "--progress=plain", context)
    assert "\x1b[32mgreen\x1b[0m\n" in done.stderr


def test_a_name_cannot_look_like_a_message(box: Cli) -> None:
    done = box("run", "box\nerror: all is lost", check=False)
    assert "\nerror: all is lost" not in done.stderr


@pytest.mark.parametrize("words", [["run"], ["inspect"], ["build"], ["build", "-f"], ["rmi"]])
def test_long_names_are_shortened(box: Cli, words: list[str]) -> None:
    name = "begin" + "/x" * 6000 + "/end"
    done = box(*words, name, check=False)
    assert done.returncode != 0
    assert len(done.stderr) < 1500
