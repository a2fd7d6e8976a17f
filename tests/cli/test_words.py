"""Words become calls: every flag arrives where it belongs, and slips are told."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.builds import story
from dissolver.containers.life import RunOptions
from dissolver.errors import ContainerNotFound, ImageNotFound, InUse

IMAGE = SimpleNamespace(id="sha256:" + "a" * 64)
BUILT = SimpleNamespace(image=IMAGE, outputs=[SimpleNamespace(image=IMAGE.id)])


# build ------------------------------------------------------------------------


def test_build_passes_every_word_on(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "yes")
    monkeypatch.delenv("NOT_THERE", raising=False)
    line.engine.answers["build"] = BUILT
    done = line(
        *("build", "-t", "a:1", "--tag", "b", "-f", "sub/Dockerfile", "--target", "final"),
        *("--build-arg", "A=1=2", "--build-arg", "FROM_OUTSIDE", "--build-arg", "NOT_THERE"),
        *("--no-cache", "--network", "none", "--host-certificates"),
        *("--platform", "linux/arm64", "--build-context", "docs=../docs"),
        *("--secret", "id=s,env=FROM_OUTSIDE", "--ssh", "default=/run/agent"),
        *("--no-cache-filter", "a,b", "--add-host", "db:10.0.0.1", "--shm-size", "1g"),
        *("--ulimit", "nofile=1", "--allow", "network.host", "--label", "l=1"),
        *("--annotation", "manifest:a=1", "-o", "out", "--output", "type=image,name=c"),
        *("--push", "--load", "context"),
    )
    arguments, named = line.asked("build")
    assert done.code == 0
    assert arguments == ("context",)
    assert named.pop("on_event")
    assert named == {
        "contexts": {"docs": "../docs"},
        "dockerfile": "sub/Dockerfile",
        "dockerfile_text": None,
        "tags": ["a:1", "b"],
        "target": "final",
        "build_args": {"A": "1=2", "FROM_OUTSIDE": "yes"},
        "no_cache": True,
        "no_cache_filter": ("a", "b"),
        "pull": False,
        "platform": "linux/arm64",
        "host_certificates": True,
        "network": "none",
        "add_hosts": ["db:10.0.0.1"],
        "shm_size": "1g",
        "ulimits": ("nofile=1",),
        "allow": ["network.host"],
        "labels": {"l": "1"},
        "annotations": {"manifest:a": "1"},
        "secrets": {"s": b"yes"},
        "ssh": {"default": ("/run/agent",)},
        "outputs": [
            {"type": "local", "dest": "out"},
            {"type": "image", "name": "c", "push": "true"},
        ],
        "cache_from": (),
        "cache_to": (),
    }


@pytest.mark.parametrize(
    ("words", "outputs"),
    [
        ([], []),
        (["-o", "-"], [{"type": "tar", "dest": "-"}]),
        (["--push"], [{"type": "image", "push": "true"}]),
        (["--load"], [{"type": "docker"}]),
        (
            ["-o", "out", "--push", "--load"],
            [{"type": "local", "dest": "out"}, {"type": "image", "push": "true"}],
        ),
        (["-o", "out", "--load"], [{"type": "local", "dest": "out"}, {"type": "docker"}]),
        (
            ["-o", "type=docker,dest=a", "--load"],
            [{"type": "docker", "dest": "a"}, {"type": "docker"}],
        ),
        (["-o", "type=registry", "--load"], [{"type": "registry"}]),
    ],
)
def test_shorthands_add_outputs(line: Any, words: list[str], outputs: list[dict[str, str]]) -> None:
    line.engine.answers["build"] = BUILT
    line("build", "-t", "a", *words, ".")
    assert line.asked("build")[1]["outputs"] == outputs


def test_build_leaves_what_was_not_said_to_the_engine(line: Any) -> None:
    line.engine.answers["build"] = BUILT
    line("build", ".")
    named = line.asked("build")[1]
    assert named["host_certificates"] is None
    assert named["dockerfile"] is None
    assert named["tags"] == ()


def test_build_reads_a_dockerfile_from_standard_input(
    line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"FROM scratch\n"))
    monkeypatch.setattr("sys.stdin", stdin)
    line.engine.answers["build"] = BUILT
    line("build", "-f", "-", ".")
    assert line.asked("build")[1]["dockerfile_text"] == "FROM scratch\n"


def test_a_quiet_build_prints_the_id_and_nothing_else(line: Any) -> None:
    line.engine.answers["build"] = BUILT
    for words in (("-q",), ("--progress", "quiet"), ("--progress=quiet",)):
        done = line("build", *words, ".")
        assert (done.code, done.out, done.err) == (0, IMAGE.id + "\n", "")


def test_a_build_tells_its_progress_on_standard_error(line: Any) -> None:
    def build(*_: object, on_event: Any, **__: object) -> Any:
        for _at, event in story().events:
            on_event(event)
        return BUILT

    line.engine.answers["build"] = build
    done = line("build", ".")
    assert done.out == ""
    assert done.err.startswith("#0 building with dissolver:root")
    assert "#8 [4/5] RUN npm install\n#8 CACHED\n" in done.err


def test_the_id_is_written_to_a_file(line: Any, tmp_path: Path) -> None:
    line.engine.answers["build"] = BUILT
    line("build", "--iidfile", tmp_path / "id", ".")
    assert (tmp_path / "id").read_text() == IMAGE.id


def test_what_no_builder_has_any_more_is_ignored_aloud(line: Any) -> None:
    line.engine.answers["build"] = BUILT
    words = ("--compress", "--isolation", "hyperv", "--security-opt", "a=b", "--squash", "--rm")
    done = line("build", "-q", *words, "--provenance=false", "--sbom=false", ".")
    assert (done.code, done.out) == (0, IMAGE.id + "\n")
    assert done.err == "".join(
        f"warning: `{flag}` has no effect on a build, as it has none with BuildKit\n"
        for flag in ("--isolation", "--security-opt", "--squash")
    )
    assert line("build", "-q", "--isolation=default", ".").err == ""


def test_a_failed_build_leaves_no_older_id(line: Any, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("older")
    line.engine.answers["build"] = ImageNotFound("no image")
    assert line("build", "--iidfile", tmp_path / "id", ".").code == 1
    assert not (tmp_path / "id").exists()


@pytest.mark.parametrize("variable", ["DISSOLVER_PROGRESS", "BUILDKIT_PROGRESS"])
def test_the_environment_chooses_the_progress(
    line: Any, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "quiet")
    line.engine.answers["build"] = BUILT
    assert line("build", ".").out == IMAGE.id + "\n"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["--progress", "loud"], "unknown progress mode `loud`", "use one of `auto`"),
        (["--build-arg", "=x"], "`=x` has no name before the `=`", "see `dissolver build --help`"),
    ],
)
def test_build_refuses_words_that_mean_nothing(
    line: Any, words: list[str], message: str, hint: str
) -> None:
    done = line("build", *words, ".")
    assert done.code == 2
    assert done.err.startswith(f"error: {message}\nhint: {hint}")


def test_progress_on_a_terminal_needs_one(line: Any) -> None:
    done = line("build", "--progress=tty", ".")
    assert done.code == 1
    assert done.err == (
        "error: `--progress tty` needs a terminal on standard error\n"
        "hint: use `--progress plain`, or `auto`, which looks for itself\n"
    )


# run and exec -----------------------------------------------------------------


def test_run_passes_every_word_on(
    line: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTSIDE", "in")
    (tmp_path / "env").write_text("# remark\nFILE=1 # kept\n\nB=file\nOUTSIDE\n")
    line.engine.answers["run"] = SimpleNamespace(container="c" * 64)
    done = line(
        *("run", "-d", "--rm", "--name", "web", "-p", "3000:80", "-p", "81", "-e", "A=1=2"),
        *("-e", "B=word", "--env-file", tmp_path / "env", "-v", "/src:/dst:ro", "-w", "/app"),
        *("-u", "node", "--entrypoint", "", "--network", "host", "-h", "inside", "--read-only"),
        *("-P", "--stop-signal", "INT", "--stop-timeout", "3", "--security-opt", "x=y"),
        *("-l", "stage=test", "-e", "UNSET"),
        *("node:20", "node", "-e", "1 + 1", "--rm"),
    )
    assert (done.code, done.out) == (0, "c" * 64 + "\n")
    assert done.err.startswith("warning: ports are not published: on `--network host` they are ")
    arguments, _ = line.asked("run")
    assert arguments[:2] == ("node:20", ("node", "-e", "1 + 1", "--rm"))
    assert arguments[2] == RunOptions(
        detach=True,
        remove=True,
        name="web",
        ports=("3000:80", "81"),
        env=("FILE=1 # kept", "B=word", "OUTSIDE=in", "A=1=2", "UNSET"),
        volumes=("/src:/dst:ro",),
        workdir="/app",
        user="node",
        entrypoint="",
        network="host",
        hostname="inside",
        read_only=True,
        publishes_all=True,
        stop_signal="INT",
        stop_timeout=3.0,
        security=("x=y",),
        labels=("stage=test",),
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("A=1\n\na b=2\n", "this line says no variable\n  {file}:3\nhint: write `NAME=value`, "),
        ("=2\n", "this line says no variable\n  {file}:1\n"),
        ("A\0=2\n", "this line says no variable\n  {file}:1\n"),
        (b"A=\xff\n", "the variables in `{file}` are not UTF-8\n"),
        (None, "cannot read the variables in `{file}`: no such file or directory\n"),
    ],
)
def test_a_file_of_variables_says_where_it_is_wrong(
    line: Any, tmp_path: Path, text: str | bytes | None, error: str
) -> None:
    file = tmp_path / "env"
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    done = line("run", "--env-file", file, "node")
    assert done.err.startswith("error: " + error.format(file=file))
    assert (done.code, line.engine.calls) == (125, [])


def test_run_connects_the_streams_and_answers_the_code(line: Any) -> None:
    line.engine.answers |= {"create": "c" * 64, "attach": 42}
    done = line("run", "-i", "node", "cat")
    assert done.code == 42
    assert line.asked("create")[0][0:2] == ("node", ("cat",))
    assert line.asked("start") == (("c" * 64,), {"waits_for_attach": True})
    assert line.asked("attach") == (("c" * 64,), {"stdin": 0, "stdout": 1, "stderr": 2})


def test_run_without_interactive_leaves_standard_input_alone(line: Any) -> None:
    line.engine.answers |= {"create": "c", "attach": 0}
    line("run", "node")
    assert line.asked("attach")[1]["stdin"] is None


def test_a_container_that_cannot_start_is_removed_if_it_was_to_be(line: Any) -> None:
    line.engine.answers |= {"create": "c", "start": InUse("port in use")}
    assert line("run", "--rm", "node").code == 125
    assert line.asked("remove_container") == (("c",), {"force": True})


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["-itd"], {"interactive": True, "terminal": True, "detach": True}),
        (["-d", "--rm=true"], {"detach": True, "remove": True}),
        (["-d", "--rm=false"], {"detach": True, "remove": False}),
        (["-d=true", "-p=80:80"], {"detach": True, "ports": ("80:80",)}),
        (["-dp", "80:80"], {"detach": True, "ports": ("80:80",)}),
        (["-dp80:80"], {"detach": True, "ports": ("80:80",)}),
        (["-d", "--env=A=b"], {"detach": True, "env": ("A=b",)}),
        (["-d", "-e=A=b"], {"detach": True, "env": ("A=b",)}),
        (["-dp", "80:80", "--rm=1"], {"detach": True, "remove": True, "ports": ("80:80",)}),
    ],
)
def test_flags_may_be_written_as_docker_users_do(
    line: Any, words: list[str], options: dict[str, Any]
) -> None:
    line.engine.answers["run"] = SimpleNamespace(container="c")
    assert line("run", *words, "node").code == 0
    assert line.asked("run")[0][2] == RunOptions(**options)


def test_words_after_the_image_belong_to_the_program(line: Any) -> None:
    line.engine.answers |= {"create": "c", "attach": 0}
    line("run", "node", "--help", "-d", "--rm=false", "--", "-x")
    assert line.asked("create")[0][1] == ("--help", "-d", "--rm=false", "--", "-x")


@pytest.mark.parametrize(
    "words", [["run", "-it", "node"], ["exec", "-it", "web", "sh"], ["run", "-i", "-t", "node"]]
)
def test_a_terminal_cannot_be_made_of_a_pipe(
    line: Any, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    done = line(*words)
    assert done.code == 1
    assert done.err == (
        "error: the input device is not a TTY\n"
        "hint: leave out `-t`, or type the command in a terminal\n"
    )
    assert line.engine.calls == []


def test_exec_passes_every_word_on(line: Any) -> None:
    line.engine.answers["exec"] = SimpleNamespace(exit_code=3)
    done = line("exec", "-i", "-e", "A=b", "-w", "/x", "-u", "node", "web", "sh", "-c", "exit 3")
    assert done.code == 3
    assert line.asked("exec") == (
        ("web", ["sh", "-c", "exit 3"]),
        {
            "environment": ["A=b"],
            "working_directory": "/x",
            "user": "node",
            "interactive": True,
            "terminal": False,
            "detach": False,
            "stdin": 0,
            "stdout": 1,
            "stderr": 2,
        },
    )


def test_a_detached_exec_is_connected_to_nothing(line: Any) -> None:
    line.engine.answers["exec"] = SimpleNamespace(exit_code=0)
    line("exec", "-d", "web", "sleep", "9")
    named = line.asked("exec")[1]
    assert [named[key] for key in ("detach", "stdin", "stdout", "stderr")] == [True] + [None] * 3


def test_start_goes_through_the_names(line: Any) -> None:
    assert line("start", "one", "two").out == "one\ntwo\n"
    assert [call[1:] for call in line.engine.calls] == [(("one",), {}), (("two",), {})]


@pytest.mark.parametrize(("words", "stdin"), [(["-a"], None), (["-i"], 0), (["-ai"], 0)])
def test_start_can_connect_the_container(line: Any, words: list[str], stdin: int | None) -> None:
    line.engine.answers |= {
        "attach": 7,
        "inspect_container": {"Config": {"Tty": False, "OpenStdin": True}},
    }
    assert line("start", *words, "web").code == 7
    assert line.asked("start") == (("web",), {"waits_for_attach": True})
    assert line.asked("attach") == (("web",), {"stdin": stdin, "stdout": 1, "stderr": 2})
    assert line("start", "-a", "one", "two").err.startswith("error: only one container can be")


def test_attach_connects_what_is_there(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    line.engine.answers |= {
        "attach": 7,
        "inspect_container": {"Config": {"Tty": True, "OpenStdin": True}},
    }
    assert line("attach", "--no-stdin", "web").code == 7
    assert line.asked("attach") == (("web",), {"stdin": None, "stdout": 1, "stderr": 2})
    monkeypatch.setattr("sys.stdin", io.StringIO())
    refused = line("attach", "web")
    assert (refused.code, refused.err.splitlines()[0]) == (
        1,
        "error: the input device is not a TTY",
    )


def test_wait_prints_the_codes(line: Any) -> None:
    line.engine.answers["wait"] = {"one": 0, "two": 137}.__getitem__
    assert line("wait", "one", "two").out == "0\n137\n"


# Several names ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "method", "named"),
    [
        (["stop", "-t", "1.5"], "stop", {"timeout": 1.5}),
        (["stop", "--time", "2"], "stop", {"timeout": 2.0}),
        (["container", "stop"], "stop", {"timeout": None}),
        (["rm", "-f"], "remove_container", {"force": True, "removes_volumes": False}),
        (["rm", "-v"], "remove_container", {"force": False, "removes_volumes": True}),
        (["container", "rm"], "remove_container", {"force": False, "removes_volumes": False}),
    ],
)
def test_each_name_is_tried_whatever_became_of_the_others(
    line: Any, words: list[str], method: str, named: dict[str, Any]
) -> None:
    def answer(name: str, **_: object) -> None:
        if name == "two":
            raise InUse("`two` is in use")

    line.engine.answers[method] = answer
    done = line(*words, "one", "two", "three")
    assert (done.code, done.out, done.err) == (1, "one\nthree\n", "error: `two` is in use\n")
    assert [call[1:] for call in line.engine.calls] == [
        ((name,), named) for name in ("one", "two", "three")
    ]


def test_rm_by_force_does_not_mind_what_is_gone(line: Any) -> None:
    line.engine.answers["remove_container"] = ContainerNotFound("no container `web`")
    assert line("rm", "-f", "web").code == 0
    done = line("rm", "web")
    assert (done.code, done.err) == (1, "error: no container `web`\n")


@pytest.mark.parametrize(
    ("words", "signal"), [([], "KILL"), (["-s", "HUP"], "HUP"), (["--signal=9"], "9")]
)
def test_kill_names_its_signal(line: Any, words: list[str], signal: str) -> None:
    assert line("kill", *words, "web").out == "web\n"
    assert line.asked("kill")[0] == ("web", signal)


def test_rmi_tells_what_it_took_away(line: Any) -> None:
    line.engine.answers["remove_image"] = SimpleNamespace(
        untagged=("goals:v1", "goals:latest"), deleted=("sha256:" + "a" * 64,)
    )
    done = line("image", "rm", "-f", "goals:v1")
    assert done.out == (f"Untagged: goals:v1\nUntagged: goals:latest\nDeleted: sha256:{'a' * 64}\n")
    assert line.asked("remove_image") == (("goals:v1",), {"force": True})


def test_tag_gives_a_name(line: Any) -> None:
    done = line("tag", "84d1016c860a", "goals:v1")
    assert (done.code, done.out) == (0, "")
    assert line.asked("tag")[0] == ("84d1016c860a", "goals:v1")


# Base images ---------------------------------------------------------------------


def test_import_passes_its_words_on(line: Any) -> None:
    line.engine.answers["import_image"] = IMAGE
    more = ("-m", "from there", "--platform", "linux/arm64")
    done = line("import", "-c", 'CMD ["sh"]', "-c", "ENV A=b", *more, "rootfs.tar", "box:1")
    assert done.out == IMAGE.id + "\n"
    assert line.asked("import_image") == (
        ("rootfs.tar",),
        {
            "tags": ("box:1",),
            "changes": ['CMD ["sh"]', "ENV A=b"],
            "message": "from there",
            "platform": "linux/arm64",
        },
    )


def test_import_reads_standard_input(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False, fileno=lambda: 17))
    line.engine.answers["import_image"] = IMAGE
    line("import", "-", "box")
    assert line.asked("import_image")[0] == (17,)


def test_a_terminal_is_no_tar(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    assert line("import", "-").err.startswith("error: standard input is a terminal, not a tar\n")


def test_bootstrap_passes_its_words_on(line: Any) -> None:
    def bootstrap(*_: object, on_output: Any, **__: object) -> Any:
        on_output(1, b"installing\n")
        return IMAGE

    line.engine.answers["bootstrap"] = bootstrap
    done = line(
        "image", "bootstrap", "bookworm", "-t", "debian:12", "--include", "a,b", "--include=c"
    )
    assert (done.out, done.err) == (IMAGE.id + "\n", "installing\n")
    arguments, named = line.asked("bootstrap")
    assert arguments == ("bookworm",)
    assert (named["tags"], named["include"]) == (["debian:12"], ["a", "b", "c"])
