"""Bake files as texts, and what comes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dissolver.bake.functions.table import standard_functions
from dissolver.bake.hcl.evaluate import Scope, evaluate
from dissolver.bake.hcl.parse import parse
from dissolver.bake.hcl.source import Source, Span
from dissolver.bake.hcl.values import Value
from dissolver.bake.selection import Selection, select
from dissolver.bake.show import selection_json
from dissolver.bake.sources import define, find_files, read_sources
from dissolver.bake.target import Definition
from dissolver.errors import BakeFileError


class Kitchen:
    """A directory with bake files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def define(
        self,
        files: str | Mapping[str, str],
        *,
        named: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Definition:
        """Read files; a text alone is a `docker-bake.hcl`."""
        self.write({"docker-bake.hcl": files} if isinstance(files, str) else files)
        env = environment or {}
        sources = read_sources(find_files(named, env, self.directory), self.directory, None)
        return define(
            sources,
            environment=env,
            given=given or {},
            platform="linux/amd64",
            directory=self.directory,
        )

    def select(
        self,
        files: str | Mapping[str, str],
        *targets: str,
        overrides: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Selection:
        definition = self.define(files, environment=environment, **options)
        return select(definition, targets, overrides=overrides, environment=environment)

    def printed(self, files: str | Mapping[str, str], *targets: str, **options: Any) -> Any:
        """Answer what `--print` tells, read again."""
        return json.loads(selection_json(self.select(files, *targets, **options)))

    def target(self, files: str | Mapping[str, str], name: str = "a", **options: Any) -> Any:
        """Answer one target, without its defaults."""
        told = self.printed(files, name, **options)["target"][name]
        return {key: told[key] for key in told if told[key] not in (".", "Dockerfile")}

    def refused(
        self, files: str | Mapping[str, str], *targets: str, **options: Any
    ) -> BakeFileError:
        with pytest.raises(BakeFileError) as caught:
            self.select(files, *targets, **options)
        return caught.value


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def value_of(text: str, names: Mapping[str, Value] | None = None) -> Value:
    """Answer the value of an expression."""
    body = parse(Source("x.hcl", f"x = {text}\n"))
    functions = standard_functions()

    def look_up(name: str, span: Span) -> Value:
        raise span.fault(f"there is no variable `{name}`")

    scope = Scope(look_up, lambda name, _span: functions[name], names or {})
    return evaluate(body.assignments["x"].value, scope)
