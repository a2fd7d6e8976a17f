"""Several builds at once, and prunes among them: each result is right, and the store is whole."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess

from forms import in_both_forms
from scenarios.test_crashes import MARK, outputs
from scene import Cli

FILES = {f"d{number % 7}/f{number}": os.urandom(3000) for number in range(200)}
SUMS = "cd /data && find . -type f | sort | xargs sha256sum"


def listed(files: dict[str, bytes]) -> list[str]:
    """What `SUMS` prints of these files."""
    names = sorted(files)
    return [f"{hashlib.sha256(files[name]).hexdigest()}  ./{name}" for name in names]


def ended(*processes: subprocess.Popen[str]) -> list[str]:
    """Wait for all; claim that each worked, and give what they said."""
    said = [process.communicate(timeout=120)[0] for process in processes]
    for process, text in zip(processes, said, strict=True):
        assert process.returncode == 0, text
    return said


def is_whole(cli: Cli) -> None:
    """Claim that nothing is damaged, and that a prune leaves nothing that nobody uses.

    Of builds that make the same step at once, the first one's layer counts; the others stay
    until then.
    """
    cli("image", "prune", "-f")
    assert cli.out("system", "check") == "no problems found"


def test_the_same_dockerfile_built_at_once_is_right_every_time(box: Cli) -> None:
    recipe = f"FROM box\nCOPY . /data\nRUN {SUMS} > /sums\nWORKDIR /repo\n"
    context = box.directory(
        "same", {**FILES, ".dockerignore": "Dockerfile\n", "Dockerfile": recipe}
    )
    expected = listed({**FILES, ".dockerignore": b"Dockerfile\n"})
    names = [f"same{number}" for number in range(4)]
    images = ended(*(box.spawn("build", "-q", "-t", name, context) for name in names))
    for name in names:
        assert box.out("run", "--rm", name, "cat", "/sums").splitlines() == expected
    # Whoever was last to record a step decides what later builds find; it is one of those.
    again = box("build", "--progress=plain", "-t", "again", context).stderr
    assert again.count("CACHED") == 3
    (image,) = re.findall(r"writing image (sha256:[0-9a-f]{64})", again)
    assert image in [text.strip() for text in images]
    is_whole(box)


def test_different_dockerfiles_built_at_once_share_what_they_have_in_common(box: Cli) -> None:
    context = box.directory("different", {**FILES, ".dockerignore": "Dockerfile.*\n"})
    names = [f"different{number}" for number in range(4)]
    for name in names:
        recipe = f"FROM box\nCOPY . /data\nRUN {SUMS} > /sums; echo {name} > /name\n"
        (context / f"Dockerfile.{name}").write_text(recipe, encoding="utf-8")
    ended(
        *(
            box.spawn("build", "-q", "-t", name, "-f", context / f"Dockerfile.{name}", context)
            for name in names
        )
    )
    expected = listed({**FILES, ".dockerignore": b"Dockerfile.*\n"})
    copied = set()
    for name in names:
        said = box.out("run", "--rm", name, "cat", "/name", "/sums").splitlines()
        assert said == [name, *expected]
        layers = box.out("image", "inspect", "-f", "{{json .RootFS.Layers}}", name)
        copied.add(tuple(layers.split(",")[:2]))
    assert len(copied) == 1
    is_whole(box)


@in_both_forms
def test_prunes_during_builds_take_nothing_that_a_build_needs(box: Cli) -> None:
    recipe = (
        f"FROM box\nCOPY . /data\nRUN echo {MARK}; sleep 1; {SUMS} > /sums\nRUN cp /sums /two\n"
    )
    context = box.directory(
        "pruned", {**FILES, ".dockerignore": "Dockerfile\n", "Dockerfile": recipe}
    )
    build = box.spawn("build", "--progress=plain", "-t", "kept", context)
    outputs(build, f" {MARK}")
    words = (("image", "prune", "-f"), ("builder", "prune", "-af"), ("system", "prune", "-f"))
    prunes = [box.spawn(*prune) for prune in words]
    later = box.spawn("build", "-q", "-t", "later", context)
    ended(build, *prunes, later)
    expected = listed({**FILES, ".dockerignore": b"Dockerfile\n"})
    for name in ("kept", "later"):
        assert box.out("run", "--rm", name, "cat", "/two").splitlines() == expected
    is_whole(box)
