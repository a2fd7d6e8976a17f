"""Seeded Dockerfiles of any length, written as people write them."""

from __future__ import annotations

import random
from collections.abc import Callable

SEED = 20_261_124

PACKAGES = (
    "build-essential", "ca-certificates", "curl", "git", "gnupg", "libffi-dev", "libpq-dev",
    "libssl-dev", "libxml2-dev", "locales", "openssh-client", "pkg-config", "procps", "rsync",
    "tini", "tzdata", "unzip", "xz-utils", "zlib1g",
)  # fmt: skip
"""Names for the long continued lines."""


def _install(chance: random.Random, number: int) -> list[str]:
    names = sorted(chance.sample(PACKAGES, 8))
    return [
        "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\",
        "    apt-get update && apt-get install -y --no-install-recommends \\",
        *(f"        {name} \\" for name in names),
        f"    # what the {number}th service needs at build time",
        f"        package-${{VERSION_{number % 7}}}={number}.${{RELEASE:-0}}* \\",
        "    && rm -rf /var/lib/apt/lists/*",
    ]


def _variables(chance: random.Random, number: int) -> list[str]:
    return [
        f"ARG VERSION_{number % 7}=1.{number}",
        f"ENV SERVICE_{number % 11}_HOME=/srv/service-{number} \\",
        f'    SERVICE_{number % 11}_URL="https://${{HOST:-a.example}}/$VERSION_{number % 7}" \\',
        f"    PATH=/srv/service-{number}/bin:$PATH",
    ]


def _copies(chance: random.Random, number: int) -> list[str]:
    return [
        f"WORKDIR /srv/service-{number}",
        "COPY --chown=1000:1000 package.json package-lock.json ./",
        f'COPY --link ["services/{number}/src", "services/{number}/public", "./"]',
        f"COPY --from=builder-slim /opt/tool-{number} /usr/local/bin/",
    ]


def _script(chance: random.Random, number: int) -> list[str]:
    return [
        "RUN <<EOF",
        "set -eu",
        "for part in one two three; do",
        f'  echo "$part ${{VERSION_{number % 7}}}" >> /etc/parts',
        "done",
        f"chmod 0{chance.choice(['755', '644'])} /etc/parts",
        "EOF",
    ]


def _metadata(chance: random.Random, number: int) -> list[str]:
    return [
        "# Told to the orchestrator.",
        f'LABEL org.example.service="{number}" org.example.version=$VERSION_{number % 7} \\',
        f"      org.example.description='Service number {number}'",
        f"EXPOSE {8000 + number % 1000} 90{number % 90 + 10}/udp",
        "HEALTHCHECK --interval=30s --timeout=3s --retries=3 \\",
        f"    CMD wget -qO- http://localhost:{8000 + number % 1000}/health || exit 1",
        "USER 1000:1000",
        f'CMD ["node", "server.js", "--name=service-{number}"]',
        "",
    ]


def _compile(chance: random.Random, number: int) -> list[str]:
    return [
        f"RUN --mount=type=bind,source=services/{number},target=/src \\",
        "    --mount=type=secret,id=token,env=TOKEN \\",
        f'    cd /src && make -j"$(nproc)" VERSION="$VERSION_{number % 7}" install \\',
        "    && find /usr/local -name '*.a' -delete",
    ]


PARTS: tuple[Callable[[random.Random, int], list[str]], ...] = (
    _install, _variables, _copies, _script, _metadata, _compile,
)  # fmt: skip


def make_dockerfile(lines: int) -> str:
    """Write a Dockerfile of exactly ``lines`` lines; the target needs every stage of it.

    A stage has some forty lines. One continued line in three, variables in most
    instructions, heredocs, mounts and comments: a mix as of long files that exist.
    """
    chance = random.Random(SEED)
    text = [
        "# syntax=docker/dockerfile:1",
        "ARG BASE=debian:bookworm-slim",
        "FROM ${BASE} AS builder-slim",
        "RUN mkdir /opt/tools",
    ]
    stages: list[str] = []
    number = 0
    while True:
        name = f"service-{len(stages)}"
        stage = [f"FROM ${{BASE}} AS {name}", "ARG HOST RELEASE"]
        for part in PARTS:
            number += 1
            stage += part(chance, number)
        # The last stage takes a line for each stage before it, and its FROM.
        if len(text) + len(stage) + len(stages) + 2 > lines:
            break
        text += stage
        stages.append(name)
    text += ["FROM ${BASE}", *(f"COPY --from={name} /srv/ /srv/{name}/" for name in stages)]
    text += [f"# The end, {count}." for count in range(lines - len(text))]
    return "\n".join(text) + "\n"
