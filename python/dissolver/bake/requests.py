"""Targets in the words of ``Engine.build``; what these have no word for is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from dissolver.bake.permissions import dockerfile_path, local_path, named_context
from dissolver.bake.selection import linked_names
from dissolver.build.secret_values import secret_of_file, secret_of_variable
from dissolver.errors import BakeFileError, DissolverError
from dissolver.sandbox.confining_options import options_of, read_confinement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissolver.bake.target import Target
    from dissolver.sandbox.confining_options import ConfiningOption

AGENT_VARIABLE = "SSH_AUTH_SOCK"
_STREAM = "-"
"""Stands for standard input or output."""


def build_words(target: Target, environment: Mapping[str, str]) -> dict[str, Any]:
    """Give the arguments of ``Engine.build`` that a target stands for.

    Contexts that are other targets are left out. Secrets are read.

    Raises:
        BakeFileError: a build here cannot do what the target asks for; ``where`` says which
            line does.
    """
    _refuse(target)
    words: dict[str, Any] = {
        **question_words(target),
        "tags": target.texts("tags"),
        "labels": target.named("labels"),
        "no_cache": target.switch("no-cache"),
        "no_cache_filter": target.texts("no-cache-filter"),
        "pull": target.switch("pull"),
        "allow": target.texts("entitlements"),
    }
    for attribute, read in _READERS.items():
        if attribute in target.settings:
            with _placed(target, attribute):
                words |= read(target, environment)
    return words


def question_words(target: Target) -> dict[str, Any]:
    """Give the arguments of those methods that answer questions about a Dockerfile.

    Raises:
        BakeFileError: as ``build_words``.
    """
    context, dockerfile = _files(target)
    inline = target.text("dockerfile-inline")
    return {
        "context": context,
        "contexts": _contexts(target),
        "dockerfile": None if inline is not None else dockerfile,
        "dockerfile_text": inline,
        "target": target.text("target"),
        "build_args": target.named("args"),
        "platform": _platform(target),
    }


def _refuse(target: Target) -> None:
    """Refuse what a build here has no word for."""
    for entry in target.entries("attest"):
        if entry.get("disabled") is not True:
            raise _fault(target, "attest", "no attestations are made here")
    if target.text("call") not in (None, "build"):
        raise _fault(target, "call", "a target can only be built", "use `dissolver build --call`")


def _fault(target: Target, attribute: str, why: str, hint: str | None = None) -> BakeFileError:
    message = f"`{attribute}` of the target `{target.name}` is not supported: {why}"
    return BakeFileError(message, where=target.where_of(attribute), hint=hint)


@contextmanager
def _placed(target: Target, attribute: str) -> Iterator[None]:
    """Tell what is wrong with the value of an attribute at its place."""
    try:
        yield
    except DissolverError as error:
        if error.where is None:
            error.where = target.where_of(attribute)
        raise


def _files(target: Target) -> tuple[str, str | None]:
    context = target.text("context") or "."
    dockerfile = target.text("dockerfile")
    for attribute, given in (("context", context), ("dockerfile", dockerfile)):
        if given == _STREAM:
            why = "standard input cannot be had by several builds"
            raise _fault(target, attribute, why)
    path = local_path(context)
    if path is None:
        is_default = dockerfile == "Dockerfile"
        return context, None if is_default else dockerfile
    return path, None if dockerfile is None else dockerfile_path(path, dockerfile)


def _contexts(target: Target) -> dict[str, str]:
    links = linked_names(target)
    return {
        name: named_context(value)
        for name, value in target.named("contexts").items()
        if name not in links
    }


def _platform(target: Target) -> str | None:
    platforms = [one for text in target.texts("platforms") for one in text.split(",")]
    if len(platforms) > 1:
        raise _fault(
            target,
            "platforms",
            "an image is built for one platform at a time",
            "make a target for each of them: a matrix does",
        )
    return platforms[0] if platforms else None


def check_places(targets: Iterable[Target]) -> None:
    """Refuse targets that would write to the same file.

    Raises:
        BakeFileError: two do.
    """
    taken: dict[str, str] = {}
    for target in targets:
        for entry in target.entries("output"):
            place = str(entry.get("dest", ""))
            if not place or entry["type"] == "local" or entry.get("tar") == "false":
                continue
            name = taken.setdefault(os.path.normpath(place), target.name)
            if name != target.name:
                what = "standard output" if place == _STREAM else f"`{place}`"
                raise BakeFileError(
                    f"the targets `{name}` and `{target.name}` both write to {what}",
                    where=target.where_of("output"),
                )


# Attributes whose values have an inner form ----------------------------------------------

Words: TypeAlias = dict[str, Any]
Reader: TypeAlias = "Callable[[Target, Mapping[str, str]], Words]"


def _network(target: Target, _environment: Mapping[str, str]) -> Words:
    from dissolver.build.request import network_mode

    return {"network": network_mode(target.text("network") or "")}


def _hosts(target: Target, _environment: Mapping[str, str]) -> Words:
    from dissolver.network.hosts import parse_host

    hosts = target.named("extra-hosts").items()
    texts = [f"{name}={one}" for name, addresses in hosts for one in addresses.split(",")]
    for text in texts:
        parse_host(text)
    return {"add_hosts": texts}


def _confining(option: ConfiningOption, attribute: str) -> Reader:
    def read(target: Target, _environment: Mapping[str, str]) -> Words:
        given = target.texts(attribute) if option.is_repeatable else target.text(attribute)
        words = {option.keyword: given}
        read_confinement("build", words)
        return words

    return read


def _annotations(target: Target, _environment: Mapping[str, str]) -> Words:
    from dissolver.image.annotations import parse_annotations

    given: dict[str, str] = {}
    for text in target.texts("annotations"):
        name, equals, value = text.partition("=")
        if not equals:
            raise BakeFileError(f"the annotation `{text}` has to be `NAME=VALUE`")
        given[name] = value
    parse_annotations(given)
    return {"annotations": given}


def _secrets(target: Target, environment: Mapping[str, str]) -> Words:
    secrets: dict[str, bytes] = {}
    for entry in target.entries("secret"):
        path, variable = entry.get("src"), entry.get("env")
        identity = str(entry.get("id") or path or variable or "")
        if isinstance(variable, str):
            secrets[identity] = secret_of_variable(identity, variable, environment)
        elif path is None and identity in environment:
            secrets[identity] = secret_of_variable(identity, identity, environment)
        else:
            secrets[identity] = secret_of_file(identity, str(path or identity))
    return {"secrets": secrets}


def _agents(target: Target, environment: Mapping[str, str]) -> Words:
    agents: dict[str, tuple[str, ...]] = {}
    for entry in target.entries("ssh"):
        identity, paths = str(entry["id"]), entry.get("paths")
        if isinstance(paths, list):
            agents[identity] = tuple(map(str, paths))
            continue
        agent = environment.get(AGENT_VARIABLE, "")
        if not agent:
            raise BakeFileError(
                f"the agent `{identity}` is needed, and {AGENT_VARIABLE} names none",
                hint=f'start `ssh-agent`, or name a key: `ssh = ["{identity}=PATH"]`',
            )
        agents[identity] = (agent,)
    return {"ssh": agents}


def _imports(target: Target, _environment: Mapping[str, str]) -> Words:
    from dissolver.cache.shared.options import read_imports

    words = _texts(target, "cache-from")
    read_imports(words)
    return {"cache_from": words}


def _exports(target: Target, _environment: Mapping[str, str]) -> Words:
    from dissolver.cache.shared.options import read_exports

    words = _texts(target, "cache-to")
    read_exports(words)
    return {"cache_to": words}


def _texts(target: Target, attribute: str) -> list[dict[str, str]]:
    return [
        {key: str(value) for key, value in entry.items()} for entry in target.entries(attribute)
    ]


def _outputs(target: Target, _environment: Mapping[str, str]) -> Words:
    from dissolver.export.output import read_output

    outputs = _texts(target, "output")
    for fields in outputs:
        read_output(fields)
    return {"outputs": outputs}


_READERS: Mapping[str, Reader] = {
    "network": _network,
    "extra-hosts": _hosts,
    **{
        option.attribute: _confining(option, option.attribute)
        for option in options_of("build")
        if option.attribute is not None
    },
    "annotations": _annotations,
    "secret": _secrets,
    "ssh": _agents,
    "output": _outputs,
    "cache-from": _imports,
    "cache-to": _exports,
}
