"""RUN steps: what they see, what they leave, and that nothing of them remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from basis import Base, needs_root
from dissolver.errors import NetworkError, RunError
from dissolver.sandbox import certificates

pytestmark = needs_root


def processes_with(text: str) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                words = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in words:
                found.append(path.name)
    return found


def mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if str(path) in line]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("true", 0),
        ("exit 3", 3),
        ("sh -c 'kill -9 $$'; exit $?", 137),
        ("sh -c 'kill -TERM $$'; exit $?", 143),
        (["nosuch"], 127),
        (["/nosuch"], 127),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
    ],
)
def test_a_step_ends_with_its_code(base: Base, command: str | list[str], status: int) -> None:
    assert base.step(command).status == status


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("id", "uid=0(root) gid=0(root) groups=0(root)"),
        ("hostname", "buildkitsandbox"),
        ("pwd", "/"),
        ("umask", "0022"),
        ("echo $PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("echo $HOME", "/root"),
        ("cat; echo end", "end"),
        ("tty", "not a tty"),
        ("grep CapEff /proc/self/status", "CapEff:\t00000000a80425fb"),
        ("grep '^Seccomp:' /proc/self/status", "Seccomp:\t2"),
        ("ls /sys/class/net", "lo"),
        ("stat -c %a /dev/shm /tmp", "1777\n1777"),
        ("touch /sys/x 2>&1", "touch: /sys/x: Read-only file system"),
        ("cat /proc/timer_list | wc -c", "0"),
        ("cat /proc/1/comm", "cat"),
        ("unshare -n true 2>&1", "unshare: unshare(0x40000000): Operation not permitted"),
        ("mount -t tmpfs x /mnt 2>&1 | grep -c denied", "1"),
        ("ls /etc", "group\nhosts\npasswd\nresolv.conf"),
    ],
)
def test_a_step_sees_a_system_of_its_own(base: Base, command: str, expected: str) -> None:
    base.step(command)
    assert base.text.rstrip("\n") == expected


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("node", "uid=1000(node) gid=1000(node) groups=29(audio),1000(node)"),
        ("node:audio", "uid=1000(node) gid=29(audio) groups=29(audio)"),
        ("4711:4712", "uid=4711 gid=4712 groups=4712"),
    ],
)
def test_a_step_runs_as_its_user(base: Base, user: str, expected: str) -> None:
    base.step("id", user=user)
    assert base.text.rstrip("\n") == expected


def test_an_unknown_user_is_an_error(base: Base) -> None:
    with pytest.raises(RunError, match="unable to find user `nobody`"):
        base.step("true", user="nobody")


def test_the_name_of_the_machine_is_the_images_own(base: Base) -> None:
    layer = base.commit(base.step("echo web > /etc/hostname"))
    assert base.store.layers.view([base.layer, layer]).read("/etc/hostname", limit=9) == b"web\n"


def test_what_a_step_writes_is_its_layer_and_nothing_else(base: Base) -> None:
    result = base.step("mkdir /a; echo hi > /a/b; rm /etc/group; echo x > /etc/hosts")
    layer = base.commit(result)
    assert [path for path in base.paths(layer) if "wh" not in path] == ["/a", "/a/b", "/etc"]
    view = base.store.layers.view([base.layer, layer])
    assert view.read("/a/b", limit=100) == b"hi\n"
    assert view.stat("/etc/group") is None
    assert view.stat("/etc/hosts") is None


def test_a_step_that_changes_nothing_leaves_an_empty_layer(base: Base) -> None:
    assert base.paths(base.commit(base.step("true"))) == []


def test_later_steps_see_what_earlier_ones_left(base: Base) -> None:
    first = base.commit(base.step("echo one > /one"))
    base.step("cat /one", parents=[base.layer, first])
    assert base.text == "one\n"


def test_output_is_complete_and_in_order(base: Base) -> None:
    base.step("for i in $(seq 20000); do echo line $i; done; echo err >&2; echo out")
    expected = "".join(f"line {i}\n" for i in range(1, 20001)) + "err\nout\n"
    assert base.text == expected


def test_what_a_step_leaves_running_dies_with_it(base: Base) -> None:
    started = time.monotonic()
    base.step("sleep 4242 & echo early")
    assert base.text == "early\n"
    assert time.monotonic() - started < 2
    assert processes_with("4242") == []


def test_a_cancelled_step_is_killed_with_all_it_started(base: Base) -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    started = time.monotonic()
    result = base.step("sleep 4343 & sleep 4343", is_cancelled=cancelled.is_set)
    assert time.monotonic() - started < 1
    assert (result.status, result.upper) == (137, None)
    assert processes_with("4343") == []


def test_nothing_of_a_step_remains(base: Base) -> None:
    result = base.step("mkdir /a")
    result.close()
    result.close()
    assert base.store.settle(10)
    assert list((base.store.root / "tmp").iterdir()) == []
    assert mounts_below(base.store.root) == []


def test_a_result_that_nobody_keeps_is_removed(base: Base) -> None:
    base.step("mkdir /a")
    assert base.store.settle(10)
    assert list((base.store.root / "tmp").iterdir()) == []


def test_a_missing_working_directory_is_made(base: Base) -> None:
    result = base.step("pwd; stat -c '%a %u' .", cwd="/srv/app/deep")
    assert base.text == "/srv/app/deep\n755 0\n"
    layer = base.commit(result)
    assert base.paths(layer) == ["/srv", "/srv/app", "/srv/app/deep"]


def test_making_a_working_directory_leaves_its_parents_as_they_were(base: Base) -> None:
    base.step("stat -c '%a %u:%g %Y' /home/node; pwd", cwd="/home/node/app")
    assert base.text == "755 1000:1000 1700000000\n/home/node/app\n"


def test_steps_run_at_the_same_time(base: Base) -> None:
    statuses: list[int] = []

    def run(number: int) -> None:
        mine = Base(base.store, base.layer)
        result = mine.step(f"echo {number} > /n; cat /n; exit {number}")
        assert mine.text == f"{number}\n"
        statuses.append(result.status)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == list(range(12))


def test_a_killed_builder_takes_its_step_with_it(base: Base) -> None:
    code = (
        "import sys; from pathlib import Path; from dissolver.store import Store\n"
        "from dissolver.sandbox.run import run_step\n"
        "run_step(Store(Path(sys.argv[1]), Path(sys.argv[2])), parents=[sys.argv[3]],\n"
        "  argv=['/bin/sh', '-c', 'echo ready; sleep 4545'], env=(), cwd='/', network='none',\n"
        "  on_output=lambda data: (sys.stdout.write(data.decode()), sys.stdout.flush()),\n"
        "  is_cancelled=lambda: False)\n"
    )
    words = [sys.executable, "-c", code, base.store.root, base.store.run, base.layer]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"ready\n"
        os.kill(builder.pid, signal.SIGKILL)
    deadline = time.monotonic() + 2
    while processes_with("4545") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processes_with("4545") == []
    assert base.store.sweep() > 0
    assert list((base.store.root / "tmp").iterdir()) == []


# Networks -----------------------------------------------------------------------------


def test_a_step_shares_the_hosts_network_if_it_wants(base: Base) -> None:
    base.step("ls /sys/class/net", network="host")
    assert sorted(base.text.split()) == sorted(
        path.name for path in Path("/sys/class/net").iterdir()
    )


def test_a_step_has_a_way_out_through_the_bridge(base: Base, bridge: None) -> None:
    base.step("ip -o -4 addr show eth0; ip route | head -1", network="default")
    assert "inet 10." in base.text
    assert "default via 10." in base.text


def test_an_unknown_network_is_an_error(base: Base) -> None:
    with pytest.raises(NetworkError, match="unknown network `moon`"):
        base.step("true", network="moon")


# The machine's certificates -----------------------------------------------------------------

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
LENT = (certificates.Bundle(PEM),)
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def lent(base: Base, command: str, *parents: str) -> tuple[str, list[str]]:
    """Run a step with the certificates; return its output and what its layer holds."""
    stack = [base.layer, *parents]
    result = base.step(command, extra_mounts=LENT, parents=stack)
    layer = base.commit(result, stack)
    return layer, base.paths(layer)


def test_a_step_sees_the_certificates_and_its_layer_does_not(base: Base) -> None:
    _, paths = lent(base, f"cat {BUNDLE} {certificates.PLACE}")
    assert base.text.encode() == PEM + PEM
    assert paths == []


def test_certificates_of_the_image_are_replaced_for_the_step_only(base: Base) -> None:
    own = base.commit(base.step(f"mkdir -p /etc/ssl/certs; echo own > {BUNDLE}"))
    _, paths = lent(base, f"cat {BUNDLE}", own)
    assert base.text.encode() == PEM
    assert paths == []


@pytest.mark.parametrize("has_own", [False, True])
def test_a_bundle_that_is_made_anew_is_the_steps_result(base: Base, has_own: bool) -> None:
    parents = (
        [base.commit(base.step(f"mkdir -p /etc/ssl/certs; echo own > {BUNDLE}"))] if has_own else []
    )
    command = f"echo new > {BUNDLE}.tmp && mv -f {BUNDLE}.tmp {BUNDLE}"
    layer, _ = lent(base, command, *parents)
    view = base.store.layers.view([base.layer, *parents, layer])
    assert view.read(BUNDLE, limit=100) == b"new\n"


@pytest.mark.parametrize(("own", "expected"), [(b"", b"more\n"), (b"own\n", b"own\nmore\n")])
def test_an_addition_is_kept_without_what_was_lent(base: Base, own: bytes, expected: bytes) -> None:
    parents = []
    if own:
        command = f"mkdir -p /etc/ssl/certs; printf '{own.decode()}' > {BUNDLE}"
        parents.append(base.commit(base.step(command)))
    layer, _ = lent(base, f"echo more >> {BUNDLE}", *parents)
    view = base.store.layers.view([base.layer, *parents, layer])
    assert view.read(BUNDLE, limit=100) == expected


def test_a_bundle_that_was_only_touched_leaves_nothing(base: Base) -> None:
    _, paths = lent(base, f"touch {BUNDLE}; chmod 644 {BUNDLE}")
    assert paths == []
