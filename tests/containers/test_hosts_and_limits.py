"""The texts of `--add-host`, `--ulimit`, `--shm-size`, `--log-driver` and `--log-opt`."""

from __future__ import annotations

import pytest

from dissolver.containers.streams.kept_log import KeptLog, parse_kept_log
from dissolver.errors import BadOption
from dissolver.network.hosts import parse_host, wants_gateway
from dissolver.sandbox.confinement import Limit
from dissolver.sandbox.confining_options import key_inputs, read_confinement
from dissolver.sandbox.limits import parse_limit, parse_limits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=10.0.0.1", ("db", "10.0.0.1")),
        ("db.example:10.0.0.1", ("db.example", "10.0.0.1")),
        ("db:::1", ("db", "::1")),
        ("db:[::1]", ("db", "::1")),
        ("db=[10.0.0.1]", ("db", "10.0.0.1")),
        ("db:FD00::0:1", ("db", "fd00::1")),
        ("me:host-gateway", ("me", "host-gateway")),
    ],
)
def test_a_host_is_a_name_and_an_address(text: str, expected: tuple[str, str]) -> None:
    assert parse_host(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("db", "`db` does not say which name has which address"),
        (":10.0.0.1", "`:10.0.0.1` does not say which name has which address"),
        ("a b:10.0.0.1", "`a b:10.0.0.1` does not say which name has which address"),
        ("a\nb:10.0.0.1", "`a\nb:10.0.0.1` does not say which name has which address"),
        ("#a:10.0.0.1", "`#a:10.0.0.1` does not say which name has which address"),
        ("a:b=10.0.0.1", "`a:b=10.0.0.1` does not say which name has which address"),
        ("db:", "`` in `db:` is no IP address"),
        ("db:web", "`web` in `db:web` is no IP address"),
        ("db:10.0.0.1\nx", "`10.0.0.1\nx` in `db:10.0.0.1\nx` is no IP address"),
        ("db:[::1", "`[::1` in `db:[::1` is no IP address"),
    ],
)
def test_a_text_that_is_no_host_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadOption) as raised:
        parse_host(text)
    assert raised.value.message == message


def test_the_machine_itself_is_asked_for_by_one_word() -> None:
    assert wants_gateway([("a", "10.0.0.1"), ("b", "host-gateway")])
    assert not wants_gateway([("host-gateway", "10.0.0.1")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nofile=1024", Limit("nofile", 1024, 1024)),
        ("nofile=1024:2048", Limit("nofile", 1024, 2048)),
        ("core=0", Limit("core", 0, 0)),
        ("core=-1", Limit("core", -1, -1)),
        ("stack=8192:-1", Limit("stack", 8192, -1)),
        ("fsize=9223372036854775807", Limit("fsize", 2**63 - 1, 2**63 - 1)),
    ],
)
def test_a_limit_is_soft_and_hard(text: str, expected: Limit) -> None:
    assert parse_limit(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nofile", "`nofile` does not say what is limited to what"),
        ("nofil=1", "unknown limit `nofil` in `nofil=1`"),
        ("NOFILE=1", "unknown limit `NOFILE` in `NOFILE=1`"),
        ("as=1", "unknown limit `as` in `as=1`"),
        ("nofile=", "`` in `nofile=` is no limit"),
        ("nofile=many", "`many` in `nofile=many` is no limit"),
        ("nofile=1:", "`` in `nofile=1:` is no limit"),
        ("nofile=1:2:3", "`2:3` in `nofile=1:2:3` is no limit"),
        ("nofile=-2", "`-2` in `nofile=-2` is no limit"),
        (f"core={2**63}", f"`{2**63}` in `core={2**63}` is no limit"),
        ("nofile=" + 5000 * "9", f"`{5000 * '9'}` in `nofile={5000 * '9'}` is no limit"),
        ("nofile=5:4", "the soft limit in `nofile=5:4` is above the hard one"),
        ("nofile=-1:4", "the soft limit in `nofile=-1:4` is above the hard one"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_limit_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadOption) as raised:
        parse_limit(text)
    assert raised.value.message == message


def test_a_misspelt_limit_is_guessed() -> None:
    with pytest.raises(BadOption) as raised:
        parse_limit("nofiles=1")
    assert raised.value.hint == "did you mean `nofile`?"


def test_the_last_limit_of_a_name_counts() -> None:
    found = parse_limits(["nofile=1", "core=0", "nofile=2"])
    assert found == (Limit("nofile", 2, 2), Limit("core", 0, 0))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, 64 << 20),
        ("", 64 << 20),
        ("0", 64 << 20),
        (0, 64 << 20),
        (1000, 1000),
        ("1000", 1000),
        ("64k", 64 << 10),
        ("1.5g", 3 << 29),
        ("2 GiB", 2 << 30),
    ],
)
def test_the_size_of_shared_memory_is_in_units_of_1024(
    size: str | int | None, expected: int
) -> None:
    assert read_confinement("build", {"shm_size": size}).shm_bytes == expected


@pytest.mark.parametrize("size", ["x", "-1", "64q", "1e3", -5, "9" * 40, "64m\n"])
def test_a_text_that_is_no_size_is_refused(size: str | int) -> None:
    with pytest.raises(BadOption) as raised:
        read_confinement("build", {"shm_size": size})
    assert raised.value.message == f"`{size}` is no size of `/dev/shm`"


def test_what_is_unusual_has_names_and_values_that_stay() -> None:
    # They are a disk format: another text forgets every result that was made with such an option.
    said = {"ulimits": ["nofile=1:2", "core=-1"], "shm_size": "1m"}
    confined = read_confinement("build", said)
    assert list(key_inputs(confined)) == [
        ("shm", "1048576"),
        ("ulimit.core", "-1:-1"),
        ("ulimit.nofile", "1:2"),
    ]


@pytest.mark.parametrize(
    ("command", "keyword"),
    [("build", "shmsize"), ("build", "security"), ("run", "ulimit")],
)
def test_a_word_that_a_command_lacks_is_refused_as_python_does(command: str, keyword: str) -> None:
    with pytest.raises(TypeError, match=rf"{command}\(\) got an unexpected .* '{keyword}'"):
        read_confinement(command, {keyword: None})


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        (None, (), KeptLog(20 << 20, 5)),
        ("local", (), KeptLog(20 << 20, 5)),
        ("none", (), KeptLog(20 << 20, 0)),
        ("json-file", ("max-size=10k",), KeptLog(10 << 10, 5)),
        (None, ("max-file=1", "max-size=-1", "max-file=2"), KeptLog(0, 2)),
    ],
)
def test_how_much_of_a_log_is_kept(
    driver: str | None, options: tuple[str, ...], expected: KeptLog
) -> None:
    assert parse_kept_log(driver, options) == expected


@pytest.mark.parametrize(
    ("driver", "options", "message", "hint"),
    [
        ("syslog", (), "there is no logging driver `syslog`", "`none` nothing"),
        ("none", ("max-file=1",), "`--log-driver none` keeps nothing: `max-file=1`", None),
        (None, ("max-sise=1k",), "unknown option `max-sise` of a log", "did you mean `max-size`?"),
        (None, ("labels=a",), "unknown option `labels` of a log", "`max-size=SIZE`"),
        (None, ("max-size=0",), "`max-size=0` is no size of a log", "sizes read `64m`"),
        (None, ("max-size",), "`max-size` is no size of a log", "sizes read `64m`"),
        (None, ("max-file=0",), "`max-file=0` is no number of files", "write 1 to 1000"),
        (None, ("max-file=1e3",), "`max-file=1e3` is no number of files", "write 1 to 1000"),
    ],
)
def test_logs_that_cannot_be_kept_so(
    driver: str | None, options: tuple[str, ...], message: str, hint: str | None
) -> None:
    with pytest.raises(BadOption) as caught:
        parse_kept_log(driver, options)
    assert caught.value.message.startswith(message)
    assert (hint or "") in (caught.value.hint or "")
