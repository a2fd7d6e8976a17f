"""RUN --mount from the command line, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forms import in_both_forms
from scene import Cli, processes, wait_until

SECRET = "TheWordThatNobodyMayFind42"


def build(box: Cli, context: Path, *words: str | Path, **options: object) -> str:
    """Build, and answer what a plain display showed."""
    done = box("build", "--progress=plain", "-t", "made", *words, context, **options)  # type: ignore[arg-type]
    return done.stderr


def cat(box: Cli, *paths: str) -> str:
    return box.out("run", "--rm", "--network=none", "made", "cat", *paths)


def is_there(box: Cli, path: str) -> bool:
    words = ("run", "--rm", "--network=none", "made", "ls", "-d", path)
    return box(*words, check=False).returncode == 0


def holders(root: Path, text: bytes) -> list[Path]:
    """List the files below ``root`` that hold ``text``, whether in their content or their name."""
    found = []
    for base, _, names in os.walk(root):
        for name in names:
            path = Path(base) / name
            is_plain = path.is_file() and not path.is_symlink()
            if text in os.fsencode(name) or (is_plain and text in path.read_bytes()):
                found.append(path)
    return found


# Secrets ---------------------------------------------------------------------------


def test_a_secret_is_in_no_file_of_the_store_after_the_build(box: Cli) -> None:
    context = box.directory(
        "context",
        {
            "Dockerfile": "FROM box\n"
            "RUN --mount=type=secret,id=token test $(wc -c < /run/secrets/token) -eq 26\n"
            "RUN --mount=type=secret,id=token,target=/etc/token,env=TOKEN,mode=0444 \\\n"
            "    test $(cat /etc/token) = $TOKEN && echo ${#TOKEN} > /length\n"
            "RUN --mount=type=secret,id=other,required sha256sum /run/secrets/other > /digest\n",
        },
    )
    outside = box.directory("secret", {"token": SECRET})
    words = ("--secret", f"id=token,src={outside / 'token'}", "--secret", "id=other,env=WORD")
    text = build(box, context, *words, environment={"WORD": SECRET})
    assert SECRET not in text
    assert cat(box, "/length") == "26"
    box("save", "-o", context / "made.tar", "made")
    assert SECRET.encode() not in (context / "made.tar").read_bytes()
    assert SECRET not in box.out("history", "--no-trunc", "made")
    assert SECRET not in box.out("inspect", "made")
    assert holders(box.root, SECRET.encode()) == []
    assert holders(box.account.home / "run", SECRET.encode()) == []
    for path in ("/run/secrets", "/etc/token"):
        assert not is_there(box, path)


def test_a_secret_that_failed_the_build_is_in_no_file_of_the_store(box: Cli) -> None:
    dockerfile = "FROM box\nRUN --mount=type=secret,id=a cat /run/secrets/a >/dev/null; exit 3\n"
    context = box.directory("context", {"Dockerfile": dockerfile})
    words = ("build", "--secret", "id=a,env=WORD", context)
    done = box(*words, check=False, environment={"WORD": SECRET})
    assert "exit code: 3" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert holders(box.root, SECRET.encode()) == []


def test_another_value_of_a_secret_changes_no_key(box: Cli) -> None:
    dockerfile = "FROM box\nRUN --mount=type=secret,id=a,env=A echo once > /x\n"
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context, "--secret", "id=a,env=A", environment={"A": "one"})
    assert "CACHED" in build(box, context, "--secret", "id=a,env=A", environment={"A": "two"})
    assert "CACHED" in build(box, context)


def test_a_secret_has_its_mode_and_owner_and_lies_in_memory(box: Cli) -> None:
    dockerfile = (
        "FROM box\nRUN --mount=type=secret,id=a stat -c '%a %u:%g' /run/secrets/a > /one\n"
        "RUN --mount=type=secret,id=a,target=/root/deep/b,mode=0640,uid=1000,gid=29 \\\n"
        "    stat -c '%a %u:%g' /root/deep/b > /two; stat -fc %T /root/deep/b >> /two\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context, "--secret", "id=a,env=A", environment={"A": "x"})
    assert cat(box, "/one", "/two").split("\n") == ["400 0:0", "640 1000:29", "tmpfs"]
    assert not is_there(box, "/root/deep")


def test_a_secret_that_is_missing_is_an_error_only_where_it_is_required(box: Cli) -> None:
    dockerfile = 'FROM box\nRUN --mount=type=secret,id=a,env=A echo "<$A>" > /x\n'
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context)
    assert cat(box, "/x") == "<>"
    (context / "Dockerfile").write_text(dockerfile.replace("id=a", "id=a,required"))
    done = box("build", context, check=False)
    assert done.returncode == 1
    assert "error: the secret `a` was not given to the build\n  Dockerfile:2" in done.stderr
    assert "hint: add `--secret id=a,src=FILE`" in done.stderr


# Caches ----------------------------------------------------------------------------

COUNTING = (
    "FROM box\nRUN --mount=type=cache,target=/root/.cache{more} \\\n"
    "    echo {n} >> /root/.cache/x; cp /root/.cache/x /x\n"
)


def counting(n: int, more: str = "") -> str:
    return COUNTING.format(n=n, more=more)


def test_a_cache_survives_misses_and_no_cache_and_is_in_no_layer(box: Cli) -> None:
    context = box.directory("context", {"Dockerfile": counting(1)})
    build(box, context)
    (context / "Dockerfile").write_text(counting(2))
    build(box, context)
    assert cat(box, "/x") == "1\n2"
    build(box, context, "--no-cache")
    assert cat(box, "/x") == "1\n2\n2"
    assert not is_there(box, "/root/.cache")


@pytest.mark.parametrize("sharing", ["shared", "private", "locked"])
def test_every_kind_of_sharing_keeps_what_is_in_it(box: Cli, sharing: str) -> None:
    context = box.directory("context", {"Dockerfile": counting(1, f",sharing={sharing}")})
    build(box, context)
    (context / "Dockerfile").write_text(counting(2, f",sharing={sharing}"))
    build(box, context)
    assert cat(box, "/x") == "1\n2"


def test_caches_with_other_ids_namespaces_or_owners_are_other_caches(box: Cli) -> None:
    context = box.directory("context", {"Dockerfile": counting(1)})
    build(box, context)
    for n, (more, words) in enumerate(
        [
            (",id=other", ()),
            (",uid=1000", ()),
            (",mode=0700", ()),
            ("", ("--build-arg", "BUILDKIT_CACHE_MOUNT_NS=ns")),
        ],
        start=2,
    ):
        (context / "Dockerfile").write_text(counting(n, more))
        build(box, context, *words)
        assert cat(box, "/x") == str(n)


def test_a_new_cache_has_the_owner_and_mode_that_it_is_to_have(box: Cli) -> None:
    dockerfile = (
        "FROM box\nUSER node\nRUN --mount=type=cache,target=/c,uid=1000,gid=29,mode=0750 \\\n"
        "    touch /c/x; stat -c '%a %u:%g' /c > /tmp/seen\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context)
    assert cat(box, "/tmp/seen") == "750 1000:29"


@in_both_forms
def test_a_cache_can_start_with_files_of_a_stage(box: Cli) -> None:
    dockerfile = (
        "FROM box AS seed\nRUN mkdir -m 0711 /s && echo seed > /s/a && chown -R node /s\n"
        "FROM box\nRUN --mount=type=cache,target=/c,from=seed,source=/s \\\n"
        "    stat -c '%a %u' /c /c/a > /x; cat /c/a >> /x; echo more >> /c/a; cat /c/a >> /x # {}\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile.format(1)})
    build(box, context)
    assert cat(box, "/x").split("\n") == ["711 1000", "644 1000", "seed", "seed", "more"]
    (context / "Dockerfile").write_text(dockerfile.format(2))
    build(box, context)
    assert cat(box, "/x").split("\n")[2:] == ["seed", "more", "seed", "more", "more"]


def test_the_cache_is_shown_and_cleared(box: Cli) -> None:
    dockerfile = (
        "FROM box\nRUN --mount=type=cache,id=big,target=/c head -c 3000000 /dev/zero > /c/x\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context)
    lines = [json.loads(line) for line in box.out("builder", "du", "--format=json").split("\n")]
    (mount,) = [line for line in lines if line["Type"] == "exec.cachemount"]
    assert mount["Description"] == "cache mount big"
    assert mount["Size"].startswith("3")
    assert mount["LastUsedAt"].endswith("Z")
    assert "cache mount big" in box.out("builder", "du")
    pruned = box.out("builder", "prune", "-f")
    assert "Deleted cache mounts: 1" in pruned
    assert float(pruned.rpartition(": ")[2].removesuffix("MB")) >= 3
    assert "cache mount" not in box.out("builder", "du")


# Files of contexts, stages and images ---------------------------------------------------


def test_a_bind_shows_what_the_ignore_file_leaves_as_roots_and_read_only(box: Cli) -> None:
    context = box.directory(
        "context",
        {
            "Dockerfile": "FROM box\nRUN --mount=target=/ctx "
            "find /ctx | sort > /x; stat -c %u:%g /ctx/a >> /x; ! touch /ctx/new\n",
            ".dockerignore": "hidden\n.dockerignore\nDockerfile\n",
            "a": "a",
            "hidden": "x",
            "d/b": "b",
        },
    )
    build(box, context)
    assert cat(box, "/x").split("\n") == ["/ctx", "/ctx/a", "/ctx/d", "/ctx/d/b", "0:0"]
    assert not is_there(box, "/ctx")


@in_both_forms
def test_what_is_written_to_a_bind_is_thrown_away(box: Cli) -> None:
    dockerfile = (
        "FROM box\nRUN --mount=type=bind,target=/ctx,rw \\\n"
        "    echo new > /ctx/a && rm /ctx/b && cat /ctx/a > /x && ls /ctx >> /x\n"
        "RUN --mount=type=bind,target=/ctx,rw cat /ctx/a /ctx/b > /y\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile, "a": "old", "b": "b"})
    build(box, context)
    assert cat(box, "/x").split("\n") == ["new", "Dockerfile", "a"]
    assert cat(box, "/y") == "oldb"
    assert (context / "a").read_text() == "old"


@in_both_forms
def test_a_single_file_can_be_mounted_over_one_of_the_image(box: Cli) -> None:
    dockerfile = (
        "FROM box\nRUN --mount=source=motd,target=/etc/passwd cat /etc/passwd > /x\n"
        "RUN head -n 1 /etc/passwd > /y\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile, "motd": "hello\n"})
    build(box, context)
    assert cat(box, "/x", "/y") == "hello\nroot:x:0:0:root:/root:/bin/sh"


@in_both_forms
def test_stages_and_images_can_be_mounted_whole_and_in_part(box: Cli) -> None:
    dockerfile = (
        "FROM box AS one\n"
        "RUN mkdir /d && echo deep > /d/f && ln -s /d/f /link && chown -R 1000 /d\n"
        "FROM one AS two\nRUN rm /bin/ls && echo more > /d/g\n"
        "FROM box\n"
        "RUN --mount=from=two,target=/all cat /all/d/f > /x; test ! -e /all/bin/ls\n"
        "RUN --mount=from=two,source=/d,target=/part \\\n"
        "    --mount=from=two,source=/link,target=/file --mount=from=box,target=/image \\\n"
        "    cat /part/g /file >> /x; stat -c %u /part >> /x; head -n1 /image/etc/group >> /x\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context)
    assert cat(box, "/x").split("\n") == ["deep", "more", "deep", "1000", "root:x:0:"]


@in_both_forms
def test_mounts_lie_over_each_other_in_their_order(box: Cli) -> None:
    dockerfile = (
        "FROM box\nRUN --mount=target=/app,rw --mount=type=cache,target=/app/cache \\\n"
        "    --mount=type=tmpfs,target=/app/memory \\\n"
        "    touch /app/cache/x /app/memory/y && find /app > /x\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context)
    names = sorted(cat(box, "/x").split("\n"))
    assert names == [
        "/app", "/app/Dockerfile", "/app/cache", "/app/cache/x", "/app/memory", "/app/memory/y",
    ]  # fmt: skip


def test_a_change_of_what_is_mounted_runs_the_step_again_and_nothing_else_does(box: Cli) -> None:
    dockerfile = "FROM box\nRUN --mount=source=src,target=/src cat /src/a > /x\n"
    files = {"Dockerfile": dockerfile, "src/a": "1", "other": "1"}
    context = box.directory("context", files)
    build(box, context)
    (context / "other").write_text("2")
    os.utime(context / "src/a", (1, 1))
    assert "CACHED" in build(box, context)
    (context / "src/a").write_text("2")
    assert "CACHED" not in build(box, context)
    assert cat(box, "/x") == "2"


def test_a_source_that_is_not_there_is_missed_by_its_name(box: Cli) -> None:
    dockerfile = "FROM box\nRUN --mount=source=srcs,target=/src true\n"
    context = box.directory("context", {"Dockerfile": dockerfile, "src/a": "1"})
    done = box("build", context, check=False)
    assert "error: `srcs` is not in the build context\n  Dockerfile:2" in done.stderr
    assert "hint: did you mean `src`?" in done.stderr


def test_memory_has_its_size_and_forgets(box: Cli) -> None:
    dockerfile = (
        "FROM box\nRUN --mount=type=tmpfs,target=/m,size=1m touch /m/x && "
        "! head -c 2000000 /dev/zero > /m/y; stat -fc %T /m > /x\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context)
    assert cat(box, "/x") == "tmpfs"
    assert not is_there(box, "/m")


# Agents ----------------------------------------------------------------------------


@pytest.fixture
def key(box: Cli) -> Path:
    """A private key of the account."""
    if shutil.which("ssh-keygen") is None or shutil.which("ssh-agent") is None:
        pytest.skip("openssh-client is not installed")
    directory = box.directory("keys", {})
    path = directory / "key"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of-the-test", "-f", str(path)]
    subprocess.run([*box.account.become, *words], check=True)
    return path


@pytest.fixture
def agent(box: Cli, key: Path) -> Iterator[Path]:
    """An agent of the account that holds the key."""
    socket = key.with_name("agent.sock")
    process = subprocess.Popen(
        [*box.account.become, "ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL
    )
    try:
        while not socket.exists():
            assert process.poll() is None
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        add = [*box.account.become, "ssh-add", "-q", str(key)]
        subprocess.run(add, check=True, env=environment)
        yield socket
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def openssh(box: Cli) -> str:
    """Lines of a Dockerfile that bring `ssh-add` of this machine along."""
    context = "FROM box\nCOPY --from=tools / /\n"
    tool = shutil.which("ssh-add")
    assert tool is not None
    listed = subprocess.run(["ldd", tool], capture_output=True, text=True, check=True).stdout
    paths = {word for word in listed.split() if word.startswith("/")} | {tool}
    files = {os.path.realpath(path): path for path in paths}
    tools = box.directory("tools", {})
    for real, path in files.items():
        target = tools / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(real, target)
    archive = tools.with_suffix(".tar")
    subprocess.run(["tar", "-cf", archive, "-C", tools, "."], check=True)
    archive.chmod(0o644)
    box("import", archive, "tools")
    return context


LISTING = "RUN --mount=type=ssh{more} ssh-add -L > /keys; echo $SSH_AUTH_SOCK >> /keys\n"


def test_the_callers_agent_signs_for_the_step(box: Cli, agent: Path, openssh: str) -> None:
    dockerfile = openssh + LISTING.format(more="")
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context, "--ssh", "default", environment={"SSH_AUTH_SOCK": str(agent)})
    keys = cat(box, "/keys").split("\n")
    assert keys[0].endswith("of-the-test")
    assert keys[1] == "/run/buildkit/ssh_agent.0"
    assert not is_there(box, "/run/buildkit")


def test_a_step_cannot_change_the_callers_agent(box: Cli, agent: Path, openssh: str) -> None:
    dockerfile = openssh + "RUN --mount=type=ssh ! ssh-add -D && ssh-add -L\n"
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context, "--ssh", f"default={agent}")


def test_a_key_in_a_file_is_enough_whoever_may_read_it(box: Cli, key: Path, openssh: str) -> None:
    key.chmod(0o644)
    dockerfile = (
        openssh
        + "USER node\n"
        + LISTING.format(more=",id=k,uid=1000").replace("/keys", "/tmp/keys")
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    build(box, context, "--ssh", f"k={key}")
    assert cat(box, "/tmp/keys").startswith("ssh-ed25519 ")
    wait_until(lambda: not processes(str(box.root)), what="the end of the build's own agent")
    private = key.read_bytes().split(b"\n")[1]
    assert holders(box.root, private) == []


def test_an_agent_that_is_missing_is_an_error_only_where_it_is_required(box: Cli) -> None:
    dockerfile = 'FROM box\nRUN --mount=type=ssh{} echo "<$SSH_AUTH_SOCK>" > /x\n'
    context = box.directory("context", {"Dockerfile": dockerfile.format("")})
    build(box, context)
    (context / "Dockerfile").write_text(dockerfile.format(",required"))
    done = box("build", context, check=False)
    assert "error: the SSH agent `default` was not given to the build" in done.stderr
    assert "hint: add `--ssh default`" in done.stderr


# Scripts ---------------------------------------------------------------------------


def test_a_heredoc_that_names_its_program_is_a_script(box: Cli) -> None:
    dockerfile = (
        "FROM box\nRUN <<EOF\n#!/bin/busybox ash\necho $0 > /x\nEOF\n"
        "RUN <<'EOF'\n#!/bin/cat\nitself\nEOF\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    text = build(box, context)
    assert cat(box, "/x") == "/dev/pipes/EOF"
    assert "itself" in text
    (context / "Dockerfile").write_text(dockerfile.replace("echo $0", "echo changed"))
    assert "CACHED" not in build(box, context)
    assert cat(box, "/x") == "changed"
