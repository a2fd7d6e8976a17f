"""The files that describe a container's network to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver.network.etc_files import EtcFiles, hosts_text, resolv_conf_text

PUBLIC = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


@pytest.mark.parametrize(
    ("host", "fallback", "expected"),
    [
        ("nameserver 10.0.0.1\n", "", "nameserver 10.0.0.1\n"),
        (
            "search lan\nnameserver 127.0.0.1\nnameserver 10.0.0.1\noptions ndots:2\n",
            "",
            "search lan\nnameserver 10.0.0.1\noptions ndots:2\n",
        ),
        ("nameserver 127.0.0.53\n", "nameserver 192.168.1.1\n", "nameserver 192.168.1.1\n"),
        ("nameserver 127.0.0.53\n", "nameserver 127.0.0.1\n", PUBLIC),
        ("nameserver ::1\nsearch lan\n", "", "search lan\n" + PUBLIC),
        ("", "", PUBLIC),
    ],
    ids=["plain", "loopback out", "systemd-resolved", "all loopback", "keeps search", "none"],
)
def test_a_container_gets_servers_that_it_can_reach(
    host: str, fallback: str, expected: str
) -> None:
    assert resolv_conf_text(host, fallback) == expected


def test_hosts_has_the_local_names_first() -> None:
    lines = hosts_text([("10.88.0.2", "web")]).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-1] == "10.88.0.2\tweb"


def test_the_files_are_written_and_bound(tmp_path: Path) -> None:
    mounts = EtcFiles("hosts\n", "web\n", "nameserver 10.0.0.1\n").write(tmp_path)
    assert mounts == tuple(
        (str(tmp_path / name), f"/etc/{name}") for name in ("resolv.conf", "hosts", "hostname")
    )
    assert (tmp_path / "hostname").read_text() == "web\n"
    in_a_step = EtcFiles("h\n", "web\n", "").write(tmp_path, with_hostname=False)
    assert [place for _, place in in_a_step] == ["/etc/resolv.conf", "/etc/hosts"]
    assert (tmp_path / "hosts").stat().st_mode & 0o777 == 0o644
