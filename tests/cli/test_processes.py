"""The command as a process: its start-up, its streams, and a real terminal."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pexpect
import pytest

from cli.screen import Screen

ROOT = Path(__file__).parents[2]

# A command line whose engine plays a build and then does what a test wants.
PLAYER = """
    import sys, time
    sys.path.insert(0, {tests!r})
    from types import SimpleNamespace
    from dissolver.build.events import Progress
    from dissolver.cli.app import main

    class Engine:
        def close(self): pass
        def build(self, context, *, on_event, **named):
            progress = Progress(on_event)
            load = progress.vertex("[internal] load build definition from Dockerfile")
            make = progress.vertex("[2/2] RUN make")
            with load:
                load.status("transferring dockerfile:").__exit__()
            with make:
                {body}
            image = SimpleNamespace(id="sha256:" + "a" * 64)
            return SimpleNamespace(image=image, outputs=[SimpleNamespace(image=image.id)])
        def images(self):
            return []
        def logs(self, container, *, follow, tail):
            for number in range(4):
                stream = "stderr" if number % 2 else "stdout"
                text = f"{{stream[3:]}} {{number}}\\n"
                yield SimpleNamespace(stream=stream, data=text.encode(), time="")
    sys.exit(main(open_engine=lambda settings: Engine()))
"""


def script(tmp_path: Path, body: str) -> list[str]:
    """Write the player with ``body`` as what its step does; give the command to run it."""
    text = textwrap.dedent(PLAYER).format(tests=str(ROOT / "tests"), body="{body}")
    indented = textwrap.indent(textwrap.dedent(body), " " * 12).lstrip()
    path = tmp_path / "player.py"
    path.write_text(text.replace("{body}", indented), encoding="utf-8")
    return [sys.executable, str(path), "--root", str(tmp_path / "store")]


def environment(**changes: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "python"),
        "HOME": "/nonexistent",
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        **changes,
    }


def run(
    command: list[str], *, stdin: int = subprocess.DEVNULL, **changes: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment(**changes),
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def imported(*words: str, code: int = 0) -> set[str]:
    """Run a command and list the modules that it imported."""
    program = f"import sys; sys.argv[1:] = {list(words)!r}; from dissolver.__main__ import main; "
    program += "code = main(); print(*sys.modules); sys.exit(code)"
    done = run([sys.executable, "-c", program])
    assert done.returncode == code, done.stderr
    return set(done.stdout.split())


# Start-up ---------------------------------------------------------------------------


def test_the_version_imports_next_to_nothing() -> None:
    modules = imported("--version")
    own = {name for name in modules if name.split(".")[0] == "dissolver"}
    assert {name for name in own if not name.startswith("dissolver._core")} <= {
        "dissolver",
        "dissolver.__main__",
    }
    assert not modules & {"typer", "click", "rich", "msgspec", "subprocess", "threading"}


def test_help_imports_no_command() -> None:
    modules = imported("--help")
    assert "dissolver.engine" not in modules
    assert not {name for name in modules if name.startswith("dissolver.cli.images")}
    assert not modules & {"rich", "msgspec", "sqlite3", "cffi"}


def test_one_commands_help_imports_that_command_alone() -> None:
    modules = imported("build", "--help")
    assert "dissolver.cli.build" in modules
    assert not {"dissolver.cli.images", "dissolver.cli.run", "dissolver.engine"} & modules


def test_a_list_of_images_imports_only_what_it_uses(tmp_path: Path) -> None:
    modules = imported("--root", str(tmp_path / "store"), "images")
    assert "dissolver.store" in modules
    assert not modules & {"rich", "cffi", "urllib3", "tomllib", "asyncio"}
    assert not {"dissolver.build.builder", "dissolver.dockerfile", "dissolver.plan"} & modules


def test_a_run_imports_nothing_that_asks_registries(tmp_path: Path) -> None:
    modules = imported(
        "--root", str(tmp_path / "store"), "run", "--pull", "never", "nothing", code=125
    )
    assert "dissolver.engine.registries" in modules
    assert not modules & {"urllib3", "ssl", "http.client", "dissolver.registry.transport"}


def seconds_of_processor(*words: str) -> float:
    """The least processor time of several runs, which other work on the machine cannot raise."""
    least = float("inf")
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run([sys.executable, "-m", "dissolver", *words])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
        least = min(least, used)
    return least


def test_the_version_takes_a_tenth_of_a_second_at_most() -> None:
    assert seconds_of_processor("--version") <= 0.1


def test_fifty_images_are_listed_in_their_time(tmp_path: Path) -> None:
    from dissolver.image.config import ImageConfig
    from dissolver.image.reference import parse_reference
    from dissolver.store import Store

    store = Store(tmp_path / "store", tmp_path / "run", userxattr=False)
    for number in range(50):
        config = ImageConfig(architecture="amd64", os="linux", author=str(number))
        store.images.put(config, tags=[parse_reference(f"image{number}:latest")])
    store.close()
    listed = run([sys.executable, "-m", "dissolver", "--root", str(tmp_path / "store"), "images"])
    assert len(listed.stdout.splitlines()) == 51
    assert seconds_of_processor("--root", str(tmp_path / "store"), "images") <= 0.15


# Streams ----------------------------------------------------------------------------


def test_results_and_progress_take_different_streams(tmp_path: Path) -> None:
    done = run([*script(tmp_path, "make.log(b'out\\n')"), "build", "."])
    assert done.stdout == ""
    assert "#2 0.000 out\n#2 DONE 0.0s\n" in done.stderr
    quiet = run([*script(tmp_path, "make.log(b'out\\n')"), "build", "-q", "."])
    assert (quiet.stdout, quiet.stderr) == ("sha256:" + "a" * 64 + "\n", "")


def test_a_pipe_that_nobody_reads_ends_it_quietly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*script(tmp_path, "pass"), "images"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=20) == 141


def test_a_version_that_nobody_reads_ends_quietly() -> None:
    command = f"{sys.executable} -m dissolver --version"
    done = subprocess.run(
        ["bash", "-c", f"sleep 0.3 | cat; ({command}; echo code=$? >&2) | true"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr in ("code=0\n", "code=141\n")


def test_logs_on_a_terminal_keep_their_order(tmp_path: Path) -> None:
    command = script(tmp_path, "pass")
    text = everything(terminal([*command, "logs", "web"]))
    assert text == "out 0\r\nerr 1\r\nout 2\r\nerr 3\r\n"


def test_closed_streams_are_no_reason_to_fail(tmp_path: Path) -> None:
    command = " ".join(script(tmp_path, "pass"))
    done = subprocess.run(
        ["sh", "-c", f"{command} build . >&- 2>&- <&-"],
        env=environment(),
        timeout=30,
        check=False,
    )
    assert done.returncode == 0


def test_other_encodings_get_what_they_can_show(tmp_path: Path) -> None:
    body = "make.log('日本\\n'.encode())"
    done = run([*script(tmp_path, body), "build", "."], PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "#2 0.000 \\u65e5\\u672c\n" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_build_with_its_code(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    body = "make.log(b'ready\\n'); time.sleep(0.3); make.log(b'go\\n'); time.sleep(30)"
    process = subprocess.Popen(
        [*script(tmp_path, body), "build", "."],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "ready" not in process.stderr.readline():
        pass
    process.send_signal(number)
    assert process.wait(timeout=20) == code
    rest = process.stderr.read()
    assert "#2 CANCELED\n" in rest
    assert "Traceback" not in rest
    process.communicate()


# A terminal ---------------------------------------------------------------------------


def terminal(
    command: list[str], columns: int = 60, rows: int = 12, **changes: str
) -> pexpect.spawn[str]:
    return pexpect.spawn(
        command[0],
        command[1:],
        env=environment(**changes),
        encoding="utf-8",
        timeout=20,
        dimensions=(rows, columns),
    )


def everything(child: pexpect.spawn[str]) -> str:
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before)


def test_a_build_on_a_terminal_is_drawn_in_place(tmp_path: Path) -> None:
    body = "make.log(b'half way\\n'); time.sleep(0.35); make.log(b'done\\n'); time.sleep(0.1)"
    child = terminal([*script(tmp_path, body), "build", "."], NO_COLOR="1")
    text = everything(child)
    assert child.exitstatus == 0
    assert "=> => # half way" in text
    screen = Screen(60)
    screen.write(text)
    lines = [re.sub(r"\d+\.\ds", "N.Ns", line) for line in screen.lines]
    assert lines == [
        "[+] Building N.Ns (2/2) FINISHED             dissolver:root",
        " => [internal] load build definition from Dockerfile   N.Ns",
        " => => transferring dockerfile:                        N.Ns",
        " => [2/2] RUN make                                     N.Ns",
    ]
    assert screen.cursor_is_visible


def test_a_terminal_gets_colours_unless_it_wants_none(tmp_path: Path) -> None:
    command = [*script(tmp_path, "pass"), "build", "."]
    assert "\x1b[34m => [2/2] RUN make" in everything(terminal(command))
    assert "\x1b[34m" not in everything(terminal(command, NO_COLOR="1"))


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(tmp_path: Path) -> None:
    text = everything(terminal([*script(tmp_path, "pass"), "build", "."], TERM="dumb"))
    assert "#2 [2/2] RUN make\r\n#2 DONE 0.0s\r\n" in text
    assert "\x1b" not in text


def test_a_resized_terminal_keeps_one_picture(tmp_path: Path) -> None:
    body = "make.log(b'ready\\n'); time.sleep(0.3); make.log(b'more\\n'); time.sleep(0.8)"
    child = terminal([*script(tmp_path, body), "build", "."], columns=90, NO_COLOR="1")
    child.expect("ready")
    time.sleep(0.2)
    child.setwinsize(12, 50)
    text = str(child.before) + str(child.after) + everything(child)
    last = text[text.rindex("[+] Building") :]
    lines = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", last).split("\r\n")
    assert [len(line) for line in lines if line] == [49, 49, 49, 49]


def test_ctrl_c_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    body = "make.log(b'ready\\n'); time.sleep(0.3); make.log(b'go\\n'); time.sleep(30)"
    child = terminal([*script(tmp_path, body), "build", "."], NO_COLOR="1")
    child.expect("ready")
    seen = str(child.before) + str(child.after)
    child.sendintr()
    text = seen + everything(child)
    assert child.exitstatus == 130
    screen = Screen(60)
    screen.write(text.replace("^C", ""))
    assert screen.cursor_is_visible
    assert screen.lines[-1].startswith(" => CANCELED [2/2] RUN make")
    assert "Traceback" not in text


def test_errors_are_coloured_on_a_terminal(tmp_path: Path) -> None:
    text = everything(terminal([sys.executable, "-m", "dissolver", "bild"]))
    assert text == (
        "\x1b[1;31merror:\x1b[0m unknown command `bild` of `dissolver`\r\n"
        "\x1b[1;36mhint:\x1b[0m did you mean `build`?\r\n"
    )
