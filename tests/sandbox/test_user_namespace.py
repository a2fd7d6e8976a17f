"""Being root over nothing but what belongs to the user."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import boxes
from dissolver._core import CoreError, sandbox

if TYPE_CHECKING:
    from typing import Any

    from scene import Account


def request(directory: Path, argvs: list[list[str]], **changes: Any) -> dict[str, Any]:
    values = {"layout": {}, "argvs": argvs, "changes": changes, "enters": False}
    return {"directory": str(directory), **values}


def script(account: Account, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*account.become, account.python, "-c", text],
        env=account.environment, cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_ranges_of_ids_are_mapped_by_the_helpers(user_account: Account) -> None:
    directory = user_account.home / "ranges"
    outcome = boxes.ask(user_account, request(directory, [["cat", "/proc/self/uid_map"]]))[0]
    first, second = (line.split() for line in outcome.lines)
    assert first == ["0", str(user_account.uid), "1"]
    assert (second[0], int(second[2]) >= 1000) == ("1", True)


def test_a_single_id_is_enough_for_root_alone(user_account: Account) -> None:
    directory = user_account.home / "single"
    argvs = [["id"], ["sh", "-c", "echo x >/dev/null && touch /x && stat -c %u /x"]]
    named, wrote = boxes.ask(user_account, request(directory, argvs), is_single=True)
    assert named.text() == "uid=0 gid=0 groups=0"
    assert wrote.text() == "0"


def test_an_id_that_is_not_mapped_is_explained(user_account: Account) -> None:
    directory = user_account.home / "unmapped"
    changes = {"user": {"uid": 1000, "gid": 1000, "groups": []}}
    outcome = boxes.ask(user_account, request(directory, [["id"]], **changes), is_single=True)[0]
    assert outcome.failure is not None
    assert outcome.failure["message"] == "could not become the user `1000:1000`: invalid argument"
    assert "/etc/subuid" in outcome.failure["hint"]


def test_ids_of_others_are_refused_with_the_helpers_words(user_account: Account) -> None:
    done = script(
        user_account,
        "from dissolver._core import sandbox, CoreError\n"
        "try: sandbox.enter_user_namespace([(0, 0, 1)], [(0, 0, 1)], helpers=True)\n"
        "except CoreError as error: print(error.kind, error.message)\n",
    )
    assert done.stdout.startswith(
        "map-refused `/usr/bin/newuidmap` could not map the user and group IDs: "
    )


def test_another_process_can_join(user_account: Account) -> None:
    text = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from dissolver._core import sandbox\n"
        "reading, writing = os.pipe(); done, end = os.pipe()\n"
        "uid, gid = os.getuid(), os.getgid()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.close(end)\n"
        "    sandbox.enter_user_namespace([(0, uid, 1)], [(0, gid, 1)], helpers=False)\n"
        "    os.write(writing, b'x'); os.read(done, 1); os._exit(0)\n"
        "os.read(reading, 1); os.chdir('/tmp')\n"
        "sandbox.join_user_namespace(child)\n"
        "for name in ('user', 'mnt'):\n"
        "    links = {os.readlink(f'/proc/{pid}/ns/{name}') for pid in ('self', child)}\n"
        "    print(len(links), end=' ')\n"
        "first = Path('/proc/self/uid_map').read_text().split()[:2]\n"
        "print(os.getuid(), os.getgid(), os.getcwd(), first)\n"
        "os.close(end); os.waitpid(child, 0)\n"
    )
    done = script(user_account, text)
    assert done.stdout == f"1 1 0 0 /tmp ['0', '{user_account.uid}']\n", done.stderr


def test_features_are_probed_before_and_after(user_account: Account) -> None:
    text = (
        "import os\n"
        "from dissolver._core import sandbox\n"
        f"place = {str(user_account.home)!r}\n"
        "names = ('overlay-userxattr', 'namespaces', 'user-namespace')\n"
        "found = sandbox.probe(place)\n"
        "print([found[name] == '' for name in names])\n"
        "uids, gids = [(0, os.getuid(), 1)], [(0, os.getgid(), 1)]\n"
        "sandbox.enter_user_namespace(uids, gids, helpers=False)\n"
        "found = sandbox.probe(place)\n"
        "print([found[name] == '' for name in names])\n"
    )
    done = script(user_account, text)
    assert done.stdout.splitlines() == ["[False, False, True]", "[True, True, True]"], done.stderr


def test_a_process_with_threads_is_refused() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        with pytest.raises(CoreError) as caught:
            sandbox.enter_user_namespace([(0, 0, 1)], [(0, 0, 1)], helpers=False)
        assert caught.value.kind == "has-threads"
    finally:
        release.set()
        thread.join()


def test_a_process_that_is_gone_cannot_be_joined() -> None:
    # In a process of its own: this one must never get into another namespace.
    text = (
        "from dissolver._core import sandbox, CoreError\n"
        "try: sandbox.join_user_namespace(2 ** 22)\n"
        "except CoreError as error: print(error.kind)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "not-running\n"


SLEEPER = """
import json, os, sys, time
from pathlib import Path
import boxes
from dissolver._core import sandbox
boxes.become_root_of_a_namespace(is_single=False)
box = boxes.Box(Path(sys.argv[1]), userxattr=True)
process = sandbox.start(box.spec(["sleep", "1000"]), stdin=None, stdout=None, stderr=None)
process.release()
print(process.pid, flush=True)
sys.stdin.read()
"""


def test_root_enters_a_users_sandbox_as_root_of_that(user_account: Account, tmp_path: Path) -> None:
    if user_account.uid == os.geteuid():
        pytest.skip("the tests do not run as root")
    module = "import sys, types; boxes = types.ModuleType('boxes'); sys.modules['boxes'] = boxes\n"
    source = Path(boxes.__file__).read_text().partition("if __name__")[0]
    program = f"{module}exec(compile({source!r}, 'boxes', 'exec'), vars(boxes))\n{SLEEPER}"
    place = user_account.home / "entered"
    words = [*user_account.become, user_account.python, "-c", program, str(place)]
    with subprocess.Popen(
        words, env=user_account.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    ) as sleeper:
        assert sleeper.stdout is not None
        pid = int(sleeper.stdout.readline())
        script = "id; cat /proc/self/uid_map; touch /made; stat -c %u /made"
        outcome = boxes.enter(pid, boxes.Box(tmp_path / "own").spec(["sh", "-c", script]))
        sleeper.kill()
    assert outcome.lines[0] == "uid=0 gid=0 groups=0"
    assert outcome.lines[1].split() == ["0", str(user_account.uid), "1"]
    assert outcome.lines[-1] == "0"
    assert (place / "upper" / "made").stat().st_uid == user_account.uid
