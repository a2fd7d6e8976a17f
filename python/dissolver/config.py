"""What the environment and ``config.toml`` say; nothing else reads either.

A value comes from the first of these that has it: the argument (a command line
option), the environment, the user's ``config.toml``, the machine's, the default.
docs/cli.md lists the names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dissolver.errors import ConfigError, Where
from dissolver.registry.settings import RegistrySettings, from_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissolver.store import LayerForm

PROGRESS_MODES = ("auto", "tty", "plain", "quiet", "rawjson", "none")
NETWORKS = ("bridge", "host", "none")
LAYER_FORMS = ("auto", "erofs", "directory")

_SYSTEM_FILE = Path("/etc/dissolver/config.toml")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are kept and what holds unless a command says otherwise.

    ``root`` holds what lasts, ``run`` what a reboot may remove; both are absolute.
    ``layers`` chooses how layers are mounted (``auto`` tries what is possible). The others
    concern output: a dumb terminal cannot move its cursor, ``palette`` is the text
    of ``BUILDKIT_COLORS``, ``log_lines`` counts the lines of a running step's
    output on a terminal.
    """

    root: Path
    run: Path
    host_certificates: bool = False
    network: str = "bridge"
    layers: LayerForm = "auto"
    progress: str = "auto"
    uses_color: bool = True
    is_dumb_terminal: bool = False
    palette: str = ""
    log_lines: int = 6
    registries: RegistrySettings = field(default_factory=RegistrySettings)


@dataclass(frozen=True, slots=True)
class _Source:
    """One place values come from: how to name it, and the values by their key."""

    name: str
    values: Mapping[str, object]


def caller_environment() -> dict[str, str]:
    """Give a copy of the caller's environment, for ``-e NAME`` and ``--build-arg NAME``."""
    return dict(os.environ)


def wants_color(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether the user wants colours on a terminal at all."""
    env = os.environ if environment is None else environment
    return not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def load_settings(
    *,
    root: str | os.PathLike[str] | None = None,
    run: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Settings:
    """Read the settings of the calling user.

    Call it before entering a user namespace: the defaults depend on who is asking.
    ``environment`` and ``uid`` stand in for the process's own in tests.

    Raises:
        ConfigError: a file that is not TOML, an unknown key, a value that does not fit.
    """
    env = os.environ if environment is None else environment
    who = os.geteuid() if uid is None else uid
    sources = [_from_environment(env), *_from_files(env)]
    given_root = os.fspath(root) if root is not None else _text(sources, "root", None)
    home = _data_directory(env, who)
    path = Path(given_root).absolute() if given_root else home
    given_run = os.fspath(run) if run is not None else _text(sources, "run", None)
    run_path = Path(given_run).absolute() if given_run else _run_directory(env, who, path, home)
    return Settings(
        root=path,
        run=run_path,
        host_certificates=_flag(sources, "host_certificates", default=False),
        network=_choice(sources, "network", NETWORKS),
        layers=cast("LayerForm", _choice(sources, "layers", LAYER_FORMS)),
        progress=_choice(sources, "progress", PROGRESS_MODES),
        uses_color=wants_color(env),
        is_dumb_terminal=env.get("TERM") == "dumb",
        palette=env.get("BUILDKIT_COLORS", ""),
        log_lines=_log_lines(env),
        registries=_registries(sources, env),
    )


def _from_environment(env: Mapping[str, str]) -> _Source:
    names = {
        "root": ("DISSOLVER_ROOT",),
        "run": ("DISSOLVER_RUN",),
        "host_certificates": ("DISSOLVER_HOST_CERTIFICATES",),
        "network": ("DISSOLVER_NETWORK",),
        "layers": ("DISSOLVER_LAYERS",),
        "progress": ("DISSOLVER_PROGRESS", "BUILDKIT_PROGRESS"),
        "offline": ("DISSOLVER_OFFLINE",),
    }
    values: dict[str, object] = {}
    for key, variables in names.items():
        for variable in variables:
            if value := env.get(variable):
                values.setdefault(key, value)
    return _Source("the environment", values)


def _from_files(env: Mapping[str, str]) -> list[_Source]:
    if named := env.get("DISSOLVER_CONFIG"):
        if not Path(named).exists():
            raise ConfigError(
                f"the configuration `{named}` does not exist",
                hint="unset DISSOLVER_CONFIG, or create the file",
            )
        return [_read_file(Path(named))]
    given = env.get("XDG_CONFIG_HOME")
    base = Path(given) if given else _home(env) / ".config"
    files = (base / "dissolver" / "config.toml", _SYSTEM_FILE)
    return [_read_file(file) for file in files if file.exists()]


def _read_file(path: Path) -> _Source:
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"`{path}` is not valid TOML: {_lower_first(str(error))}") from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot read `{path}`: {why}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read `{path}`: it is not UTF-8") from error
    known = (
        "root",
        "run",
        "host_certificates",
        "network",
        "layers",
        "progress",
        "offline",
        "registries",
    )
    for key in values:
        # People write either; TOML files of other tools prefer the dash.
        if key.replace("-", "_") not in known:
            raise ConfigError(
                f"unknown setting `{key}`",
                where=_where(path, text, key),
                hint="the settings are " + ", ".join(f"`{name}`" for name in known),
            )
    return _Source(f"`{path}`", {key.replace("-", "_"): value for key, value in values.items()})


def _where(path: Path, text: str, key: str) -> Where | None:
    for number, line in enumerate(text.splitlines(), start=1):
        column = line.find(key)
        if column >= 0:
            return Where(str(path), number, number, (line,), column, len(key))
    return None


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _find(sources: list[_Source], key: str) -> tuple[object, str] | None:
    for source in sources:
        if key in source.values:
            return source.values[key], source.name
    return None


def _text(sources: list[_Source], key: str, default: str | None) -> str | None:
    found = _find(sources, key)
    if found is None:
        return default
    value, origin = found
    if not isinstance(value, str):
        raise ConfigError(f"`{key}` in {origin} must be a text, not `{value}`")
    return value


def _choice(sources: list[_Source], key: str, allowed: tuple[str, ...]) -> str:
    value = _text(sources, key, allowed[0])
    if value not in allowed:
        origin = (_find(sources, key) or ("", "the environment"))[1]
        raise ConfigError(
            f"`{key}` in {origin} cannot be `{value}`",
            hint="use one of " + ", ".join(f"`{name}`" for name in allowed),
        )
    return value


def _flag(sources: list[_Source], key: str, *, default: bool) -> bool:
    found = _find(sources, key)
    if found is None:
        return default
    value, origin = found
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise ConfigError(f"`{key}` in {origin} cannot be `{value}`", hint="use one of `true`, `false`")


def _registries(sources: list[_Source], env: Mapping[str, str]) -> RegistrySettings:
    """Collect what holds for registries; the first file that names one decides about it."""
    tables: dict[str, object] = {}
    for source in reversed(sources):
        found = source.values.get("registries", {})
        if not isinstance(found, dict):
            raise ConfigError(
                f"`registries` in {source.name} must be a table",
                hint='write `[registries."NAME"]` and settings below it',
            )
        tables |= found
    origin = " or ".join(one.name for one in sources if "registries" in one.values)
    made = from_environment(env, home=_home(env), tables=tables, origin=origin)
    return replace(made, is_offline=_flag(sources, "offline", default=False))


def _log_lines(env: Mapping[str, str]) -> int:
    text = env.get("BUILDKIT_TTY_LOG_LINES", "")
    return max(1, int(text)) if text.isdecimal() else 6


def _home(env: Mapping[str, str]) -> Path:
    given = env.get("HOME")
    return Path(given) if given else Path("~").expanduser()


def _data_directory(env: Mapping[str, str], uid: int) -> Path:
    if uid == 0:
        return Path("/var/lib/dissolver")
    given = env.get("XDG_DATA_HOME")
    base = Path(given).absolute() if given else _home(env) / ".local" / "share"
    return base / "dissolver"


def _run_directory(env: Mapping[str, str], uid: int, root: Path, default_root: Path) -> Path:
    """Choose where locks and sockets go; each store root gets a directory of its own."""
    if uid == 0:
        base = Path("/run/dissolver")
    elif runtime := env.get("XDG_RUNTIME_DIR"):
        base = Path(runtime).absolute() / "dissolver"
    elif os.access(f"/run/user/{uid}", os.W_OK):
        base = Path(f"/run/user/{uid}/dissolver")
    else:
        # A well-known name in /tmp could be taken by another user first.
        return root / "run"
    if root == default_root:
        return base
    from zlib import crc32

    # Short, because the name of a socket has to fit into 107 bytes.
    return base / f"{crc32(os.fsencode(root)):08x}"
