"""Dockerfiles in the shapes that people bring, on stand-ins for their bases, as root and as a user.

A directory has a ``Dockerfile``, its ``context``, what to do in ``shape.toml``, and what comes
of it in ``expected.txt``: configuration, history, files, what containers say, and which
steps run again after a change. The stand-ins in ``bases`` are small scripts that make
something of the files they are given, and fail without them. Set
``DISSOLVER_UPDATE_GOLDEN`` to write the expectations anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shapes.shape import HERE, Shape, Workshop, told_image, told_run, told_steps, told_tree

SHAPES = sorted(path.parent for path in HERE.glob("*/shape.toml"))


def test_there_are_shapes() -> None:
    assert len(SHAPES) >= 20


@pytest.mark.parametrize("directory", SHAPES, ids=lambda path: path.name)
def test_a_shape_is_built_and_built_again(directory: Path, workshop: Workshop) -> None:
    shape = Shape(directory)
    workshop.need(shape.says["bases"])
    site = shape.lay_out(workshop.account)
    found = "\n".join(story(shape, workshop, site)) + "\n"
    for path in site.parent.glob(f"{site.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    if os.environ.get("DISSOLVER_UPDATE_GOLDEN"):
        shape.expected.write_text(found)
    else:
        assert found == shape.expected.read_text()


def story(shape: Shape, workshop: Workshop, site: Path) -> Iterator[str]:
    """Build a shape, look at it, build it again as it is, and after each change."""
    order = shape.order(site, shape.directory.name)
    built = workshop.ask("build", **order)
    yield from told_image(built, (workshop.made[name] for name in shape.says["bases"]))
    archive = site.with_name(f"{site.name}.tar")
    workshop.ask("export", image=built["image"], path=str(archive))
    yield from told_tree(archive, shape.says["tree"])
    before = told_runs(shape, workshop, built["image"])
    yield from before

    again = workshop.ask("build", **order)
    assert [name for name, is_cached in again["steps"] if not is_cached] == []
    assert again["image"] == built["image"]

    for change in shape.says["changes"]:
        shape.change(site, change)
        built, again = workshop.ask("build", **order), built
        yield f"change {change['file']}"
        if all(is_cached for _, is_cached in built["steps"]):
            assert built["image"] == again["image"]
            yield "  every step CACHED, the same image"
            continue
        yield from told_steps(built["steps"])
        after = told_runs(shape, workshop, built["image"])
        yield from (text for text in after if text not in before)
        before = after


def told_runs(shape: Shape, workshop: Workshop, image: str) -> list[str]:
    return [
        told_run(command, workshop.ask("run", image=image, command=command))
        for command in shape.says.get("runs", [])
    ]
