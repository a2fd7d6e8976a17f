"""Settings come from the argument, the environment, the files, the default, in this order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dissolver import config
from dissolver.config import load_settings
from dissolver.errors import ConfigError

HOME = {"HOME": "/home/me"}


@pytest.fixture(autouse=True)
def _no_system_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "_SYSTEM_FILE", tmp_path / "etc" / "config.toml")


def load(uid: int = 0, root: str | None = None, **env: str) -> config.Settings:
    return load_settings(root=root, environment={**HOME, **env}, uid=uid)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("uid", "env", "root", "run"),
    [
        (0, {}, "/var/lib/dissolver", "/run/dissolver"),
        (
            1234,
            {"XDG_RUNTIME_DIR": "/run/user/1234"},
            "/home/me/.local/share/dissolver",
            "/run/user/1234/dissolver",
        ),
        (
            1234,
            {"XDG_DATA_HOME": "/data", "XDG_RUNTIME_DIR": "/rt"},
            "/data/dissolver",
            "/rt/dissolver",
        ),
        (1234, {}, "/home/me/.local/share/dissolver", "/home/me/.local/share/dissolver/run"),
        (0, {"XDG_DATA_HOME": "/data"}, "/var/lib/dissolver", "/run/dissolver"),
        (0, {"DISSOLVER_RUN": "/r"}, "/var/lib/dissolver", "/r"),
    ],
)
def test_everybody_has_a_place_of_their_own(
    uid: int, env: dict[str, str], root: str, run: str
) -> None:
    settings = load(uid, **env)
    assert (str(settings.root), str(settings.run)) == (root, run)


def test_another_store_has_other_locks_and_sockets() -> None:
    one, two = load(DISSOLVER_ROOT="/one"), load(DISSOLVER_ROOT="/two")
    assert one.root == Path("/one")
    assert one.run.parent == two.run.parent == Path("/run/dissolver")
    assert one.run != two.run
    assert one.run == load(root="/one").run
    assert len(one.run.name) == 8


def test_relative_roots_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(root="store").root == tmp_path / "store"


def test_nearer_sources_win(tmp_path: Path) -> None:
    write(config._SYSTEM_FILE, 'network = "none"\nprogress = "plain"\nroot = "/system"\n')
    write(tmp_path / "dissolver" / "config.toml", 'network = "host"\nhost-certificates = true\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    settings = load(**env)
    assert settings.network == "host"
    assert settings.progress == "plain"
    assert settings.host_certificates is True
    assert settings.root == Path("/system")
    assert load(**env, DISSOLVER_NETWORK="bridge").network == "bridge"
    assert load(**env, DISSOLVER_ROOT="/env").root == Path("/env")
    assert load(root="/argument", **env, DISSOLVER_ROOT="/env").root == Path("/argument")
    assert load(**env, BUILDKIT_PROGRESS="tty").progress == "tty"
    assert load(**env, BUILDKIT_PROGRESS="tty", DISSOLVER_PROGRESS="quiet").progress == "quiet"


def test_a_file_can_be_named(tmp_path: Path) -> None:
    write(config._SYSTEM_FILE, 'network = "none"\n')
    named = write(tmp_path / "mine.toml", 'progress = "plain"\n')
    settings = load(DISSOLVER_CONFIG=str(named))
    assert (settings.network, settings.progress) == ("bridge", "plain")
    with pytest.raises(ConfigError, match="does not exist"):
        load(DISSOLVER_CONFIG=str(tmp_path / "gone.toml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("off", False)],
)
def test_switches_in_the_environment(text: str, value: bool) -> None:
    assert load(DISSOLVER_HOST_CERTIFICATES=text).host_certificates is value


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            {"DISSOLVER_HOST_CERTIFICATES": "maybe"},
            "`host_certificates` in the environment cannot be `maybe`",
        ),
        ({"DISSOLVER_NETWORK": "mars"}, "`network` in the environment cannot be `mars`"),
        ({"DISSOLVER_LAYERS": "glued"}, "`layers` in the environment cannot be `glued`"),
        ({"BUILDKIT_PROGRESS": "loud"}, "`progress` in the environment cannot be `loud`"),
    ],
)
def test_values_that_do_not_fit_are_told(env: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**env)
    assert caught.value.message == message
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("use one of ")


def test_an_unknown_setting_is_shown_in_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "dissolver" / "config.toml", '# mine\nprogres = "plain"\n')
    with pytest.raises(ConfigError) as caught:
        load(XDG_CONFIG_HOME=str(tmp_path))
    error = caught.value
    assert error.message == "unknown setting `progres`"
    assert error.where is not None
    assert (error.where.file, error.where.line, error.where.column) == (str(path), 2, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("network = \n", "is not valid TOML: invalid value"),
        ("network = 3\n", "must be a text, not `3`"),
        ('host_certificates = "perhaps"\n', "cannot be `perhaps`"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "dissolver" / "config.toml", text)
    with pytest.raises(ConfigError) as caught:
        load(XDG_CONFIG_HOME=str(tmp_path))
    assert str(path) in caught.value.message
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("env", "wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_can_be_turned_off(env: dict[str, str], wanted: bool) -> None:
    assert config.wants_color(env) is wanted
    assert load(**env).uses_color is wanted


@pytest.mark.parametrize(("text", "lines"), [("", 6), ("10", 10), ("0", 1), ("many", 6)])
def test_the_height_of_a_log_tail(text: str, lines: int) -> None:
    assert load(BUILDKIT_TTY_LOG_LINES=text).log_lines == lines


def test_the_callers_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE", "1")
    copy: dict[str, Any] = dict(config.caller_environment())
    assert copy["PROBE"] == "1"
    monkeypatch.setenv("PROBE", "2")
    assert copy["PROBE"] == "1"
