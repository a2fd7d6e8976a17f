"""The ``build`` section of a service, in the words of a target."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dissolver.bake.attributes import RULES, Content, Kind, combined
from dissolver.bake.entries import Entry, read_entries
from dissolver.bake.hcl.values import Value, ValueFault
from dissolver.bake.interpolation import read_environment_file
from dissolver.bake.target import Setting, Target
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.sandbox.confining_options import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dissolver.bake.yaml_text import Placed
    from dissolver.errors import Where

_TEXTS = {
    "context": "context",
    "dockerfile": "dockerfile",
    "dockerfile_inline": "dockerfile-inline",
    "network": "network",
    "target": "target",
}
_LISTS = {"tags": "tags", "platforms": "platforms", "entitlements": "entitlements"}
_ENTRIES = {"cache_from": "cache-from", "cache_to": "cache-to"}
_SWITCHES = {"no_cache": "no-cache", "pull": "pull"}
_ATTESTATIONS = ("provenance", "sbom")
_OTHERS = ("args", "labels", "additional_contexts", "extra_hosts")
CONFINING = {
    option.attribute.replace("-", "_"): option
    for option in options_of("build")
    if option.attribute is not None
}
"""What the table of options says of steps, by its key here."""
_REFUSED = {
    "privileged": "no step of a build may have all rights",
    "isolation": "it is a matter of Windows",
}
_KNOWN = (
    *_TEXTS,
    *_LISTS,
    *_ENTRIES,
    *_SWITCHES,
    *_ATTESTATIONS,
    *_OTHERS,
    *CONFINING,
    "secrets",
    "ssh",
)
_OF_BAKE = (
    *("tags", "cache-from", "cache-to", "secret", "ssh", "platforms", "output"),
    *("pull", "no-cache", "no-cache-filter", "contexts"),
)
"""What ``x-bake`` may say."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?\Z", re.IGNORECASE)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class BuildSection:
    """One service of compose files, as far as its build goes."""

    def __init__(
        self,
        name: str,
        service: Mapping[str, Placed],
        secrets: Mapping[str, Placed],
        variables: Mapping[str, str],
        read_file: Callable[[str], str | None],
    ) -> None:
        self._name = name
        self._service = service
        self._build = service["build"].mapping("`build`")
        self._secrets = secrets
        self._variables = variables
        self._read_file = read_file
        self._settings: dict[str, Setting] = {}
        self._reads: dict[str, Where] = {}

    def target(self, name: str) -> Target:
        """Give the target that the section describes.

        Raises:
            BakeFileError: it says something that a build here cannot do.
        """
        self._check_keys()
        for key, attribute in _TEXTS.items():
            if key in self._build and self._build[key].value not in (None, ""):
                self._put(attribute, self._build[key].text(f"`{key}`"), self._build[key])
        for key, attribute in _LISTS.items():
            if key in self._build:
                given = self._build[key]
                texts = [item.text(f"an entry of `{key}`") for item in given.items(f"`{key}`")]
                self._put(attribute, texts, given)
        for key, attribute in _ENTRIES.items():
            if key in self._build:
                self._entries(attribute, self._build[key])
        for key, attribute in _SWITCHES.items():
            if key in self._build and self._switch(self._build[key], key):
                self._put(attribute, True, self._build[key])
        self._named()
        self._confining()
        self._attest()
        self._secret()
        self._agents()
        if not self._build_tags() and "image" in self._service:
            image = self._service["image"]
            self._put("tags", [image.text("`image`")], image)
        self._extensions()
        where = self._service["build"].span.where()
        return Target(name, self._settings, where, reads=self._reads)

    def _build_tags(self) -> bool:
        return "tags" in self._build and bool(self._build["tags"].value)

    def _check_keys(self) -> None:
        both = [self._build.get(key) for key in ("dockerfile", "dockerfile_inline")]
        if all(given is not None and given.value not in (None, "") for given in both):
            raise self._build["dockerfile_inline"].fault(
                "a build has a `dockerfile` or a `dockerfile_inline`, not both"
            )
        for key, given in self._build.items():
            if key in _REFUSED and given.value not in (None, False, "default"):
                raise given.fault(f"`{key}` is not supported: {_REFUSED[key]}")
            if key not in _KNOWN and key not in _REFUSED and not key.startswith("x-"):
                hint = did_you_mean(key, _KNOWN)
                raise given.fault(f"the build of a service has no `{key}`", hint=hint)

    def _put(self, attribute: str, content: Content, at: Placed) -> None:
        self._settings[attribute] = Setting(content, at.span.where())

    def _switch(self, given: Placed, key: str) -> bool:
        if isinstance(given.value, bool):
            return given.value
        if given.value in ("true", "false"):
            return given.value == "true"
        raise given.fault(f"`{key}` is `true` or `false`")

    def _entries(self, attribute: str, given: Placed) -> None:
        items = [item.text(f"an entry of `{attribute}`") for item in given.items(f"`{attribute}`")]
        try:
            self._put(attribute, read_entries(attribute, [*items]), given)
        except ValueFault as fault:
            raise given.fault(str(fault)) from None

    # Texts by name ---------------------------------------------------------------

    def _named(self) -> None:
        if "args" in self._build:
            given = self._build["args"]
            arguments = self._texts(given, "args")
            self._put("args", self._resolved(arguments), given)
        if "labels" in self._build:
            given = self._build["labels"]
            labels = self._texts(given, "labels")
            self._put("labels", {name: text or "" for name, text in labels.items()}, given)
        if "additional_contexts" in self._build:
            given = self._build["additional_contexts"]
            contexts = self._texts(given, "additional_contexts")
            self._put("contexts", _contexts(contexts), given)
        if "extra_hosts" in self._build:
            given = self._build["extra_hosts"]
            hosts: dict[str, str | None] = {}
            for name, address in given.mapping("`extra_hosts`").items():
                several = address.value if isinstance(address.value, list) else [address]
                hosts[name] = ",".join(one.text("an address") for one in several)
            self._put("extra-hosts", hosts, given)

    def _texts(self, given: Placed, key: str) -> dict[str, str | None]:
        return {
            name: None if item.value is None else item.text(f"`{name}`")
            for name, item in given.mapping(f"`{key}`").items()
        }

    def _resolved(self, arguments: Mapping[str, str | None]) -> dict[str, str | None]:
        """Give arguments without a value that of the variable of their name, if there is one."""
        missing = [name for name, text in arguments.items() if text is None]
        known = {**self._variables, **(self._environment() if missing else {})}
        return {
            name: known.get(name) if text is None else text
            for name, text in arguments.items()
            if text is not None or name in known
        }

    def _environment(self) -> dict[str, str]:
        found: dict[str, str] = {}
        files = self._service.get("env_file")
        if files is not None:
            for one in files.value if isinstance(files.value, list) else [files]:
                found |= self._environment_file(one)
        if "environment" in self._service:
            given = self._service["environment"]
            for name, text in self._texts(given, "environment").items():
                if text is not None:
                    found[name] = text
        return found

    def _environment_file(self, given: Placed) -> dict[str, str]:
        is_required = True
        path = given
        if isinstance(given.value, dict):
            if "path" not in given.value:
                raise given.fault("`env_file` needs a `path`")
            path = given.value["path"]
            if "required" in given.value:
                is_required = self._switch(given.value["required"], "required")
        name = path.text("a path")
        text = self._read_file(name)
        if text is None:
            if is_required:
                raise path.fault(f"there is no file `{name}`")
            return {}
        self._reads[name] = path.span.where()
        try:
            return read_environment_file(text, self._variables)
        except ValueFault as fault:
            raise path.fault(str(fault)) from None

    # What confines steps, and attestations --------------------------------------------------------

    def _confining(self) -> None:
        for key, option in CONFINING.items():
            if key in self._build and option.attribute is not None:
                given = self._build[key]
                read = _size if option.compose_form == "size" else _limits
                self._put(option.attribute, read(given, key), given)

    def _attest(self) -> None:
        entries: list[Entry] = []
        for key in _ATTESTATIONS:
            if key not in self._build:
                continue
            given = self._build[key]
            text = given.text(f"`{key}`")
            if text == "false":
                entries.append({"disabled": True, "type": key})
                continue
            try:
                line = f"type={key}" + ("" if text == "true" else f",{text}")
                entries += read_entries("attest", [line])
            except ValueFault as fault:
                raise given.fault(str(fault)) from None
        if entries:
            key = next(key for key in _ATTESTATIONS if key in self._build)
            self._put("attest", entries, self._build[key])

    # Secrets and agents ----------------------------------------------------------------

    def _secret(self) -> None:
        if "secrets" not in self._build:
            return
        given = self._build["secrets"]
        entries: list[Entry] = []
        for item in given.items("`secrets`"):
            name = item
            if isinstance(item.value, dict):
                if "source" not in item.value:
                    raise item.fault("a secret needs a `source`")
                name = item.value["source"]
            entries.append(self._one_secret(name))
        self._put("secret", entries, given)

    def _one_secret(self, name: Placed) -> Entry:
        identity = name.text("a secret")
        defined = self._secrets.get(identity)
        if defined is None:
            raise name.fault(f"no secret `{identity}` is defined below `secrets`")
        parts = defined.mapping(f"the secret `{identity}`")
        if "external" in parts and parts["external"].value not in (None, False):
            raise parts["external"].fault("secrets of a swarm cannot be had here")
        if "content" in parts:
            raise parts["content"].fault(
                f"the secret `{identity}` cannot be said in the file itself",
                hint="it is a `file`, or an `environment` variable",
            )
        entry: Entry = {"id": identity}
        for key, field in (("file", "src"), ("environment", "env")):
            if key in parts:
                entry[field] = parts[key].text(f"`{key}`")
        return entry

    def _agents(self) -> None:
        if "ssh" not in self._build:
            return
        given = self._build["ssh"]
        if isinstance(given.value, dict):
            named = self._texts(given, "ssh")
            lines = [f"{name}={path}" if path else name for name, path in named.items()]
        elif isinstance(given.value, str):
            lines = [given.value]
        else:
            lines = [item.text("an agent") for item in given.items("`ssh`")]
        entries = read_entries("ssh", [*lines])
        self._put("ssh", sorted(entries, key=lambda entry: str(entry["id"])), given)

    # What only bake knows --------------------------------------------------------------

    def _extensions(self) -> None:
        if "x-bake" not in self._build:
            return
        for key, given in self._build["x-bake"].mapping("`x-bake`").items():
            if key not in _OF_BAKE:
                known = ", ".join(f"`{name}`" for name in _OF_BAKE)
                raise given.fault(f"`x-bake` has no `{key}`", hint=f"it has {known}")
            self._extension(key, given)

    def _extension(self, key: str, given: Placed) -> None:
        content: Content
        kind = RULES[key].kind
        if kind is Kind.SWITCH:
            self._put(key, self._switch(given, key), given)
            return
        if kind is Kind.NAMED:
            content = _contexts(self._texts(given, key))
        else:
            if isinstance(given.value, str):
                lines = given.value.split()
            else:
                lines = [item.text(f"an entry of `{key}`") for item in given.items(f"`{key}`")]
            values: list[Value] = [*lines]
            try:
                content = read_entries(key, values) if kind is Kind.ENTRIES else lines
            except ValueFault as fault:
                raise given.fault(str(fault)) from None
        before = self._settings.get(key)
        if before is not None and isinstance(content, list) and isinstance(before.content, list):
            content = [*before.content, *content]
        elif before is not None:
            content = combined(key, before.content, content)
        self._put(key, content, given)


def _contexts(given: Mapping[str, str | None]) -> dict[str, str | None]:
    """Write services that are named as contexts as targets."""
    found: dict[str, str | None] = {}
    for name, text in given.items():
        scheme, colon, rest = (text or "").partition(":")
        if colon and scheme in ("service", "target"):
            found[name] = f"target:{rest.replace('.', '_')}"
        else:
            found[name] = text or ""
    return found


def _limits(given: Placed, key: str) -> list[str]:
    """Write limits as the command line has them: ``name=soft:hard``."""
    limits: list[str] = []
    for name, limit in given.mapping(f"`{key}`").items():
        if isinstance(limit.value, dict):
            both = [limit.value.get(key) for key in ("soft", "hard")]
            texts = [one.text("a limit") for one in both if one is not None]
            if len(texts) != 2:
                raise limit.fault(f"`{name}` needs `soft` and `hard`")
            soft, hard = texts
        else:
            soft = hard = limit.text(f"`{name}`")
        limits.append(f"{name}={soft}:{hard}")
    return limits


def _size(given: Placed, key: str) -> str:
    """Write a size as it is shown: ``134217728`` and ``128m`` are ``128MiB``."""
    text = given.text(f"`{key}`")
    match = _SIZE.match(text)
    if match is None:
        raise given.fault(f"`{text}` is no size like `128m`")
    power = "bkmgtp".index(match[2].lower() or "b")
    size = float(match[1]) * 1024**power
    place = 0
    while size >= 1024 and place < len(_UNITS) - 1:
        size /= 1024
        place += 1
    return f"{size:.4g}{_UNITS[place]}"
