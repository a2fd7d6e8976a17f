"""A container's supervisor: what it tells whom, and when, from start to end."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

import attached
from attached import Supervised
from dissolver._core import sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from boxes import Box

SCRIPT = "echo out; echo err >&2; exit 7"


def hook(*argv: str, **changes: Any) -> dict[str, Any]:
    return {"argv": list(argv), "stdin": None, "background": False, **changes}


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.01)


# From start to end ----------------------------------------------------------------


def test_the_first_client_misses_nothing(root_box: Box) -> None:
    with Supervised(root_box, ["sh", "-c", SCRIPT]) as container:
        assert container.report == {"ok": True}
        assert container.state["status"] == "created"
        said = container.connect().subscribe().rest()
        assert (said.output, said.error) == (b"out\n", b"err\n")
        assert said.exit == {"exit_code": 7, "error": None}
        assert said.hello["status"] == "created"
        assert container.finish() == 0


def test_the_state_tells_the_whole_story(root_box: Box) -> None:
    with Supervised(root_box, ["sleep", "1000"], waits=False) as container:
        state = container.state
        assert (state["status"], state["exit_code"], state["error"]) == ("running", None, None)
        assert sandbox.start_time(state["pid"]) is not None
        supervisor = {
            "pid": container.process.pid,
            "start_time": sandbox.start_time(container.process.pid),
        }
        assert state["supervisor"] == supervisor
        container.tell(attached.STOP, bytes(8))
        container.finish()
        state = container.state
        assert (state["status"], state["pid"], state["exit_code"]) == ("exited", 0, 137)
        assert 0 < state["started_at"] < state["finished_at"] < time.time_ns()


def test_the_log_has_every_line_with_its_stream_and_time(root_box: Box) -> None:
    with Supervised(root_box, ["sh", "-c", SCRIPT + "; printf never"], waits=False) as container:
        container.finish()
        lines = [(line["stream"], line["log"]) for line in container.log]
        assert sorted(lines) == [("stderr", "err\n"), ("stdout", "out\n")]
        assert all(line["time"].endswith("Z") for line in container.log)


def test_the_socket_is_its_owners_alone_and_gone_at_the_end(root_box: Box) -> None:
    with Supervised(root_box, ["true"]) as container:
        path = container.directory / "socket"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        container.connect().subscribe().rest()
        container.finish()
        assert not path.exists()


@pytest.mark.parametrize(
    ("argv", "changes", "kind", "code"),
    [
        (["nope"], {}, "not-found", 127),
        (["/etc"], {}, "not-executable", 126),
        (["true"], {"cwd": "/no/such"}, "setup-failed", 125),
    ],
)
def test_a_failure_is_told_to_whoever_waits(
    root_box: Box, argv: list[str], changes: dict[str, Any], kind: str, code: int
) -> None:
    with Supervised(root_box, argv, waits=False, changes=changes) as container:
        assert (container.report["ok"], container.report["kind"]) == (False, kind)
        assert container.finish() == 1
        state = container.state
        assert (state["status"], state["exit_code"], state["error"]["kind"]) == (
            "exited",
            code,
            kind,
        )
    with Supervised(root_box, argv, changes=changes) as container:
        said = container.connect().subscribe().rest()
        assert said.exit is not None
        assert (said.exit["exit_code"], said.exit["error"]["kind"]) == (code, kind)
        container.finish()
        assert container.state["error"] == said.exit["error"]


def test_a_setup_that_fails_before_the_gate_is_reported_at_once(root_box: Box) -> None:
    with Supervised(root_box, ["true"], changes={"hostname": "x" * 65}) as container:
        assert container.report["op"] == "set the host name"
        assert container.report["errno"] == 22
        assert container.finish() == 1


def test_orders_that_are_wrong_are_reported(root_box: Box) -> None:
    with Supervised(root_box, ["true"], hooks={"start": [hook()]}) as container:
        assert container.report["kind"] == "bad-container"
        assert "a hook has no arguments" in container.report["message"]


def test_output_that_nobody_ended_is_not_waited_for(root_box: Box) -> None:
    script = "sleep 1000 & echo started"
    with Supervised(root_box, ["sh", "-c", script]) as container:
        said = container.connect().subscribe().rest()
        assert said.output == b"started\n"
        assert container.finish() == 0


# Clients --------------------------------------------------------------------------


def test_every_subscriber_gets_the_output(root_box: Box) -> None:
    script = "read line; echo got $line"
    with Supervised(root_box, ["sh", "-c", script], stdin=True) as container:
        first = container.connect().subscribe()
        while container.state["status"] != "running":
            time.sleep(0.01)
        others = [container.connect().subscribe() for _ in range(5)]
        watcher = container.connect()
        for client in others:
            assert client.frame() is not None
        time.sleep(0.1)
        first.send(attached.INPUT, b"this\n")
        for client in [first, *others]:
            said = client.rest()
            assert (said.output, said.exit) == (b"got this\n", {"exit_code": 0, "error": None})
        seen = watcher.rest()
        assert (seen.output, seen.exit) == (b"", {"exit_code": 0, "error": None})


def test_input_arrives_whole_and_ends(root_box: Box) -> None:
    with Supervised(root_box, ["sh", "-c", "wc -c; echo done"], stdin=True) as container:
        client = container.connect().subscribe()
        block = b"x" * 65536
        for _ in range(48):
            client.send(attached.INPUT, block)
        client.send(attached.INPUT_END)
        assert client.rest().output == b"3145728\ndone\n"


def test_without_standard_input_there_is_none(root_box: Box) -> None:
    with Supervised(root_box, ["cat"]) as container:
        client = container.connect().subscribe()
        client.send(attached.INPUT, b"ignored")
        assert client.rest().exit == {"exit_code": 0, "error": None}


def test_much_output_arrives_in_order_and_whole(root_box: Box) -> None:
    with Supervised(root_box, ["seq", "1000000"]) as container:
        said = container.connect().subscribe().rest()
        assert said.output == b"".join(b"%d\n" % number for number in range(1, 1_000_001))
        assert container.log[-1]["log"] == "1000000\n"


def test_the_owner_may_pause_for_as_long_as_it_likes(root_box: Box) -> None:
    script = "yes | head -c 13107200"
    with Supervised(root_box, ["sh", "-c", script]) as container:
        client = container.connect().subscribe()
        time.sleep(1)
        assert container.state["status"] == "running"
        assert len(client.rest().output) == 13107200


def test_a_stuck_client_does_not_stop_the_others_for_good(root_box: Box) -> None:
    script = "sleep 0.5; yes | head -c 13107200"
    with Supervised(root_box, ["sh", "-c", script]) as container:
        owner = container.connect().subscribe()
        assert owner.frame() is not None
        stuck = container.connect().subscribe()
        began = time.monotonic()
        said = owner.rest()
        assert len(said.output) == 13107200
        # It was waited for, but not for ever.
        assert 8 < time.monotonic() - began < 16
        late = stuck.rest()
        assert len(late.output) < 13107200
        assert b"output is left out from here on" in late.error


def test_a_client_that_speaks_nonsense_is_cut_off_alone(root_box: Box) -> None:
    with Supervised(root_box, ["sleep", "1000"], waits=False) as container:
        broken = container.connect()
        broken.send(99, b"what")
        assert broken.rest().exit is None
        other = container.connect()
        other.stop(0)
        assert other.rest().exit == {"exit_code": 137, "error": None}


def test_signals_are_passed_on(root_box: Box) -> None:
    script = "trap 'echo caught; exit 4' USR1; echo ready; while :; do sleep 0.01; done"
    with Supervised(root_box, ["sh", "-c", script]) as container:
        client = container.connect().subscribe()
        client.until(b"ready")
        client.send(attached.SIGNAL, bytes([10]))
        said = client.rest()
        assert (said.output, said.exit) == (b"caught\n", {"exit_code": 4, "error": None})


def test_a_terminal_takes_input_and_its_size(root_box: Box) -> None:
    changes = {"terminal": True, "window": [24, 80]}
    script = "stty size; read line; stty size; echo got $line"
    with Supervised(root_box, ["sh", "-c", script], stdin=True, changes=changes) as container:
        client = container.connect().subscribe()
        client.until(b"24 80\r\n")
        client.resize(50, 132)
        client.send(attached.INPUT, b"abc\n")
        said = client.rest()
        assert said.output == b"abc\r\n50 132\r\ngot abc\r\n"


def test_a_terminal_that_was_closed_by_all_can_be_opened_again(root_box: Box) -> None:
    script = "echo first; exec <&- >&- 2>&-; sleep 0.2; echo again >/dev/console"
    with Supervised(root_box, ["sh", "-c", script], changes={"terminal": True}) as container:
        assert container.connect().subscribe().rest().output == b"first\r\nagain\r\n"


# Stopping -------------------------------------------------------------------------


def test_stopping_asks_first(root_box: Box) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    with Supervised(root_box, ["sh", "-c", script]) as container:
        client = container.connect().subscribe()
        client.until(b"ready")
        client.stop(10)
        said = client.rest()
        assert (said.output, said.exit) == (b"bye\n", {"exit_code": 5, "error": None})


def test_stopping_kills_when_the_time_is_up(root_box: Box) -> None:
    with Supervised(root_box, ["sleep", "1000"], waits=False) as container:
        client = container.connect()
        began = time.monotonic()
        client.stop(0.3)
        assert client.rest().exit == {"exit_code": 137, "error": None}
        assert time.monotonic() - began >= 0.3


def test_a_supervisor_that_is_asked_to_end_stops_its_container(root_box: Box) -> None:
    script = "trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done"
    with Supervised(root_box, ["sh", "-c", script]) as container:
        client = container.connect().subscribe()
        client.until(b"ready")
        for number in (1, 2):  # ignored: SIGHUP and SIGINT
            os.kill(container.process.pid, number)
        container.process.terminate()
        assert client.rest().exit == {"exit_code": 6, "error": None}


def test_a_supervisor_that_is_killed_takes_its_container_along(root_box: Box) -> None:
    with Supervised(root_box, ["sleep", "1000"], waits=False) as container:
        pid = container.state["pid"]
        container.process.kill()
        container.finish()
        deadline = time.monotonic() + 5
        while sandbox.start_time(pid) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        # Nobody was there to say so: the identity of the supervisor tells.
        assert container.state["status"] == "running"


def test_a_container_whose_first_client_leaves_never_runs(root_box: Box) -> None:
    with Supervised(root_box, ["touch", "/ran"]) as container:
        client = container.connect()
        client.frame()
        client.close()
        container.finish()
        assert (container.state["started_at"], container.state["exit_code"]) == (None, 137)
        assert not (root_box.upper / "ran").exists()


def test_a_container_goes_on_when_its_clients_leave(root_box: Box) -> None:
    script = "echo ready; read line; touch /went-on"
    with Supervised(root_box, ["sh", "-c", script], stdin=True) as container:
        client = container.connect().subscribe()
        client.until(b"ready")
        client.close()
        other = container.connect()
        other.send(attached.INPUT, b"\n")
        assert other.rest().exit == {"exit_code": 0, "error": None}
        assert (root_box.upper / "went-on").exists()


# Hooks ----------------------------------------------------------------------------


def test_hooks_are_run_around_the_programs_life(root_box: Box, tmp_path: Path) -> None:
    story = tmp_path / "story"
    tell = f"cat >> {story}; readlink /proc/{{pid}}/ns/net {{netns}} >> {story}"
    stop = f"echo stop >> {story}; nsenter --net={{netns}} ip -o link >> {story}"
    hooks = {
        "start": [hook("sh", "-c", tell, stdin="start {pid}\n")],
        "stop": [hook("sh", "-c", stop)],
        "final": [hook("sh", "-c", f"echo final >> {story}")],
    }
    with Supervised(root_box, ["true"], waits=False, hooks=hooks) as container:
        assert container.report == {"ok": True}
        assert container.finish() == 0
        lines = story.read_text().splitlines()
        assert lines[0].startswith("start ")
        assert lines[1] == lines[2] != os.readlink("/proc/self/ns/net")  # noqa: PTH115
        assert (lines[3], lines[-1]) == ("stop", "final")
        assert "lo:" in lines[4]


def test_a_hook_that_fails_fails_the_start_and_everything_is_undone(
    root_box: Box, tmp_path: Path
) -> None:
    hooks = {
        "start": [
            hook("sh", "-c", "echo first >&2; echo the reason >&2; echo >&2; exit 3"),
            hook("touch", str(tmp_path / "second")),
        ],
        "stop": [hook("touch", str(tmp_path / "stopped"))],
        "final": [hook("touch", str(tmp_path / "final"))],
    }
    with Supervised(root_box, ["touch", "/ran"], waits=False, hooks=hooks) as container:
        assert (container.report["kind"], container.report["message"]) == (
            "hook-failed",
            "`sh` failed: the reason",
        )
        container.finish()
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "box") == ["stopped"]
        assert not (root_box.upper / "ran").exists()


def test_a_background_hook_lives_as_long_as_the_container(root_box: Box, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 1000"
    hooks = {"start": [hook("sh", "-c", script, background=True)]}
    with Supervised(root_box, ["sleep", "1000"], waits=False, hooks=hooks) as container:
        wait_for(pid_file)
        pid = int(pid_file.read_text())
        assert sandbox.start_time(pid) is not None
        container.tell(attached.STOP, bytes(8))
        container.finish()
        assert sandbox.start_time(pid) is None


def test_the_last_word_is_the_clients_if_there_is_one(root_box: Box, tmp_path: Path) -> None:
    hooks = {"final": [hook("touch", str(tmp_path / "final"))]}
    with Supervised(root_box, ["true"], hooks=hooks) as container:
        assert container.connect().subscribe().rest().exit is not None
        container.finish()
        assert not (tmp_path / "final").exists()


def test_hooks_start_with_default_signals(root_box: Box, tmp_path: Path) -> None:
    hooks = {"start": [hook("sh", "-c", f"cp /proc/self/status {tmp_path}/status")]}
    with Supervised(root_box, ["true"], waits=False, hooks=hooks):
        status = (tmp_path / "status").read_text()
        masks = [
            line.split()[1] for line in status.splitlines() if line.startswith(("SigBlk", "SigIgn"))
        ]
        assert masks == ["0" * 16, "0" * 16]
