"""The words of ``build`` that have an inner form: ``id=npm,src=.npmrc`` and the like."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence

from dissolver.cli.words import UsageSlip

AGENT_VARIABLE = "SSH_AUTH_SOCK"


def fields_of(flag: str, word: str) -> dict[str, str]:
    """Cut ``a=1,b=2`` at its commas, as CSV has it; keys in lower case.

    Raises:
        UsageSlip: a field has no ``=``, or a quote is out of place.
    """
    try:
        (row,) = csv.reader([word], strict=True)
    except (csv.Error, ValueError):
        raise UsageSlip(f"`{flag} {word}` cannot be cut at its commas", None) from None
    fields: dict[str, str] = {}
    for field in row:
        key, equals, value = field.partition("=")
        if not equals:
            raise UsageSlip(f"`{field}` in `{flag} {word}` has to be `key=value`", None)
        fields[key.strip().lower()] = value
    return fields


def named_values(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Read ``NAME=value`` words; a bare ``NAME`` takes the caller's value, if it has one."""
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageSlip(f"`{word}` has no name before the `=`", None)
        if equals:
            values[name] = value
        elif name in environment:
            values[name] = environment[name]
    return values


def named_contexts(words: Sequence[str]) -> dict[str, str]:
    """Read the named contexts that ``--build-context`` gives.

    Raises:
        UsageSlip: a word is no ``NAME=VALUE``.
    """
    contexts: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise UsageSlip(
                f"`--build-context {word}` has to be `NAME=VALUE`",
                None,
                "the value is a directory, a URL, `docker-image://…` or `oci-layout://…`",
            )
        contexts[name] = value
    return contexts


def stage_names(words: Sequence[str]) -> tuple[str, ...]:
    """Read the stages that ``--no-cache-filter`` names, several of them between commas."""
    return tuple(name for word in words for part in word.split(",") if (name := part.strip()))


def label_values(words: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` labels; a bare ``NAME`` has an empty value, as it has for Docker.

    Raises:
        UsageSlip: there is no name.
    """
    pairs = [word.partition("=") for word in words]
    for name, _, value in pairs:
        if not name.strip():
            raise UsageSlip(f"`--label {name}={value}` has no name before the `=`", None)
    return {name: value for name, _, value in pairs}


def annotation_values(words: Sequence[str]) -> dict[str, str]:
    """Read ``[PLACE:]NAME=VALUE`` annotations.

    Raises:
        UsageSlip: there is no ``=``.
    """
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageSlip(f"`--annotation {name}` has to be `NAME=VALUE`", None)
    return {name: value for name, _, value in pairs}


def stdin_context() -> int:
    """Give the descriptor of standard input, for a build that reads its context from there.

    Raises:
        UsageSlip: it is a terminal.
    """
    if sys.stdin.isatty():
        raise UsageSlip(
            "a terminal is no build context",
            None,
            "send an archive: `tar -c . | dissolver build -`",
        )
    return sys.stdin.fileno()


def text_from_stdin() -> str:
    """Read all of standard input; bytes that are no UTF-8 come as surrogate escapes."""
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def one_platform(text: str | None) -> str | None:
    """Read ``--platform``; an empty text is none.

    Raises:
        UsageSlip: there are several.
    """
    if text is not None and "," in text:
        raise UsageSlip(
            "an image is built for one platform at a time",
            None,
            f"build for each of {text} with a tag of its own",
        )
    return text or None


def read_secrets(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, bytes]:
    """Read the secrets that ``--secret`` names, from files and variables.

    Raises:
        UsageSlip: a word does not say what is meant.
        BuildError: a file cannot be read, a variable is not set.
    """
    secrets: dict[str, bytes] = {}
    for word in words:
        fields = fields_of("--secret", word)
        unknown = sorted(fields.keys() - {"type", "id", "src", "source", "env"})
        if unknown:
            raise UsageSlip(
                f"unknown key `{unknown[0]}` in `--secret {word}`",
                None,
                "the keys are `id`, `src`, `env` and `type`",
            )
        identity = fields.get("id", "")
        if not identity:
            raise UsageSlip(f"`--secret {word}` has no `id=`", None)
        secrets[identity] = _secret(word, identity, fields, environment)
    return secrets


def _secret(
    word: str, identity: str, fields: Mapping[str, str], environment: Mapping[str, str]
) -> bytes:
    from dissolver.build.secret_values import secret_of_file, secret_of_variable

    kind = fields.get("type", "")
    source = fields.get("src") or fields.get("source") or ""
    variable = fields.get("env", "")
    if kind not in ("", "file", "env"):
        raise UsageSlip(f"unknown type `{kind}` in `--secret {word}`", None, "it is file or env")
    if kind == "env" or (not kind and (variable or (not source and identity in environment))):
        return secret_of_variable(identity, variable or source or identity, environment)
    return secret_of_file(identity, source or identity)


def read_agents(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Read what ``--ssh`` names: ``ID`` for the caller's agent, or ``ID=SOCKET`` or ``ID=KEY,KEY``.

    Raises:
        UsageSlip: the caller has no agent.
    """
    agents: dict[str, tuple[str, ...]] = {}
    for word in words:
        identity, _, paths = word.partition("=")
        given = tuple(path for path in paths.split(",") if path)
        if not given:
            agent = environment.get(AGENT_VARIABLE, "")
            if not agent:
                raise UsageSlip(
                    f"`--ssh {word}` needs an agent, and {AGENT_VARIABLE} names none",
                    None,
                    f"start `ssh-agent`, or name a key: `--ssh {identity}=$HOME/.ssh/id_ed25519`",
                )
            given = (agent,)
        agents[identity] = given
    return agents
