"""A bake file that somebody else made: it reads and writes in its own directory, and no further."""

from __future__ import annotations

from pathlib import Path

import pytest

from scene import Cli

SECRET = "root:$6$nobody-may-see-this"
COPY = 'dockerfile-inline = "FROM scratch\\nCOPY --from=more secret /\\n"'

READERS = {
    "a link before `..`": 'contexts = { more = "link/.." }',
    "a layout behind another scheme": 'contexts = { more = "cwd://oci-layout://../victim/layout" }',
    "a directory with a colon": 'contexts = { more = "oci-layout://x:../../../victim/layout" }',
    "a directory with an @": 'contexts = { more = "oci-layout://x@y/../../victim/layout" }',
    "an image as the context": 'context = "docker-image://victim"',
}


@pytest.fixture
def place(box: Cli) -> Path:
    """A checkout, with the directory `victim` beside it."""
    whole = box.directory(
        "whole", {"bake/x:../y": "", "bake/x@y/y": "", "victim/deep/y": "", "victim/secret": SECRET}
    )
    image = box.directory(
        "layout", {"Dockerfile": "FROM scratch\nCOPY secret /\n", "secret": SECRET}
    )
    (whole / "bake/link").symlink_to(whole / "victim/deep")
    (whole / "bake/docker-image:").symlink_to(whole)
    box("build", "-o", f"type=oci,tar=false,dest={whole}/victim/layout", image)
    box.account.own(whole)
    return whole / "bake"


def bake(box: Cli, place: Path, text: str, *words: str) -> str:
    """Bake a hostile file, and return what is said of it; it fails."""
    (place / "docker-bake.hcl").write_text(text)
    done = box("bake", *words, cwd=place, check=False)
    assert done.returncode == 1, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize("reader", READERS)
def test_no_words_for_a_context_lead_out(box: Cli, place: Path, reader: str) -> None:
    recipe = COPY.replace("--from=more ", "") if reader.startswith("an image") else COPY
    text = f'target "default" {{\n{recipe}\n{READERS[reader]}\noutput = ["out"]\n}}\n'
    bake(box, place, text)
    assert not (place / "out/secret").exists()


@pytest.mark.parametrize("name", ["docker-bake.hcl", "docker-bake.json", "compose.yaml"])
@pytest.mark.parametrize("words", [[], ["--print"], ["--list", "targets"]])
def test_a_file_that_nobody_names_is_no_link_out(cli: Cli, name: str, words: list[str]) -> None:
    secret = cli.directory("secret", {"file": f"{SECRET}\n[\n"}) / "file"
    place = cli.directory("bake", {})
    (place / name).symlink_to(secret)
    done = cli("bake", *words, cwd=place, check=False)
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
    assert f"error: `{name}` leads out of the current directory" in done.stderr


LINK = 'dockerfile-inline = "FROM box\\nRUN ln -s {victim} /l && echo no > /secret\\n"'


@pytest.mark.parametrize(
    "second", ["type=local,dest=out/l", "type=tar,dest=out/l/tar", "type=local,dest=out/l/new"]
)
def test_nothing_is_written_through_a_link_of_another_output(
    box: Cli, place: Path, second: str
) -> None:
    victim = place.parent / "victim"
    before = sorted(victim.rglob("*"))
    recipe = LINK.format(victim=victim)
    told = bake(box, place, f'target "default" {{\n{recipe}\noutput = ["out", "{second}"]\n}}\n')
    assert "leads elsewhere since the build began" in told
    assert sorted(victim.rglob("*")) == before
    assert (victim / "secret").read_text() == SECRET


def test_a_directory_for_a_platform_is_no_link(box: Cli, place: Path) -> None:
    victim = place.parent / "victim"
    context = box.directory("context", {"Dockerfile": "FROM box\n"})
    out = box.directory("out", {})
    output = f"type=local,dest={out},platform-split=true"
    box("build", "-o", output, context)
    (made,) = out.iterdir()
    made.rename(out / "before")
    made.symlink_to(victim)
    before = sorted(victim.rglob("*"))
    done = box("build", "-o", output, context, check=False)
    assert f"error: `{made}` is no directory" in done.stderr
    assert sorted(victim.rglob("*")) == before


@pytest.mark.parametrize("attribute", ["context = {}", "contexts = {{ more = {} }}"])
def test_a_repository_is_not_fetched_with_the_callers_keys(
    box: Cli, place: Path, attribute: str
) -> None:
    setting = attribute.format('"git@127.0.0.1:private.git"')
    told = bake(box, place, f'target "default" {{\n{COPY}\n{setting}\n}}\n')
    assert "error: the target `default` asks for `ssh`" in told
