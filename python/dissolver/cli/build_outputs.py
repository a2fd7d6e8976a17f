"""The words of ``build`` that say what it leaves behind: ``--output``, ``--push``, ``--load``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dissolver.cli.words import UsageSlip


def read_outputs(
    words: Sequence[str], *, push: bool, load: bool, quiet: bool, iidfile: str | None
) -> list[Mapping[str, str]]:
    """Read what a build leaves behind, as fields; nothing stands for the image in the store.

    ``--push`` has the images among the outputs pushed, or adds one that is; ``--load`` adds one
    for the store where there is none.

    Raises:
        ExportError: a word says nothing that can be meant.
        UsageSlip: what is to be told about an image has no image, or no place.
    """
    if not (words or push or load):
        return []
    from dissolver.export.output import output_fields, read_output

    fields = [output_fields(word) for word in words if word]
    if push:
        images = [one for one in fields if one.get("type") in ("image", "registry")]
        for image in images:
            image["push"] = "true"
        if not images:
            fields.append({"type": "image", "push": "true"})
    outputs = [read_output(one) for one in fields]
    if load and not any(one.is_stored for one in outputs):
        fields.append({"type": "docker"})
        outputs.append(read_output(fields[-1]))
    if iidfile is not None and not any(one.has_image for one in outputs):
        raise UsageSlip("none of the outputs has an image, whose ID `--iidfile` could hold", None)
    if quiet and any(one.has_image and _fills_stdout(one.kind, one.dest) for one in outputs):
        raise UsageSlip("standard output has room for the image or for its ID, not for both", None)
    return list(fields)


def _fills_stdout(kind: str, dest: str | int | None) -> bool:
    return dest == "-" or (dest is None and kind == "oci")
