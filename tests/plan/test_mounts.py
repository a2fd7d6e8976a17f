"""``RUN --mount``: every type with every option, and every mistake by name."""

from __future__ import annotations

import pytest

from dissolver.errors import DockerfileError
from dissolver.image.reference import parse_reference
from dissolver.plan.mounts import (
    BindMount,
    CacheMount,
    Mount,
    SecretMount,
    SshMount,
    TmpfsMount,
    origin_of,
    reads_context,
)
from dissolver.plan.origins import EmptyOrigin, NamedContext
from dissolver.plan.steps import RunStep
from plan.planning import failure_of, graph_of, lower, lower_all

BEFORE = "FROM a AS one\nFROM b AS two\nFROM c\nWORKDIR /w\nENV D=/d T=cache ID=x\nARG A=arg\n"


def run_of(flags: str, before: str = BEFORE) -> RunStep:
    step = lower(f"{before}RUN {flags} true").steps[-1]
    assert isinstance(step, RunStep)
    return step


MOUNTS: list[tuple[str, Mount]] = [
    # Files of somewhere else.
    ("target=/x", BindMount("/x")),
    ("type=bind,target=/x", BindMount("/x")),
    ("type=BIND,TARGET=/x", BindMount("/x")),
    ("dst=/x", BindMount("/x")),
    ("destination=/x/", BindMount("/x")),
    ("target=x", BindMount("/w/x")),
    ("target=../x", BindMount("/x")),
    ("target=/a/../x", BindMount("/x")),
    ("target=.", BindMount("/w")),
    ("target=$D/x", BindMount("/d/x")),
    ("target=/$A", BindMount("/arg")),
    ("target=/x,source=src", BindMount("/x", "/src")),
    ("target=/x,src=/src/", BindMount("/x", "/src")),
    ("target=/x,src=../..", BindMount("/x", "/")),
    ("target=/x,from=one", BindMount("/x", "/", 0)),
    ("target=/x,from=TWO,src=a", BindMount("/x", "/a", 1)),
    ("target=/x,from=nginx", BindMount("/x", "/", parse_reference("nginx"))),
    ("target=/x,from=h.io/a:1", BindMount("/x", "/", parse_reference("h.io/a:1"))),
    ("target=/x,from=scratch", BindMount("/x", "/", EmptyOrigin())),
    ("target=/x,rw", BindMount("/x", is_read_only=False)),
    ("target=/x,readwrite", BindMount("/x", is_read_only=False)),
    ("target=/x,rw=true", BindMount("/x", is_read_only=False)),
    ("target=/x,rw=false", BindMount("/x")),
    ("target=/x,ro", BindMount("/x")),
    ("target=/x,readonly=0", BindMount("/x", is_read_only=False)),
    ("target=/x,ro,rw", BindMount("/x", is_read_only=False)),
    ("target=/x,ro,rw,ro", BindMount("/x")),
    ("target=/x,id=y", BindMount("/x")),
    ("target=/y,target=/x", BindMount("/x")),
    # Caches.
    ("type=cache,target=/x", CacheMount("/x", "/x")),
    ("type=$T,target=/x", CacheMount("/x", "/x")),
    ("type=cache,target=/x/", CacheMount("/x", "/x")),
    ("type=cache,target=x", CacheMount("/w/x", "x")),
    ("type=cache,target=/x,id=y", CacheMount("/x", "y")),
    ("type=cache,target=/x,id=$ID-$A", CacheMount("/x", "x-arg")),
    ("type=cache,target=/x,sharing=locked", CacheMount("/x", "/x", "locked")),
    ("type=cache,target=/x,sharing=PRIVATE", CacheMount("/x", "/x", "private")),
    ("type=cache,target=/x,ro", CacheMount("/x", "/x", is_read_only=True)),
    ("type=cache,target=/x,readonly=false", CacheMount("/x", "/x")),
    ("type=cache,target=/x,mode=0700", CacheMount("/x", "/x", mode=0o700)),
    ("type=cache,target=/x,mode=755,uid=1,gid=2",
     CacheMount("/x", "/x", mode=0o755, uid=1, gid=2)),
    ("type=cache,target=/x,from=one",
     CacheMount("/x", "/x", is_seeded=True, origin=0)),
    ("type=cache,target=/x,from=one,source=/s",
     CacheMount("/x", "/x", is_seeded=True, origin=0, source="/s")),
    ("type=cache,target=/x,from=scratch", CacheMount("/x", "/x")),
    # Memory.
    ("type=tmpfs,target=/x", TmpfsMount("/x")),
    ("type=tmpfs,target=/x,size=64m", TmpfsMount("/x", 64 << 20)),
    ("type=tmpfs,target=/x,size=1.5G", TmpfsMount("/x", 3 << 29)),
    ("type=tmpfs,target=/x,size=128", TmpfsMount("/x", 128)),
    ("type=tmpfs,target=/x,size=1kib", TmpfsMount("/x", 1024)),
    ("type=tmpfs,target=/x,size=1KB", TmpfsMount("/x", 1024)),
    ("type=tmpfs,target=/x,size=100b", TmpfsMount("/x", 100)),
    ("type=tmpfs,target=/x,size=0", TmpfsMount("/x")),
    ("type=tmpfs,target=/x,ro", TmpfsMount("/x", is_read_only=True)),
    ("type=tmpfs,target=/x,from=nowhere", TmpfsMount("/x")),
    # Secrets.
    ("type=secret,id=a", SecretMount("a", "/run/secrets/a")),
    ("type=secret,id=dir/a", SecretMount("dir/a", "/run/secrets/a")),
    ("type=secret,source=a", SecretMount("a", "/run/secrets/a")),
    ("type=secret,target=/x/y", SecretMount("y", "/x/y")),
    ("type=secret,id=a,target=/x", SecretMount("a", "/x")),
    ("type=secret,id=a,target=x", SecretMount("a", "/w/x")),
    ("type=secret,id=a,env=V", SecretMount("a", None, "V")),
    ("type=secret,id=a,env=V,target=/x", SecretMount("a", "/x", "V")),
    ("type=secret,id=a,required", SecretMount("a", "/run/secrets/a", is_required=True)),
    ("type=secret,id=a,required=false", SecretMount("a", "/run/secrets/a")),
    ("required,type=secret,id=a", SecretMount("a", "/run/secrets/a", is_required=True)),
    ("type=secret,id=a,mode=0444,uid=1,gid=2",
     SecretMount("a", "/run/secrets/a", mode=0o444, uid=1, gid=2)),
    # Agents.
    ("type=ssh", SshMount("default", "/run/buildkit/ssh_agent.0")),
    ("type=ssh,id=a", SshMount("a", "/run/buildkit/ssh_agent.0")),
    ("type=ssh,target=/x", SshMount("default", "/x")),
    ("type=ssh,required", SshMount("default", "/run/buildkit/ssh_agent.0", is_required=True)),
    ("type=ssh,mode=0660,uid=1,gid=2",
     SshMount("default", "/run/buildkit/ssh_agent.0", mode=0o660, uid=1, gid=2)),
    # Quotes: the flag's own, and those of a list with commas in it.
    ("type=bind,target='/a b'", BindMount("/a b")),
    ("'type=bind,target=/a b'", BindMount("/a b")),
    ("""'target=/x,"source=a,b"'""", BindMount("/x", "/a,b")),
]  # fmt: skip


@pytest.mark.parametrize(("options", "mount"), MOUNTS)
def test_a_mount_is_complete(options: str, mount: Mount) -> None:
    assert run_of(f"--mount={options}").mounts == (mount,)


FAULTS = [
    ("type=volume,target=/x", "unsupported mount type `volume`"),
    ("type=cahce,target=/x", "unsupported mount type `cahce`"),
    ("type=", "unsupported mount type ``"),
    ("targt=/x", "unexpected key `targt` in `targt=/x`"),
    ("target=/x,foo", "invalid field `foo` must be a key=value pair"),
    ("target", "invalid field `target` must be a key=value pair"),
    ("target=/x,", "invalid field `` must be a key=value pair"),
    ("type=bind", "invalid mount target ``"),
    ("target=/", "invalid mount target `/`"),
    ("target=/x/..", "invalid mount target `/x/..`"),
    ("type=cache", "invalid mount target ``"),
    ("type=tmpfs,target=..", "invalid mount target `..`"),
    ("target=/x,size=1m", "unexpected key `size` for mount type `bind`"),
    ("type=cache,target=/x,size=1m", "unexpected key `size` for mount type `cache`"),
    ("target=/x,required", "unexpected key `required` for mount type `bind`"),
    ("type=cache,target=/x,required=true", "unexpected key `required` for mount type `cache`"),
    ("type=ssh,env=A", "unexpected key `env` for mount type `ssh`"),
    ("target=/x,mode=0755", "`mode` is not allowed for `bind` mounts"),
    ("type=tmpfs,target=/x,uid=1", "`uid` is not allowed for `tmpfs` mounts"),
    ("target=/x,gid=1", "`gid` is not allowed for `bind` mounts"),
    ("target=/x,sharing=locked", "invalid cache sharing set for bind mount"),
    ("type=ssh,sharing=locked", "invalid cache sharing set for ssh mount"),
    ("type=cache,target=/x,sharing=all", "unsupported sharing value `all`"),
    ("type=secret", "invalid secret mount: one of source, target required"),
    ("type=secret,env=A", "invalid secret mount: one of source, target required"),
    ("type=secret,id=a,source=b", "both source and id can't be set"),
    ("type=secret,id=a,from=one", "secret mount should not have a from"),
    ("type=secret,id=a,sharing=locked", "secret mount should not define sharing"),
    ("type=ssh,source=a", "ssh mount does not support source"),
    ("type=cache,target=/x,source=/y", "a cache has a `source` only `from` somewhere"),
    ("type=cache,target=/x,mode=abc", "invalid value `abc` for mode"),
    ("type=cache,target=/x,mode=8", "invalid value `8` for mode"),
    ("type=cache,target=/x,mode=", "invalid value `` for mode"),
    ("type=cache,target=/x,mode=77777", "invalid value `77777` for mode"),
    ("type=cache,target=/x,uid=root", "invalid value `root` for `uid`"),
    ("type=cache,target=/x,gid=-1", "invalid value `-1` for `gid`"),
    ("type=cache,target=/x,gid=4294967296", "invalid value `4294967296` for `gid`"),
    ("type=tmpfs,target=/x,size=big", "invalid value for size: `big`"),
    ("type=tmpfs,target=/x,size=-1", "invalid value for size: `-1`"),
    ("type=tmpfs,target=/x,size=9999999p", "invalid value for size: `9999999p`"),
    ("target=/x,ro=maybe", "invalid value for `readonly`: `maybe`"),
    ("type=secret,id=a,required=2", "invalid value for `required`: `2`"),
    ("target=/x,from=$S", "variables are not expanded in `from`"),
    ("target=/x,from=0", "`--mount` takes no stage index, such as `0`"),
    ("target=/x,from=A/B", "the name `A/B` in `A/B` must be lower case"),
    ("'target=/x,source=a\"b'", "a quote is out of place in `--mount=target=/x,source=a\"b`"),
    ("'\"target=/x'", "a quote is out of place in `--mount=\"target=/x`"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), FAULTS)
def test_a_mistake_in_a_mount_is_named(options: str, message: str) -> None:
    error = failure_of(lambda: run_of(f"--mount={options}"))
    assert error is not None
    if "lower case" not in message:
        assert error.message == message
    assert error.where is not None
    assert error.where.line == 7


HINTS = [
    ("type=cahce,target=/x", "did you mean `cache`?"),
    ("targt=/x", "did you mean `target`?"),
    ("type=cache,target=/x,sharing=lock", "did you mean `locked`?"),
    ("target=/x,from=$S", "name a stage with `FROM $S AS NAME`, and take files from that"),
]


@pytest.mark.parametrize(("options", "hint"), HINTS)
def test_a_mistake_in_a_mount_gets_a_hint(options: str, hint: str) -> None:
    error = failure_of(lambda: run_of(f"--mount={options}"))
    assert error is not None
    assert error.hint == hint


def test_the_bad_part_of_a_mount_is_marked() -> None:
    error = failure_of(lambda: run_of("--mount=type=cache,targt=/x,ro"))
    assert error is not None
    assert error.where is not None
    column, length = error.where.column, error.where.length
    assert column is not None
    assert error.where.source[0][column : column + (length or 0)] == "targt=/x"


def test_mounts_keep_their_order_and_may_lie_over_each_other() -> None:
    step = run_of("--mount=target=/x --mount=type=tmpfs,target=/x/y --mount=target=/x")
    assert [type(mount).__name__ for mount in step.mounts] == [
        "BindMount",
        "TmpfsMount",
        "BindMount",
    ]


def test_agents_are_numbered_and_the_first_one_is_a_variable() -> None:
    step = run_of("--mount=type=ssh --mount=type=ssh,id=b,target=/x --mount=type=ssh,id=c")
    assert [mount.target for mount in step.mounts] == [
        "/run/buildkit/ssh_agent.0",
        "/x",
        "/run/buildkit/ssh_agent.2",
    ]
    assert dict(step.env)["SSH_AUTH_SOCK"] == "/run/buildkit/ssh_agent.0"


def test_a_variable_of_the_dockerfile_is_left_alone_by_agents() -> None:
    step = run_of("--mount=type=ssh", BEFORE + "ENV SSH_AUTH_SOCK=/own\n")
    assert dict(step.env)["SSH_AUTH_SOCK"] == "/own"


def test_nothing_of_a_mount_is_in_the_history_and_secrets_are_not_shown() -> None:
    step = run_of("--mount=type=secret,id=a,env=TOKEN echo $TOKEN $D &&")
    assert step.created_by == "RUN |1 A=arg /bin/sh -c echo $TOKEN $D && true # buildkit"
    assert step.display == ("RUN --mount=type=secret,id=a,env=TOKEN echo **** /d && true")
    assert "TOKEN" not in dict(step.env)


def test_stages_and_images_of_mounts_are_needed() -> None:
    text = (
        "FROM a AS one\nFROM b AS two\nFROM c AS last\n"
        "RUN --mount=from=one,target=/x --mount=type=cache,from=nginx,target=/y true"
    )
    graph = graph_of(text)
    assert [stage.index for stage in graph.needed] == [0, 2]
    assert graph.target.images == (parse_reference("nginx"),)


def test_a_mount_of_a_later_stage_is_refused() -> None:
    text = "FROM a AS one\nRUN --mount=from=two,target=/x true\nFROM one AS two"
    with pytest.raises(DockerfileError) as caught:
        lower_all(graph_of(text))
    assert caught.value.message == (
        "cannot mount from stage `two`, it needs to be defined before current stage `one`"
    )


def test_mounts_tell_where_their_files_come_from() -> None:
    mounts = run_of("--mount=target=/x --mount=target=/y,from=one --mount=type=tmpfs,target=/z")
    assert [origin_of(mount) for mount in mounts.mounts] == [None, 0, None]
    assert [reads_context(mount) for mount in mounts.mounts] == [True, False, False]


def test_the_same_id_with_another_owner_is_another_cache() -> None:
    def identity(options: str) -> object:
        (mount,) = run_of(f"--mount=type=cache,target=/x,id=i{options}").mounts
        assert isinstance(mount, CacheMount)
        return mount.identity

    assert identity("") == identity(",sharing=locked,ro")
    others = [identity(o) for o in ("", ",uid=0", ",mode=0755", ",from=one", ",from=two")]
    assert len(set(others)) == 5


def test_a_named_context_can_be_mounted() -> None:
    text = "FROM a\nRUN --mount=from=extra,target=/x true"
    graph = graph_of(text, contexts={"extra": None})
    (step,) = lower_all(graph)[0].steps
    assert isinstance(step, RunStep)
    assert origin_of(step.mounts[0]) == NamedContext("extra")


def test_devices_are_refused_with_the_reason() -> None:
    error = failure_of(lambda: run_of("--device=vendor.com/gpu=all"))
    assert error is not None
    assert error.message == "the device `vendor.com/gpu=all` cannot be given to a step"


@pytest.mark.parametrize(
    ("flag", "security"), [("", "sandbox"), ("--security=insecure", "insecure")]
)
def test_a_run_is_confined_unless_it_asks(flag: str, security: str) -> None:
    assert run_of(flag).security == security


SCRIPTS = [
    ("RUN <<EOF\n#!/bin/a\nb\nEOF", "EOF", "#!/bin/a\nb\n"),
    ("RUN <<-EOF\n\t#!/bin/a\n\tb\n\tEOF", "EOF", "#!/bin/a\nb\n"),
    ("RUN <<'x y'\n#!/bin/a $A\nx y", "x y", "#!/bin/a $A\n"),
]


@pytest.mark.parametrize(("text", "name", "content"), SCRIPTS)
def test_a_document_that_names_its_program_is_a_file(text: str, name: str, content: str) -> None:
    step = lower(text).steps[-1]
    assert isinstance(step, RunStep)
    assert [(f.path, f.content, f.mode) for f in step.files] == [
        (f"/dev/pipes/{name}", content, 0o755)
    ]
    assert step.argv == ("/bin/sh", "-c", f"/dev/pipes/{name}")
    assert step.created_by == f"RUN /bin/sh -c /dev/pipes/{name} # buildkit"


@pytest.mark.parametrize(
    "text",
    ["RUN <<EOF\necho\nEOF", "RUN python3 <<EOF\n#!/x\nEOF", "RUN <<A <<B\n#!/x\nA\nB", "RUN a"],
)
def test_other_commands_have_no_file(text: str) -> None:
    step = lower(text).steps[-1]
    assert isinstance(step, RunStep)
    assert step.files == ()
