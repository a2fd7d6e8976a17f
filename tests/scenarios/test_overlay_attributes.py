"""What overlayfs notes in attributes, set by somebody else: nothing is hidden, nothing is kept.

Kernels from 6.7 on let programs set them, and store them under another name where they are
those of the mount; earlier ones refuse.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile

import pytest

from forms import in_both_forms
from scene import Cli

PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
/* `marks [-NAME=VALUE...] PATH...`: sets attributes, where it can, and lists those there are. */
int main(int count, char **words) {
    char list[65536];
    for (int path = 1; path < count; path++) {
        if (words[path][0] == '-')
            continue;
        for (int word = 1; word < count && words[word][0] == '-'; word++) {
            char name[256], *value = strchr(words[word], '=') + 1;
            snprintf(name, sizeof name, "%.*s", (int)(value - words[word] - 2), words[word] + 1);
            lsetxattr(words[path], name, value, strlen(value), 0);
        }
        ssize_t length = llistxattr(words[path], list, sizeof list);
        for (ssize_t at = 0; at < length; at += strlen(list + at) + 1)
            printf("%s %s\n", words[path], list + at);
    }
    return 0;
}
"""

NAMES = ("opaque", "whiteout", "redirect", "metacopy", "origin", "overlay.opaque", "other")


def flags(*namespaces: str) -> str:
    """Name every attribute of the namespaces, with the value that would do most."""
    values = {"redirect": "/etc", "metacopy": "", "overlay.opaque": "y"}
    return " ".join(
        f"-{namespace}.overlay.{name}={values.get(name, 'y')}"
        for namespace in namespaces
        for name in NAMES
    )


@pytest.fixture(scope="session")
def marks(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program that runs in every image, and sets attributes."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler (`cc`) is missing")
    made = tmp_path_factory.mktemp("marks") / "marks"
    command = [compiler, "-static", "-O1", "-x", "c", "-", "-o", str(made)]
    built = subprocess.run(command, input=PROGRAM, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        pytest.skip(f"static C programs cannot be made here: {built.stderr[-200:]}")
    return made.read_bytes()


def dockerfile(setting: str, *, how: str = "") -> str:
    return (
        "FROM box\n"
        "COPY --chmod=755 marks /marks\n"
        "RUN mkdir /old && echo a >/old/below && mkdir /old/sub && touch /empty\n"
        f"RUN {how} mkdir /new && echo b >/old/above && echo c >/new/file && touch /new/empty"
        f" && rm /old/below && mkdir /old/below"
        f" && {setting} / /old /old/sub /old/below /old/above /new /new/file /new/empty"
        " /empty /etc /etc/passwd\n"
    )


def build(box: Cli, marks: bytes, name: str, text: str) -> None:
    context = box.directory(name, {"Dockerfile": text, "marks": marks})
    allowed = ("--allow", "security.insecure")
    box("build", "-q", "-t", name, *allowed, context, environment={"SOURCE_DATE_EPOCH": "0"})


def differing(box: Cli, before: str, after: str) -> list[str]:
    """List the files that differ between two images, times left out."""
    done = box("image", "diff", before, after, check=False)
    assert (done.returncode in (0, 1), done.stderr) == (True, "")
    told = done.stdout
    return told.split("\n\n")[0].splitlines() if told.startswith("files") else []


LOOK = "ls -a / /old /old/below /new /etc; cat /old/above /new/file /etc/passwd; /marks / /*/* /*"


def next_step_sees(box: Cli, name: str) -> str:
    """Return what a RUN step on top of an image finds."""
    context = box.directory("next", {"Dockerfile": f"FROM {name}\nRUN {{ {LOOK}; }} >/told\n"})
    box("build", "-q", "-t", "next", context)
    return box.out("run", "--rm", "next", "cat", "/told")


def elsewhere(box: Cli, name: str) -> str:
    """Return what a container finds on a machine that got the image."""
    archive = box.account.home / f"{name}.tar"
    other = Cli(box.account, box.root.with_name(f"{box.root.name}-other"))
    try:
        box("save", "-o", archive, name)
        other("load", "-i", archive)
        return other.out("run", "--rm", name, "sh", "-c", LOOK)
    finally:
        archive.unlink(missing_ok=True)
        shutil.rmtree(other.root, ignore_errors=True)
        shutil.rmtree(other.run_directory, ignore_errors=True)


@in_both_forms
@pytest.mark.parametrize("how", ["", "--security=insecure"], ids=["usual", "insecure"])
@pytest.mark.parametrize("only", [None, "opaque"], ids=["all", "opaque"])
def test_a_step_cannot_mark_what_it_leaves(
    box: Cli, marks: bytes, how: str, only: str | None
) -> None:
    words = flags("user", "trusted") if only is None else "-user.overlay.opaque=y"
    build(box, marks, "plain", dockerfile("/marks"))
    build(box, marks, "marked", dockerfile(f"/marks {words}", how=how))
    assert differing(box, "plain", "marked") == []
    expected = box.out("run", "--rm", "plain", "sh", "-c", LOOK)
    assert box.out("run", "--rm", "marked", "sh", "-c", LOOK) == expected
    assert elsewhere(box, "marked") == expected
    assert next_step_sees(box, "marked") == next_step_sees(box, "plain")


@in_both_forms
def test_a_container_cannot_hide_its_changes(box: Cli, marks: bytes) -> None:
    build(box, marks, "plain", dockerfile("/marks"))
    work = "mkdir /mine; touch /mine/empty /mine/file; echo x >/old/above;"
    places = "/ /old /mine /mine/empty /mine/file /etc"
    listed = {}
    for name, words in (("honest", ""), ("hidden", flags("user", "trusted"))):
        command = f"{work} /marks {words} {places} >/dev/null"
        box("run", "--name", name, "plain", "sh", "-c", command)
        archive = box.account.home / f"{name}.tar"
        box("export", "-o", archive, name)
        with tarfile.open(archive) as tar:
            exported = sorted((entry.name, entry.size, entry.mode) for entry in tar)
            attributes = [
                entry.pax_headers for entry in tar if ".overlay." in str(entry.pax_headers)
            ]
        archive.unlink()
        listed[name] = (box.out("diff", name), exported, streamed(box, f"{name}:/mine"))
        assert attributes == []
    assert listed["hidden"] == listed["honest"]


def streamed(box: Cli, source: str) -> list[tuple[str, bytes]]:
    done = subprocess.run(
        box.account.command("cp", source, "-"),
        env=box.environment,
        cwd=box.account.home,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        return [(entry.name, entry.type) for entry in tar]


@in_both_forms
def test_files_of_a_volume_that_are_marked_are_copied_as_what_they_are(
    box: Cli, marks: bytes
) -> None:
    build(box, marks, "plain", dockerfile("/marks"))
    script = "mkdir /data/d; touch /data/d/empty; echo x >/data/d/file;"
    script += f"/marks {flags('user')} /data/d /data/d/*"
    # No overlay is between a program and a volume, so the names are stored as they are.
    told = box.out("run", "--name", "web", "-v", "data:/data", "plain", "sh", "-c", script)
    assert "/data/d/empty user.overlay.whiteout" in told
    assert streamed(box, "web:/data/d") == [
        ("d", tarfile.DIRTYPE),
        ("d/empty", tarfile.REGTYPE),
        ("d/file", tarfile.REGTYPE),
    ]
    place = box.directory("copies", {})
    box("cp", "web:/data/d", place / "d")
    assert sorted(path.name for path in (place / "d").iterdir()) == ["empty", "file"]
    for path in (place / "d", *(place / "d").iterdir()):
        assert not [name for name in os.listxattr(path) if ".overlay." in name]
    # And back again, from a directory of the machine that somebody marked.
    for path in (place / "d", *(place / "d").iterdir()):
        os.setxattr(path, "user.overlay.redirect", b"/etc")
        os.setxattr(path, "user.overlay.whiteout", b"y")
    box("cp", place / "d", "web:/old/copied")
    assert [name for name, _ in streamed(box, "web:/old/copied")] == [
        "copied",
        "copied/empty",
        "copied/file",
    ]


@in_both_forms
def test_a_context_with_marks_is_copied_without_them(box: Cli, marks: bytes) -> None:
    text = "FROM box\nCOPY --chmod=755 marks /marks\nCOPY etc /etc/\nCOPY d /d\n"
    text += "RUN --mount=type=bind,source=d,target=/bound ls /bound >/bound-listing\n"
    files = {"Dockerfile": text, "marks": marks, "etc/new": "x", "d/empty": "", "d/file": "x"}
    context = box.directory("marked", files)
    for path in (context / "etc", context / "d", *(context / "d").iterdir()):
        for name in NAMES:
            os.setxattr(path, f"user.overlay.{name}", b"x" if name == "opaque" else b"y")
            if box.account.is_root:
                os.setxattr(path, f"trusted.overlay.{name}", b"y")
    box("build", "-q", "-t", "made", context)
    look = "ls /d; cat /bound-listing; cat /etc/passwd; /marks /d /d/* /etc"
    lines = box.out("run", "--rm", "made", "sh", "-c", look).splitlines()
    assert lines[:4] == ["empty", "file", "empty", "file"]
    assert any(line.startswith("root:") for line in lines)
    assert not [line for line in lines if "overlay." in line]


@in_both_forms
def test_an_image_cannot_bring_marks(box: Cli, marks: bytes) -> None:
    def packed(*entries: tuple[str, bytes | None]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in entries:
                entry = tarfile.TarInfo(name)
                entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
                entry.mode, entry.size = 0o755, len(content or b"")
                for kind in ("user", "trusted"):
                    for mark in NAMES:
                        value = {"redirect": "/bin", "opaque": "x"}.get(mark, "y")
                        entry.pax_headers[f"SCHILY.xattr.{kind}.overlay.{mark}"] = value
                tar.addfile(entry, io.BytesIO(content or b""))
        return out.getvalue()

    hostile = packed(("./", None), ("etc", None), ("etc/empty", b""), ("moved", None), ("f", b"x"))
    text = "FROM box\nCOPY --chmod=755 marks /marks\nADD hostile.tar /\n"
    files = {"Dockerfile": text, "marks": marks, "hostile.tar": hostile}
    box("build", "-q", "-t", "added", box.directory("hostile", files))
    look = "cat /etc/passwd /etc/group /f; ls /moved /etc/empty; /marks / /* /etc/*"
    added = box.out("run", "--rm", "added", "sh", "-c", look)
    assert "root:" in added
    assert "/etc/empty" in added
    assert ".overlay." not in added
    # The same as a layer, as a registry would serve it.
    with_base = box.directory("imported", {"hostile.tar": hostile})
    box("import", with_base / "hostile.tar", "hostile")
    stacked = "FROM hostile\nCOPY --from=box /bin /bin\nCOPY --chmod=755 marks /marks\n"
    box(
        "build", "-q", "-t", "stacked", box.directory("st", {"Dockerfile": stacked, "marks": marks})
    )
    listed = box.out(
        "run", "--rm", "stacked", "sh", "-c", "ls /moved /etc/empty; /marks / /* /etc/*"
    )
    assert "/etc/empty" in listed
    assert ".overlay." not in listed
    assert "busybox" not in listed.split("/etc/empty")[0]
