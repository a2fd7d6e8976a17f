"""How dependencies are installed: commands, and the files that decide about them."""

from __future__ import annotations

import re
from functools import cache

import msgspec


class Ecosystem(msgspec.Struct, frozen=True):
    """One way to install dependencies.

    ``install`` matches the commands; the files of ``manifests`` are all they need.
    ``prepares`` matches a step that fetches the dependencies alone, where the build
    does it by itself otherwise; ``hint`` says how. A step with a cache mount is left
    alone: somebody has thought about it.
    """

    name: str
    install: str
    manifests: tuple[str, ...]
    prepares: str | None = None
    hint: str = ""


_START = r"(?:^|[;&|(]\s*|\n\s*|\bsudo\s+|\bexec\s+|\btime\s+)(?:\w+=\S*\s+)*"
"""Where a command begins: at the start, behind an operator, or behind its variables."""


@cache
def _commands(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of commands; most files need one or two of them, and many none."""
    return re.compile(_START + r"(" + pattern + r")(?=\s|$|[;&|)])")


ECOSYSTEMS = (
    Ecosystem(
        "pnpm",
        (r"pnpm(?:\s+-\S+)*\s+(?:i|install|ci)"),
        ("package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".npmrc"),
        (r"pnpm\s+fetch"),
    ),
    Ecosystem(
        "yarn",
        (r"yarn(?:\s+--\S+)*(?:\s+install)?(?=\s*(?:$|[;&|)\n]|\s--))"),
        ("package.json", "yarn.lock", ".yarnrc.yml", ".yarn"),
    ),
    Ecosystem(
        "npm",
        (r"npm(?:\s+--?\S+)*\s+(?:ci|clean-install|i|install)(?!\s+(?:-g|--global)\b)"),
        ("package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"),
    ),
    Ecosystem(
        "uv",
        (r"uv\s+(?:sync|pip\s+(?:sync|install\s+(?:-r|--requirement)))"),
        ("pyproject.toml", "uv.lock", "requirements.txt"),
        hint="`uv sync --frozen --no-install-project`",
    ),
    Ecosystem(
        "poetry",
        (r"poetry(?:\s+-\S+)*\s+install"),
        ("pyproject.toml", "poetry.lock", "poetry.toml"),
        hint="`poetry install --no-root`",
    ),
    Ecosystem(
        "pip",
        (r"(?:python3?\s+-m\s+)?pip3?(?:\s+-\S+)*\s+install\s[^;&|\n]*?-r\s?\S+|"
                  r"(?:python3?\s+-m\s+)?pip3?\s+install\s[^;&|\n]*?--requirement[= ]\S+"),
        ("requirements.txt", "constraints.txt"),
    ),
    Ecosystem(
        "go",
        (r"go\s+(?:build|install|mod\s+download|mod\s+vendor|test)"),
        ("go.mod", "go.sum"),
        (r"go\s+mod\s+(?:download|vendor)"),
        "`go mod download`",
    ),
    Ecosystem(
        "cargo",
        (r"cargo(?:\s+\+\S+)?\s+(?:build|b|install|test|fetch)"),
        ("Cargo.toml", "Cargo.lock"),
        (r"cargo\s+(?:fetch|chef\s+cook)"),
        "`cargo fetch`, or `cargo chef`",
    ),
    Ecosystem(
        "maven",
        (r"(?:\./)?mvnw?(?:\s+-\S+)*\s+(?:package|install|verify|compile|clean|dependency:\S+)"),
        ("pom.xml", ".mvn", "mvnw"),
        (r"(?:\./)?mvnw?\s[^;&|\n]*dependency:(?:go-offline|resolve)"),
        "`mvn dependency:go-offline`",
    ),
    Ecosystem(
        "gradle",
        (r"(?:\./)?gradlew?(?:\s+-\S+)*\s+(?:build|assemble|bootJar|jar|shadowJar|"
                  r"installDist|clean|dependencies)"),
        ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts",
         "gradle.properties", "gradle", "gradlew"),
        (r"(?:\./)?gradlew?\s[^;&|\n]*dependencies"),
        "`gradle dependencies`",
    ),
    Ecosystem(
        "bundler",
        (r"bundle(?:\s+_\S+_)?\s+install|bundle(?=\s*(?:$|[;&|)\n]))"),
        ("Gemfile", "Gemfile.lock"),
    ),
    Ecosystem(
        "composer",
        (r"(?:php\s+)?composer(?:\.phar)?(?:\s+-\S+)*\s+(?:i|install)"),
        ("composer.json", "composer.lock"),
        hint="`composer install --no-scripts --no-autoloader`",
    ),
)  # fmt: skip
"""The ecosystems, those first whose commands others would match too."""

SLOW = (
    r"apt(?:-get)?\s+(?:-\S+\s+)*install|apk\s+(?:-\S+\s+)*add|(?:dnf|yum|microdnf)\s+"
    r"(?:-\S+\s+)*install|pacman\s+-S|zypper\s+(?:-\S+\s+)*install|pip3?\s+install|"
    r"npm\s+(?:ci|i|install)|make|cmake|gem\s+install|conda\s+install"
)
"""Other steps that take time: they install packages, or compile."""


def installer_of(command: str) -> tuple[Ecosystem, str] | None:
    """Find the first command that installs dependencies: the ecosystem, and its text."""
    for ecosystem in ECOSYSTEMS:
        if not any(word in command for word in _WORDS.get(ecosystem.name, (ecosystem.name,))):
            continue
        found = _commands(ecosystem.install).search(command)
        if found is not None:
            return ecosystem, " ".join(found[1].split())
    return None


def prepared_by(command: str) -> set[str]:
    """Name the ecosystems whose dependencies a command fetches."""
    found = installer_of(command)
    names = set() if found is None else {found[0].name}
    for ecosystem in ECOSYSTEMS:
        if ecosystem.prepares is not None and _commands(ecosystem.prepares).search(command):
            names.add(ecosystem.name)
    return names


def is_slow(command: str) -> bool:
    """Tell whether a command installs packages or dependencies, or compiles."""
    return _commands(SLOW).search(command) is not None or installer_of(command) is not None


_WORDS = {"maven": ("mvn",), "bundler": ("bundle",)}
"""What commands are called, where that is not the name of the ecosystem."""
