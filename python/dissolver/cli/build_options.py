"""Options of how builds go and what is told of them: the same for ``build`` and for ``bake``."""

from __future__ import annotations

from typing import Annotated

from typer import Option

NoCache = Annotated[bool, Option("--no-cache", help="Run every step again")]
Pull = Annotated[bool, Option("--pull", help="Ask registries for newer versions of base images")]
HostCertificates = Annotated[
    bool | None,
    Option(
        "--host-certificates/--no-host-certificates",
        show_default=False,
        help="Lend the machine's trust store to RUN steps",
    ),
]
ProgressMode = Annotated[
    str | None,
    Option("--progress", metavar="MODE", help="auto, tty, plain, quiet, rawjson or none"),
]
MetadataFile = Annotated[
    str | None,
    Option("--metadata-file", metavar="FILE", help="Write what was built to this file, as JSON"),
]
Method = Annotated[
    str | None, Option("--call", metavar="METHOD", help="Ask for check, outline or targets")
]
Attestation = Annotated[str | None, Option(hidden=True)]
"""`--provenance` and `--sbom`, which are refused."""
