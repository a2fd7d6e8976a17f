"""``bake``: the builds that a bake file or a compose file describes, at the same time."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from dissolver.cli.build_calls import Subject, answer, read_call
from dissolver.cli.build_options import (
    Attestation,
    HostCertificates,
    MetadataFile,
    Method,
    NoCache,
    ProgressMode,
    Pull,
)
from dissolver.cli.build_results import forget, write_result
from dissolver.cli.build_words import named_values, text_from_stdin
from dissolver.cli.displays import build_display, progress_mode
from dissolver.cli.invocation import current
from dissolver.cli.refusals import refuse_attestations
from dissolver.cli.words import UsageSlip
from dissolver.config import caller_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.bake.selection import Selection
    from dissolver.cli.build_calls import Call
    from dissolver.engine import Engine

_LISTS = ("targets", "variables")


def bake(
    target: Annotated[list[str] | None, Argument(metavar="TARGET...", show_default=False)] = None,
    file: Annotated[
        list[str] | None,
        Option(
            "-f", "--file", metavar="FILE", help="Read this file (- for stdin; may be repeated)"
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        Option("--set", metavar="TARGET.KEY=VALUE", help="Set values of targets (may be repeated)"),
    ] = None,
    var: Annotated[
        list[str] | None,
        Option("--var", metavar="NAME=VALUE", help="Set a variable of the files (may be repeated)"),
    ] = None,
    print_: Annotated[
        bool, Option("--print", help="Say what would be built, as JSON, and build nothing")
    ] = False,
    list_: Annotated[
        str | None,
        Option("--list", metavar="WHAT", help="List targets or variables and build nothing"),
    ] = None,
    check: Annotated[
        bool, Option("--check", help="Check the Dockerfiles and build nothing")
    ] = False,
    call: Method = None,
    allow: Annotated[
        list[str] | None,
        Option(
            "--allow",
            metavar="RIGHT",
            help="Allow network.host, ssh, or files: fs=PATH, fs.read=PATH, fs.write=PATH",
        ),
    ] = None,
    push: Annotated[bool, Option("--push", help="Send the images to their registries")] = False,
    load: Annotated[bool, Option("--load", help="Put the images into the store")] = False,
    no_cache: NoCache = False,
    pull: Pull = False,
    host_certificates: HostCertificates = None,
    progress: ProgressMode = None,
    metadata_file: MetadataFile = None,
    provenance: Attestation = None,
    sbom: Attestation = None,
) -> int:
    """Build what a bake file describes."""
    from dissolver.cli.render.progress.display import LiveDisplay

    refuse_attestations(provenance=provenance, sbom=sbom)
    invocation = current()
    engine = invocation.engine
    files: dict[str, Any] = {
        "files": tuple(file or ()),
        "stdin": text_from_stdin() if "-" in (file or ()) else None,
        "variables": named_values(var or (), caller_environment()),
    }
    if list_ is not None:
        return _list(engine, list_, files)
    switches = {"push": push, "load": load, "no-cache": no_cache, "pull": pull}
    overrides = [*(set_ or ()), *(f"*.{key}=true" for key, is_on in switches.items() if is_on)]
    if print_:
        from dissolver.bake.show import selection_json

        selection = engine.bake_selection(target or (), overrides=overrides, **files)
        sys.stdout.write(selection_json(selection))
        return 0
    question = read_call(call=call, check=check, fix=False, plan=False, format_=None)
    if question is not None:
        selection = engine.bake_selection(target or (), overrides=overrides, **files)
        return _answer(engine, question, selection, allow or ())
    mode = progress_mode(invocation, progress)
    forget(metadata_file)
    with LiveDisplay(build_display(invocation, mode)) as live:
        results = engine.bake(
            target or (),
            overrides=overrides,
            allow=allow or (),
            host_certificates=host_certificates,
            on_event=live.on_event,
            **files,
        )
    if metadata_file is not None:
        told = {name: results[name].metadata for name in sorted(results)}
        write_result(metadata_file, json.dumps(told, indent=2))
    return 0


def _answer(engine: Engine, question: Call, selection: Selection, allow: Sequence[str]) -> int:
    """Answer a question about the Dockerfile of every target; 1 if a check found something.

    A mistake is shown with its line, so that what is read has to be allowed for this as well.
    """
    from dissolver.bake.permissions import check_allowed
    from dissolver.bake.requests import question_words

    check_allowed(selection, allow, caller_environment(), Path())
    if question.is_json:
        raise UsageSlip("several answers are no JSON", None, "ask `dissolver build` for one")
    code = 0
    targets = [one for one in selection.targets.values() if not one.is_linked]
    for number, target in enumerate(targets):
        if len(targets) > 1:
            sys.stdout.write(("\n" if number else "") + f"# {target.name}\n\n")
        code |= answer(engine, question, Subject(**question_words(target)))
    return code


def _list(engine: Engine, word: str, files: dict[str, Any]) -> int:
    """Answer ``--list``: ``targets``, or ``type=targets,format=json``."""
    from dissolver.bake import show
    from dissolver.cli.render.cells import printable

    what, form = _list_words(word)
    definition = engine.bake_definition(**files)
    answers = {
        ("targets", "table"): show.targets_text,
        ("targets", "json"): show.targets_json,
        ("variables", "table"): show.variables_text,
        ("variables", "json"): show.variables_json,
    }
    told = answers[what, form](definition)
    if form == "table":
        # A file may come from anywhere, and must not steer the terminal.
        told = "\n".join(map(printable, told.split("\n")))
    sys.stdout.write(told)
    return 0


def _list_words(word: str) -> tuple[str, str]:
    what, form = "", "table"
    for field in word.split(","):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "type", field
        if key == "type" and value in _LISTS:
            what = value
        elif key == "format" and value in ("table", "json"):
            form = value
        else:
            hint = "it is `targets` or `variables`, or `type=targets,format=json`"
            raise UsageSlip(f"`--list {word}` lists nothing that there is", None, hint)
    if not what:
        raise UsageSlip(f"`--list {word}` does not say what to list", None, "say `type=targets`")
    return what, form
