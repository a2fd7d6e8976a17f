"""Docker's config.json and credential helpers, read and written beside Docker."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from dissolver.errors import CredentialsError
from dissolver.registry import credentials
from dissolver.registry.credentials import Credentials, CredentialStore
from dissolver.registry.endpoints import named_registry

HELPER = """#!/bin/sh
# Keeps one file for each server, as a real helper keeps its secrets.
read -r input
case "$1" in
get)
    name=$(printf %s "$input" | tr -c 'a-z0-9\\n' _)
    if [ -e "$STORE/$name" ]; then cat "$STORE/$name"; else
        echo "credentials not found in native keychain"; exit 1
    fi ;;
store)
    server=$(printf %s "$input" | sed 's/.*"ServerURL": *"\\([^"]*\\)".*/\\1/')
    printf %s "$input" > "$STORE/$(printf %s "$server" | tr -c 'a-z0-9\\n' _)" ;;
erase) rm "$STORE/$(printf %s "$input" | tr -c 'a-z0-9\\n' _)" ;;
broken) exit 3 ;;
esac
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for config.json; and one for programs, which is searched first."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "secrets").mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("STORE", str(tmp_path / "secrets"))
    return tmp_path / "docker"


def helper(directory: Path, name: str, text: str = HELPER) -> None:
    program = directory.parent / "bin" / f"docker-credential-{name}"
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)


def config(directory: Path, document: Any) -> CredentialStore:
    directory.mkdir(exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document)
    (directory / "config.json").write_text(text, encoding="utf-8")
    return CredentialStore(directory)


def written(directory: Path) -> Any:
    return json.loads((directory / "config.json").read_text(encoding="utf-8"))


ME = "bWU6cGFzczp3b3Jk"  # me:pass:word


@pytest.mark.parametrize(
    ("document", "registry", "expected"),
    [
        ({}, "docker.io", None),
        ({"auths": None}, "docker.io", None),
        ({"auths": {"https://index.docker.io/v1/": {"auth": ME}}}, "docker.io", "me"),
        ({"auths": {"docker.io": {"auth": ME}}}, "docker.io", "me"),
        ({"auths": {"index.docker.io": {"auth": ME}}}, "docker.io", "me"),
        ({"auths": {"ghcr.io": {"auth": ME}}}, "ghcr.io", "me"),
        ({"auths": {"https://ghcr.io": {"auth": ME}}}, "ghcr.io", "me"),
        ({"auths": {"https://lan:5000/v2/": {"auth": ME}}}, "lan:5000", "me"),
        ({"auths": {"lan:5000": {"auth": ME}}}, "lan", None),
        ({"auths": {"ghcr.io": {"auth": ME}}}, "docker.io", None),
        ({"auths": {"ghcr.io": {}}}, "ghcr.io", None),
        ({"auths": {"ghcr.io": {"username": "me", "password": "pass:word"}}}, "ghcr.io", "me"),
    ],
)
def test_the_file_is_read_as_docker_reads_it(
    directory: Path, document: Any, registry: str, expected: str | None
) -> None:
    found = config(directory, document).find(registry)
    assert found == (None if expected is None else Credentials(expected, "pass:word"))


def test_an_identity_token_is_read(directory: Path) -> None:
    entry = {"auth": "bWU6", "identitytoken": "t0ken"}
    store = config(directory, {"auths": {"ghcr.io": entry}})
    assert store.find("ghcr.io") == Credentials("me", "", "t0ken")


def test_what_is_kept_is_for_its_owner_only_and_leaves_the_rest_alone(directory: Path) -> None:
    store = config(directory, {"psFormat": "table", "auths": {"a.example": {"auth": ME}}})
    place = store.keep("docker.io", Credentials("moby", "s3cret"))
    assert place == directory / "config.json"
    assert written(directory) == {
        "psFormat": "table",
        "auths": {
            "a.example": {"auth": ME},
            "https://index.docker.io/v1/": {"auth": "bW9ieTpzM2NyZXQ="},
        },
    }
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [path.name for path in directory.iterdir()] == ["config.json"]
    assert store.find("docker.io") == Credentials("moby", "s3cret")
    assert store.forget("docker.io")
    assert written(directory) == {"psFormat": "table", "auths": {"a.example": {"auth": ME}}}
    assert not store.forget("docker.io")


def test_the_first_login_makes_the_directory(directory: Path) -> None:
    CredentialStore(directory / "deep").keep("ghcr.io", Credentials("me", "x"))
    assert stat.S_IMODE((directory / "deep").stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "deep/config.json").stat().st_mode) == 0o600


def test_logins_at_the_same_time_are_all_kept(directory: Path) -> None:
    names = [f"lan{number}" for number in range(20)]
    threads = [
        threading.Thread(
            target=lambda name=name: CredentialStore(directory).keep(name, Credentials("me", name))
        )
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written(directory)["auths"]) == sorted(names)
    assert [path.name for path in directory.iterdir()] == ["config.json"]


def test_what_is_no_text_stays_as_it_is_written(directory: Path) -> None:
    store = config(directory, '{"psFormat": "\\ud800 é"}')
    store.keep("ghcr.io", Credentials("me", "pass:word"))
    assert written(directory)["psFormat"] == "\ud800 é"


def test_a_file_may_say_that_there_are_no_logins(directory: Path) -> None:
    store = config(directory, {"auths": None, "currentContext": "x"})
    store.keep("ghcr.io", Credentials("me", "pass:word"))
    assert written(directory) == {"auths": {"ghcr.io": {"auth": ME}}, "currentContext": "x"}


def test_a_link_stays_one(directory: Path) -> None:
    directory.mkdir()
    elsewhere = directory.parent / "dotfiles.json"
    elsewhere.write_text("{}", encoding="utf-8")
    (directory / "config.json").symlink_to(elsewhere)
    CredentialStore(directory).keep("ghcr.io", Credentials("me", "x"))
    assert (directory / "config.json").is_symlink()
    assert json.loads(elsewhere.read_text(encoding="utf-8"))["auths"]


@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_a_helper_keeps_secrets(directory: Path, key: str) -> None:
    helper(directory, "test")
    named: Any = "test" if key == "credsStore" else {"ghcr.io": "test"}
    store = config(directory, {key: named})
    assert store.find("ghcr.io") is None
    assert store.keep("ghcr.io", Credentials("me", "s3cret")) is None
    assert "s3cret" not in (directory / "config.json").read_text(encoding="utf-8")
    assert written(directory)["auths"] == {"ghcr.io": {}}
    assert store.find("ghcr.io") == Credentials("me", "s3cret")
    assert store.forget("ghcr.io")
    assert store.find("ghcr.io") is None
    assert not store.forget("ghcr.io")


def test_a_helper_keeps_identity_tokens_by_their_special_user(directory: Path) -> None:
    helper(directory, "test")
    store = config(directory, {"credsStore": "test"})
    store.keep("ghcr.io", Credentials("me", "", "t0ken"))
    assert store.find("ghcr.io") == Credentials(identity_token="t0ken")


def test_a_helper_for_one_registry_wins(directory: Path) -> None:
    helper(directory, "one", '#!/bin/sh\necho \'{"Username": "one", "Secret": "1"}\'\n')
    helper(directory, "all", '#!/bin/sh\necho \'{"Username": "all", "Secret": "2"}\'\n')
    store = config(directory, {"credsStore": "all", "credHelpers": {"ghcr.io": "one"}})
    assert store.find("ghcr.io") == Credentials("one", "1")
    assert store.find("docker.io") == Credentials("all", "2")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (None, "the credential helper `docker-credential-test` is not installed"),
        (
            "#!/bin/sh\necho s3cret; echo s3cret >&2; exit 3\n",
            "the credential helper `docker-credential-test` failed (`get`, exit code 3)",
        ),
        (
            "#!/bin/sh\necho s3cret\n",
            "`docker-credential-test` answers with something that is no credentials",
        ),
        (
            "#!/bin/sh\necho '[\"s3cret\"]'\n",
            "`docker-credential-test` answers with something that is no credentials",
        ),
        (
            '#!/bin/sh\necho \'{"Username": null, "Secret": "s3cret"}\'\n',
            "`docker-credential-test` answers with something that is no credentials",
        ),
        (
            "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' '['\n",
            "`docker-credential-test` answers with something that is no credentials",
        ),
        (
            "#!/bin/sh\nexec yes s3cret\n",
            "the credential helper `docker-credential-test` answers without an end",
        ),
    ],
)
def test_a_helper_that_fails_is_told_without_what_it_said(
    directory: Path, program: str | None, message: str
) -> None:
    if program is not None:
        helper(directory, "test", program)
    store = config(directory, {"credsStore": "test"})
    with pytest.raises(CredentialsError) as caught:
        store.find("ghcr.io")
    assert caught.value.message == message
    assert "s3cret" not in repr(vars(caught.value))


@pytest.mark.parametrize(
    "program",
    [
        "#!/bin/sh\nexec sleep 60\n",
        "#!/bin/sh\nsleep 2 &\n",
        "#!/bin/sh\nexec >&-\nexec sleep 60\n",
    ],
)
def test_a_helper_that_hangs_is_given_up(
    directory: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(credentials, "HELPER_SECONDS", 0.2)
    helper(directory, "test", program)
    store = config(directory, {"credsStore": "test"})
    with pytest.raises(CredentialsError, match="has not answered for 0 seconds"):
        store.find("ghcr.io")


@pytest.mark.parametrize("name", ["../../tmp/evil", "a\0b", "a\ud800"])
def test_a_helper_is_a_name_and_no_path(directory: Path, name: str) -> None:
    store = config(directory, {"credsStore": name})
    with pytest.raises(CredentialsError) as caught:
        store.find("ghcr.io")
    assert caught.value.message == f"`{name}` is not the name of a credential helper"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"auths": {"ghcr.io": {"auth": "s3cret"', "`{}` is not valid JSON"),
        ("[" * 200_000, "`{}` is not valid JSON"),
        ("[]", "`{}` is no configuration of Docker's"),
        ('{"auths": []}', "`{}` is no configuration of Docker's"),
        (
            '{"auths": {"ghcr.io": {"auth": "czNjcmV0"}}}',
            "the stored credentials of `ghcr.io` are damaged",
        ),
        (
            '{"auths": {"ghcr.io": {"auth": "s3cret!"}}}',
            "the stored credentials of `ghcr.io` are damaged",
        ),
        (
            '{"auths": {"ghcr.io": {"username": "me", "password": ["s3cret"]}}}',
            "the stored credentials of `ghcr.io` are damaged",
        ),
    ],
)
def test_a_damaged_file_is_told_without_its_secrets(
    directory: Path, text: str, message: str
) -> None:
    store = config(directory, text)
    with pytest.raises(CredentialsError) as caught:
        store.find("ghcr.io")
    assert caught.value.message == message.format(directory / "config.json")
    assert "s3cret" not in repr(vars(caught.value))
    assert "s3cret" not in repr(caught.value.__cause__)
    assert (directory / "config.json").read_text(encoding="utf-8") == text


def test_credentials_do_not_show_their_secrets() -> None:
    assert repr(Credentials("me", "s3cret", "t0ken")) == "Credentials(user='me')"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "docker.io"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io/team", "ghcr.io"),
        ("https://user@lan:5000/", "lan:5000"),
        (" localhost:5000 ", "localhost:5000"),
        ("http://[::1", "[::1"),
    ],
)
def test_logins_name_registries_in_many_ways(text: str, name: str) -> None:
    assert named_registry(text) == name
