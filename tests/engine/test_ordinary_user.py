"""A library call by an ordinary user, from a program that has threads already."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
import uuid
from pathlib import Path

import pytest

from scene import Account


def run_program(
    account: Account, program: str, *, directory: Path | None = None, **values: object
) -> str:
    """Run a Python program as ``account`` on a store of its own; answer what it prints."""
    store = account.home / f"store-{uuid.uuid4().hex[:8]}"
    head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    done = subprocess.run(
        [
            *account.become,
            account.python,
            "-P",
            "-W",
            "error",
            "-c",
            head + textwrap.dedent(program),
        ],
        cwd=directory or account.home,
        env={**account.environment, "DISSOLVER_ROOT": str(store)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    subprocess.run(["rm", "-rf", store], check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def tar(user_account: Account, busybox_tar: Path) -> str:
    path = user_account.home / "busybox.tar"
    shutil.copy(busybox_tar, path)
    user_account.own(path.parent)
    return str(path)


PROGRAM = """
    import os, tarfile, threading
    from dissolver import Engine, Output, RunOptions, StepFailed, VertexLog

    threading.Thread(target=threading.Event().wait, daemon=True).start()
    uid = os.getuid()
    with Engine() as engine:
        engine.import_image(tar, tags=["box"], changes=['CMD ["sh"]'])
        output = []

        def hear(event):
            if isinstance(event, VertexLog):
                output.append((threading.current_thread().name, event.data))

        text = "FROM box\\nRUN id -u; touch /f; chown 1000:29 /f\\n"
        built = engine.build(".", dockerfile_text=text, tags=["app"], on_event=hear)
        assert engine.build(".", dockerfile_text=text).image.id == built.image.id
        print(output)
        with open("files.tar", "w+b") as file:
            outputs = [Output("tar", file.fileno()), {"type": "local", "dest": "files"}]
            engine.build(".", dockerfile_text=text, outputs=outputs)
            with tarfile.open("files.tar") as tar:
                print(tar.getmember("f").uid, os.stat("files/f").st_uid == uid)
        try:
            engine.build(".", dockerfile_text="FROM box\\nRUN echo down; exit 7\\n")
        except StepFailed as error:
            print(error.status, error.detail, error.where.line)
        done = engine.run("app", ["stat", "-c", "%u:%g", "/f"], RunOptions(remove=True))
        print(done.exit_code, done.stdout)
        reading, writing = os.pipe()
        job = engine.create("app", ["echo", "attached"])
        engine.start(job, waits_for_attach=True)
        print(engine.attach(job, stdout=writing), os.read(reading, 100))
        print([line.data for line in engine.logs(job)])
        engine.remove_container(job)
        print(engine.containers(all_=True), engine.info().is_rootless)
    assert os.getuid() == uid
"""


def test_an_ordinary_user_builds_and_runs_from_a_threaded_program(
    user_account: Account, tar: str
) -> None:
    assert run_program(user_account, PROGRAM, tar=tar).splitlines() == [
        "[('MainThread', b'0\\n')]",
        "1000 True",
        "7 ('down',) 2",
        "0 b'1000:29\\n'",
        "0 b'attached\\n'",
        "[b'attached\\n']",
        "[] True",
    ]


CANCEL = """
    import threading, time
    from dissolver import Cancelled, Engine, VertexLog

    with Engine() as engine:
        engine.import_image(tar, tags=["box"])
        cancel = threading.Event()

        def hear(event):
            if isinstance(event, VertexLog):
                cancel.set()

        began = time.monotonic()
        try:
            text = "FROM box\\nRUN echo begun; sleep 60\\n"
            engine.build(".", dockerfile_text=text, cancel=cancel, on_event=hear)
        except Cancelled:
            print("cancelled", time.monotonic() - began < 20)

        class Refused(Exception):
            pass

        def refuse(event):
            raise Refused

        try:
            engine.build(".", dockerfile_text="FROM box\\nRUN sleep 60\\n", on_event=refuse)
        except Refused:
            print("refused")
        print(engine.image("box").id[:7])
"""


def test_cancelling_and_failing_callbacks_cross(user_account: Account, tar: str) -> None:
    assert run_program(user_account, CANCEL, tar=tar).splitlines() == [
        "cancelled True",
        "refused",
        "sha256:",
    ]


BAKE = """
    from pathlib import Path
    from dissolver import Engine, Vertex

    text = '''
    target "base" { dockerfile-inline = "FROM box\\\\nRUN id -u > /id\\\\n" }
    target "app" {
      name = "app-${v}"
      matrix = { v = ["1", "2"] }
      contexts = { base = "target:base" }
      dockerfile-inline = "FROM base\\\\nRUN cat /id > /${v}\\\\n"
      secret = ["id=s,src=secret"]
    }
    '''
    Path("secret").write_text("s")
    with Engine() as engine:
        engine.import_image(tar, tags=["box"])
        names = set()

        def hear(event):
            if isinstance(event, Vertex) and "RUN" in event.name:
                names.add(event.name)

        results = engine.bake(["app"], files=["-"], stdin=text, on_event=hear)
        print(sorted(results), len(engine.images()))
        print(len(names), sorted(names)[::2])
        again = engine.bake(["app"], files=["-"], stdin=text, overrides=["app-1.tags=app"])
        print(all(one.is_cached for one in again.values()))
        print(engine.image("app").id == results["app-1"].image.id)
"""


def test_bake_files_are_built_by_the_worker(user_account: Account, tar: str) -> None:
    assert run_program(user_account, BAKE, tar=tar).splitlines() == [
        "['app-1', 'app-2', 'base'] 3",
        "3 ['[app-1 2/2] RUN cat /id > /1', '[base 2/2] RUN id -u > /id']",
        "True",
        "True",
    ]


def test_modules_in_the_current_directory_are_not_taken_for_the_engines(
    user_account: Account,
) -> None:
    directory = user_account.home / f"project-{uuid.uuid4().hex[:8]}"
    directory.mkdir()
    for name in ("msgspec.py", "queue.py"):
        (directory / name).write_text("raise SystemExit('taken from the project')\n")
    program = """
        from dissolver import Engine

        with Engine() as engine:
            print(engine.images())
    """
    assert run_program(user_account, program, directory=directory) == "[]\n"
    shutil.rmtree(directory)
