"""The machine's apt sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver.intake.apt_sources import (
    AptSource,
    own_suite,
    parse_lines,
    parse_stanzas,
    read_sources,
    sources_for,
)

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEBIAN = f"""\
# the main archive
Types: deb deb-src
URIs: http://mirror.internal/debian
# of two suites
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: {KEYRING}

Types: deb
URIs: http://mirror.internal/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEYRING}
"""
SECURITY = AptSource(
    ("http://mirror.internal/debian-security",),
    ("bookworm-security",),
    ("main",),
    (("Signed-By", KEYRING),),
)


def test_stanzas_are_read() -> None:
    first, second = parse_stanzas(DEBIAN)
    assert first.uris == ("http://mirror.internal/debian",)
    assert first.suites == ("bookworm", "bookworm-updates", "bookworm-backports")
    assert first.components == ("main", "contrib")
    assert first.keyring == Path(KEYRING)
    assert second == SECURITY


@pytest.mark.parametrize(
    "text",
    [
        "Types: deb-src\nURIs: http://a\nSuites: bookworm\nComponents: main\n",
        "Enabled: no\nTypes: deb\nURIs: http://a\nSuites: bookworm\nComponents: main\n",
        "Types: deb\nSuites: bookworm\nComponents: main\n",
        "Types: deb\nURIs: http://a\nComponents: main\n",
        "",
        "nonsense\n",
    ],
)
def test_stanzas_that_are_no_enabled_binary_source_are_left_out(text: str) -> None:
    assert list(parse_stanzas(text)) == []


def test_a_key_within_a_stanza_is_kept_as_it_is() -> None:
    key = (
        "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----"
    )
    text = f"Types: deb\nURIs: http://a\nSuites: sid\nComponents: main\nSigned-By:{key}\n"
    [source] = parse_stanzas(text)
    assert source.fields == (("Signed-By", key),)
    assert source.keyring is None
    assert list(parse_stanzas(source.stanza())) == [source]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("deb http://a bookworm main", AptSource(("http://a",), ("bookworm",), ("main",))),
        (
            "  deb http://a bookworm main contrib # note",
            AptSource(("http://a",), ("bookworm",), ("main", "contrib")),
        ),
        (
            f"deb [arch=amd64,arm64 signed-by={KEYRING} lang=de] http://a bookworm main",
            AptSource(
                ("http://a",),
                ("bookworm",),
                ("main",),
                (("Architectures", "amd64 arm64"), ("Signed-By", KEYRING)),
            ),
        ),
        (
            "deb [ trusted=yes ] http://a bookworm main",
            AptSource(("http://a",), ("bookworm",), ("main",), (("Trusted", "yes"),)),
        ),
        ("deb http://a ./", AptSource(("http://a",), ("./",), ())),
    ],
)
def test_lines_are_read(line: str, expected: AptSource) -> None:
    assert list(parse_lines(line)) == [expected]


@pytest.mark.parametrize(
    "line", ["", "# deb http://a b main", "deb-src http://a b main", "deb", "x"]
)
def test_other_lines_are_left_out(line: str) -> None:
    assert list(parse_lines(line)) == []


def test_both_forms_are_read_from_where_apt_looks(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://one bookworm main\n")
    (parts / "b.list").write_text("deb http://two bookworm main\n")
    (parts / "a.sources").write_text(DEBIAN)
    (parts / "c.list.disabled").write_text("deb http://three bookworm main\n")
    (parts / "d.list").write_bytes(b"\xff\xfe")
    assert [source.uris[0] for source in read_sources(tmp_path)] == [
        "http://one",
        "http://mirror.internal/debian",
        "http://mirror.internal/debian-security",
        "http://two",
    ]


def test_a_machine_without_apt_has_no_sources(tmp_path: Path) -> None:
    assert read_sources(tmp_path / "none") == []


def test_a_suite_comes_with_its_updates_and_security_fixes() -> None:
    chosen = sources_for("bookworm", parse_stanzas(DEBIAN), own_suite="bookworm")
    assert [source.suites for source in chosen] == [
        ("bookworm", "bookworm-updates"),
        ("bookworm-security",),
    ]


def test_somebodys_additions_stay_out() -> None:
    sources = parse_lines(
        "deb http://a bookworm main\n"
        "deb http://docker bookworm stable\n"
        "deb http://node nodistro main\n"
    )
    chosen = sources_for("bookworm", sources, own_suite="bookworm")
    assert [source.uris for source in chosen] == [("http://a",)]


def test_another_suite_comes_from_the_mirrors_of_the_machines_own() -> None:
    chosen = sources_for("trixie", parse_stanzas(DEBIAN), own_suite="bookworm")
    assert [(source.uris, source.suites) for source in chosen] == [
        (("http://mirror.internal/debian",), ("trixie", "trixie-updates")),
        (("http://mirror.internal/debian-security",), ("trixie-security",)),
    ]


def test_sid_has_neither_updates_nor_security_fixes() -> None:
    chosen = sources_for("sid", parse_stanzas(DEBIAN), own_suite="bookworm")
    assert [source.suites for source in chosen] == [("sid",)]


def test_a_machine_of_another_kind_has_nothing_to_offer() -> None:
    assert sources_for("noble", parse_stanzas(DEBIAN), own_suite=None) == []
    assert sources_for("noble", parse_stanzas(DEBIAN), own_suite="jammy") == []
    assert sources_for("noble", parse_stanzas(DEBIAN), own_suite="bookworm") == []
    ubuntu = list(parse_lines("deb http://archive/ubuntu jammy main"))
    assert sources_for("bookworm", ubuntu, own_suite="jammy") == []
    [noble] = sources_for("noble", ubuntu, own_suite="jammy")
    assert noble.suites == ("noble",)


@pytest.mark.parametrize(
    ("text", "suite"),
    [
        ('NAME="Debian"\nVERSION_CODENAME=bookworm\nID=debian\n', "bookworm"),
        ('VERSION_CODENAME="noble"\n', "noble"),
        ("ID=alpine\n", None),
    ],
)
def test_the_machines_suite_is_read_from_os_release(
    tmp_path: Path, text: str, suite: str | None
) -> None:
    (tmp_path / "os-release").write_text(text)
    assert own_suite(tmp_path / "os-release") == suite
    assert own_suite(tmp_path / "none") is None
