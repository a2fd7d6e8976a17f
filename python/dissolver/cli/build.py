"""``build``: an image from a Dockerfile, with a display of what happens."""

from __future__ import annotations

import sys
from typing import Annotated, Any

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
from dissolver.cli.build_outputs import read_outputs
from dissolver.cli.build_results import forget, tell_why, write_result
from dissolver.cli.build_words import (
    annotation_values,
    label_values,
    named_contexts,
    named_values,
    one_platform,
    read_agents,
    read_secrets,
    stage_names,
    stdin_context,
    text_from_stdin,
)
from dissolver.cli.displays import build_display, progress_mode
from dissolver.cli.invocation import current
from dissolver.cli.refusals import refuse_attestations, tell_ignored
from dissolver.cli.sandbox_options import Hosts, confining_options, ignored, said
from dissolver.cli.words import UsageSlip
from dissolver.config import caller_environment


@confining_options("build")
def build(
    context: Annotated[str, Argument(metavar="PATH|URL|-", show_default=False)],
    tag: Annotated[
        list[str] | None,
        Option("-t", "--tag", metavar="NAME:TAG", help="Name the image (may be repeated)"),
    ] = None,
    file: Annotated[
        str | None,
        Option("-f", "--file", metavar="FILE", help="Read this Dockerfile (- for stdin)"),
    ] = None,
    build_context: Annotated[
        list[str] | None,
        Option(
            "--build-context",
            metavar="NAME=PATH|URL",
            help="Give COPY --from, --mount and FROM further files or images (may be repeated)",
        ),
    ] = None,
    target: Annotated[
        str | None, Option("--target", metavar="STAGE", help="Build this stage and end there")
    ] = None,
    build_arg: Annotated[
        list[str] | None,
        Option("--build-arg", metavar="NAME=VALUE", help="Set an ARG (may be repeated)"),
    ] = None,
    secret: Annotated[
        list[str] | None,
        Option(
            "--secret",
            metavar="id=ID,src=FILE|env=NAME",
            help="Give RUN steps that ask for it a secret (may be repeated)",
        ),
    ] = None,
    ssh: Annotated[
        list[str] | None,
        Option(
            "--ssh",
            metavar="default|ID=SOCKET|ID=KEY",
            help="Let RUN steps that ask for it sign with an SSH agent (may be repeated)",
        ),
    ] = None,
    cache_from: Annotated[
        list[str] | None,
        Option(
            "--cache-from",
            metavar="NAME|type=…",
            help="Ask a shared cache for results (may be repeated)",
        ),
    ] = None,
    cache_to: Annotated[
        list[str] | None,
        Option(
            "--cache-to",
            metavar="NAME|type=…",
            help="Write results to a shared cache (may be repeated)",
        ),
    ] = None,
    no_cache: NoCache = False,
    no_cache_filter: Annotated[
        list[str] | None,
        Option(
            "--no-cache-filter",
            metavar="STAGE,…",
            help="Run every step of these stages again (may be repeated)",
        ),
    ] = None,
    pull: Pull = False,
    platform: Annotated[
        str | None,
        Option("--platform", metavar="OS/ARCH", help="Build for another kind of machine"),
    ] = None,
    network: Annotated[
        str,
        Option(
            "--network",
            metavar="MODE",
            show_default=False,
            help="Network of RUN: default, none or host",
        ),
    ] = "default",
    add_host: Hosts = None,
    allow: Annotated[
        list[str] | None,
        Option(
            "--allow",
            metavar="RIGHT",
            help="Let the Dockerfile have network.host or security.insecure (may be repeated)",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        Option("--label", metavar="NAME=VALUE", help="Label the image (may be repeated)"),
    ] = None,
    annotation: Annotated[
        list[str] | None,
        Option(
            "--annotation",
            metavar="[PLACE:]NAME=VALUE",
            help="Annotate the image's manifest (may be repeated)",
        ),
    ] = None,
    host_certificates: HostCertificates = None,
    progress: ProgressMode = None,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the image ID only")] = False,
    iidfile: Annotated[
        str | None, Option("--iidfile", metavar="FILE", help="Write the image ID to this file")
    ] = None,
    metadata_file: MetadataFile = None,
    check: Annotated[
        bool, Option("--check", help="Check the Dockerfile and build nothing")
    ] = False,
    fix: Annotated[
        bool, Option("--fix", help="With --check: rewrite what can be rewritten safely")
    ] = False,
    call: Method = None,
    format_: Annotated[
        str | None, Option("--format", metavar="FORMAT", help="Answer as text or json")
    ] = None,
    plan: Annotated[
        bool, Option("--plan", help="Say what would be done and build nothing")
    ] = False,
    why: Annotated[
        bool, Option("--why", help="Say of each step that was not cached what made the difference")
    ] = False,
    output: Annotated[
        list[str] | None,
        Option(
            "-o",
            "--output",
            metavar="DIR|-|type=TYPE[,dest=PATH,...]",
            help="Leave this behind: image, registry, oci, docker, tar, local (may be repeated)",
        ),
    ] = None,
    push: Annotated[
        bool, Option("--push", help="Push the image: `--output type=registry`")
    ] = False,
    load: Annotated[
        bool, Option("--load", help="Store the image as well: `--output type=docker`")
    ] = False,
    rm: Annotated[bool, Option("--rm/--no-rm", hidden=True)] = True,  # noqa: ARG001
    force_rm: Annotated[bool, Option("--force-rm", hidden=True)] = False,  # noqa: ARG001
    compress: Annotated[bool, Option("--compress", hidden=True)] = False,  # noqa: ARG001
    isolation: Annotated[str | None, Option("--isolation", hidden=True)] = None,
    squash: Annotated[bool, Option("--squash", hidden=True)] = False,
    provenance: Attestation = None,
    sbom: Attestation = None,
    **confinement: Any,
) -> int:
    """Build an image from a Dockerfile."""
    from dissolver.cli.render.progress.display import LiveDisplay

    invocation = current()
    mode = progress_mode(invocation, progress, quiet=quiet)
    refuse_attestations(provenance=provenance, sbom=sbom)
    tell_ignored(ignored("build", confinement), isolation=isolation, squash=squash)
    environment = caller_environment()
    build_args = named_values(build_arg or (), environment)
    secrets = read_secrets(secret or (), environment)
    agents = read_agents(ssh or (), environment)
    contexts = named_contexts(build_context or ())
    wanted = one_platform(platform or environment.get("DOCKER_DEFAULT_PLATFORM"))
    if context == "-" and file == "-":
        raise UsageSlip("standard input is either the context or the Dockerfile", None)
    text = text_from_stdin() if file == "-" else None
    question = read_call(call=call, check=check, fix=fix, plan=plan, format_=format_)
    if question is not None:
        if why:
            raise UsageSlip("`--why` is about the steps of a build, and nothing is built", None)
        dockerfile = None if file == "-" else file
        subject = Subject(context, dockerfile, text, target, build_args, contexts, wanted)
        return answer(invocation.engine, question, subject)
    outputs = read_outputs(output or (), push=push, load=load, quiet=quiet, iidfile=iidfile)
    forget(iidfile, metadata_file)
    display = build_display(invocation, mode)
    engine = invocation.engine
    with LiveDisplay(display) as live:
        result = engine.build(
            stdin_context() if context == "-" else context,
            contexts=contexts,
            dockerfile=None if file == "-" else file,
            dockerfile_text=text,
            tags=tag or (),
            target=target,
            build_args=build_args,
            no_cache=no_cache,
            no_cache_filter=stage_names(no_cache_filter or ()),
            pull=pull,
            platform=wanted,
            host_certificates=host_certificates,
            network=network,
            add_hosts=add_host or (),
            allow=allow or (),
            labels=label_values(label or ()),
            annotations=annotation_values(annotation or ()),
            secrets=secrets,
            ssh=agents,
            outputs=outputs,
            cache_from=cache_from or (),
            cache_to=cache_to or (),
            on_event=live.on_event,
            **said("build", confinement),
        )
    if iidfile is not None:
        write_result(iidfile, result.image.id)
    if metadata_file is not None:
        import json

        write_result(metadata_file, json.dumps(result.metadata, indent=2))
    if why:
        tell_why(result.steps)
    if mode == "quiet" and any(one.image for one in result.outputs):
        sys.stdout.write(f"{result.image.id}\n")
    return 0
