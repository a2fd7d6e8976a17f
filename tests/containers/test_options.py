"""What the caller wants and what the image says, combined."""

from __future__ import annotations

import pytest

from dissolver.containers.options import ContainerConfig, RunOptions, arguments, settle
from dissolver.errors import BadPort, BadVolume, NetworkError, RunError
from dissolver.image.config import RunConfig

NODE = RunConfig(
    user="node",
    env=("PATH=/bin", "NODE=20"),
    cmd=("node", "server.js"),
    working_dir="/app",
    exposed_ports=("80/tcp", "8125/udp"),
    volumes=("/data", "/cache/"),
    stop_signal="SIGINT",
)
ID = "0123456789abcdef" * 4


def settled(image: RunConfig = NODE, *command: str, **options: object) -> ContainerConfig:
    return settle(
        RunOptions(**options),  # type: ignore[arg-type]
        command,
        image,
        identity=ID,
        image_name="node",
        working_directory="/home/me",
    )


ENTRYPOINT = RunConfig(entrypoint=("tini", "--"), cmd=("serve", "-v"))
SHELL = RunConfig(entrypoint=("/bin/sh", "-c", "exec top"), cmd=("/bin/sh", "-c", "x"))


@pytest.mark.parametrize(
    ("image", "entrypoint", "command", "expected"),
    [
        (NODE, None, (), ("node", "server.js")),
        (NODE, None, ("sh",), ("sh",)),
        (NODE, "sh", (), ("sh",)),
        (NODE, "sh", ("-c", "x"), ("sh", "-c", "x")),
        (NODE, "", ("sh",), ("sh",)),
        (ENTRYPOINT, None, (), ("tini", "--", "serve", "-v")),
        (ENTRYPOINT, None, ("sh",), ("tini", "--", "sh")),
        (ENTRYPOINT, "sh", (), ("sh",)),
        (ENTRYPOINT, "", ("sh",), ("sh",)),
        (SHELL, None, (), ("/bin/sh", "-c", "exec top", "/bin/sh", "-c", "x")),
    ],
)
def test_entrypoint_and_command_combine(
    image: RunConfig, entrypoint: str | None, command: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert arguments(entrypoint, command, image) == expected


@pytest.mark.parametrize(("image", "entrypoint"), [(RunConfig(), None), (NODE, "")])
def test_nothing_to_run_is_an_error(image: RunConfig, entrypoint: str | None) -> None:
    with pytest.raises(RunError) as raised:
        arguments(entrypoint, (), image)
    assert raised.value.message == "no command specified, and the image has none"
    assert raised.value.exit_code == 125


def test_without_options_the_image_decides() -> None:
    config = settled()
    assert config.argv == ("node", "server.js")
    assert config.env == ("PATH=/bin", "NODE=20")
    assert (config.user, config.cwd, config.stop_signal) == ("node", "/app", "SIGINT")
    assert (config.hostname, config.network, config.ports) == ("0123456789ab", "bridge", ())
    assert [(v.target, v.is_anonymous) for v in config.volumes] == [
        ("/data", True),
        ("/cache", True),
    ]


def test_labels_are_those_of_the_image_and_those_that_are_given() -> None:
    image = RunConfig(cmd=("x",), labels={"stage": "base", "by": "us"})
    config = settled(image, labels=("stage=test", "url=a=b", "bare"))
    assert config.labels == {"stage": "test", "by": "us", "url": "a=b", "bare": ""}
    with pytest.raises(RunError) as raised:
        settled(image, labels=("=x",))
    assert raised.value.message == "invalid label `=x`"


def test_a_variable_without_a_value_is_taken_away() -> None:
    assert settled(env=("NODE",)).env == ("PATH=/bin",)


def test_options_win() -> None:
    config = settled(
        NODE,
        "sh",
        env=("NODE=22", "X=1"),
        user="0",
        workdir="/srv/../tmp",
        hostname="web",
        network="none",
        stop_signal="KILL",
        stop_timeout=3.0,
        volumes=("cache:/cache:ro",),
    )
    assert config.argv == ("sh",)
    assert config.env == ("PATH=/bin", "NODE=22", "X=1")
    assert (config.user, config.cwd, config.hostname) == ("0", "/tmp", "web")
    assert (config.network, config.stop_signal, config.stop_seconds) == ("none", "KILL", 3.0)
    targets = {volume.target: volume for volume in config.volumes}
    assert sorted(targets) == ["/cache", "/data"]
    assert (targets["/cache"].source, targets["/cache"].is_read_only) == ("cache", True)


def test_on_the_hosts_network_the_machine_names_the_container() -> None:
    assert settled(network="host").hostname == ""
    assert settled(network="host", hostname="web").hostname == "web"


@pytest.mark.parametrize("hostname", ["two words", "a\n1.2.3.4 b", "x" * 65])
def test_a_host_name_is_one_short_word(hostname: str) -> None:
    assert settled(hostname="x" * 64).hostname == "x" * 64
    with pytest.raises(RunError) as raised:
        settled(hostname=hostname)
    assert raised.value.message == f"invalid host name `{hostname}`"


def test_all_exposed_ports_can_be_published() -> None:
    assert settled(publishes_all=True, ports=("3000:80",)).ports == (
        "3000:80",
        "80/tcp",
        "8125/udp",
    )


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), (False, False)),
        (("seccomp=unconfined",), (True, False)),
        (("seccomp:unconfined",), (True, False)),
        (("no-new-privileges",), (False, True)),
        (("no-new-privileges:true",), (False, True)),
        (("no-new-privileges=false",), (False, False)),
    ],
)
def test_security_options_are_read(texts: tuple[str, ...], expected: tuple[bool, bool]) -> None:
    config = settled(security=texts)
    assert (
        config.confinement.seccomp == "unconfined",
        config.confinement.no_new_privileges,
    ) == expected


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ports": ("x",)}, BadPort, "invalid container port `x` in `x`"),
        ({"volumes": ("a:b:c:d",)}, BadVolume, "invalid volume `a:b:c:d`"),
        ({"network": "moon"}, NetworkError, "unknown network `moon`"),
        ({"env": ("=x",)}, RunError, "invalid variable `=x`"),
        ({"workdir": "app"}, RunError, "the working directory `app` is not an absolute path"),
        ({"security": ("apparmor=x",)}, RunError, "unknown security option `apparmor=x`"),
    ],
)
def test_a_bad_option_is_named(
    options: dict[str, object], error: type[RunError], message: str
) -> None:
    with pytest.raises(error) as raised:
        settled(**options)  # type: ignore[arg-type]
    assert raised.value.message == message
    assert raised.value.exit_code == 125
