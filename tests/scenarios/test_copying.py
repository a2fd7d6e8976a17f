"""`cp`, `diff` and `export`: a container's files, running, stopped or never started."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from forms import in_both_forms
from scene import Cli


def started(box: Cli, *words: str, name: str = "web", command: str = "sleep 600") -> str:
    box("run", "-d", "--name", name, *words, "box", "sh", "-c", command)
    return name


def stopped(box: Cli) -> str:
    started(box)
    box("stop", "-t", "0", "web")
    return "web"


def created(box: Cli) -> str:
    # `run` fails only after the container was made.
    box("run", "--name", "web", "box", "no-such-program", check=False)
    return "web"


STATES = {"running": started, "stopped": stopped, "never started": created}


@pytest.fixture(params=STATES)
def web(request: pytest.FixtureRequest, box: Cli) -> str:
    """A container in each of the states that there are."""
    return STATES[request.param](box)


@pytest.fixture
def sources(box: Cli) -> Path:
    place = box.directory("sources", {"file": "text\n", "tree/a": "1", "tree/sub/b": "22"})
    (place / "tree" / "link").symlink_to("a")
    (place / "link").symlink_to("tree")
    return place


def seen(box: Cli, path: str) -> str:
    """List what is at a path of the container `web`, whatever state it is in."""
    with tarfile.open(fileobj=io.BytesIO(streamed(box, path))) as tar:
        return " ".join(sorted(entry.name for entry in tar))


def streamed(box: Cli, path: str) -> bytes:
    done = subprocess.run(
        box.account.command("cp", f"web:{path}", "-"),
        env=box.environment,
        cwd=box.account.home,
        capture_output=True,
        check=True,
    )
    return done.stdout


def content(box: Cli, path: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(streamed(box, path))) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        assert file is not None
        return file.read().decode()


def test_mistakes_are_told_in_a_line(box: Cli, sources: Path) -> None:
    """tests/runtime/test_placement.py has all the rules."""
    created(box)
    table = {
        (f"{sources}/file", "web:/tmp/missing/"): "the directory `web:/tmp/missing/` does not",
        (f"{sources}/tree", "web:/etc/group"): "cannot copy a directory to the file `web:/etc",
        ("web:/etc/nothing", "new"): "`web:/etc/nothing` does not exist",
        ("web:/etc/group", "missing/new"): "there is no directory for `missing/new`",
        (f"{sources}/file", "nobody:/tmp"): "there is no container `nobody`",
    }
    for (source, target), message in table.items():
        done = box("cp", source, target, cwd=sources, check=False)
        assert done.returncode == 1, (source, target)
        assert done.stderr.replace(f"{sources}/", "").startswith(f"error: {message}"), done.stderr
        assert "Traceback" not in done.stderr


@in_both_forms
def test_copies_go_both_ways_in_every_state(box: Cli, web: str, sources: Path) -> None:
    box("cp", sources / "tree", f"{web}:/home/node")
    assert content(box, "/home/node/tree/sub/b") == "22"
    box("cp", f"{web}:/home/node/tree", sources / "back")
    assert (sources / "back" / "sub" / "b").read_text() == "22"
    assert (sources / "back" / "link").readlink() == Path("a")
    changes = box.out("diff", web).splitlines()
    assert changes[:3] == ["C /home", "C /home/node", "A /home/node/tree"]


def test_a_copy_is_there_when_the_container_runs(box: Cli, sources: Path) -> None:
    box("run", "--name", "once", "box", "cat", "/tmp/file", check=False)
    box("cp", sources / "file", "once:/tmp/file")
    assert box.out("start", "-a", "once") == "text"
    started(box)
    box("cp", sources / "file", "web:/tmp/file")
    assert box.out("exec", "web", "cat", "/tmp/file") == "text"


def test_the_way_to_the_working_directory_may_be_closed(
    box: Cli, tmp_path_factory: pytest.TempPathFactory
) -> None:
    closed = tmp_path_factory.mktemp("closed")
    inside = closed / "inside"
    inside.mkdir()
    closed.chmod(0o700)
    started(box)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    done = box("cp", "-", "web:/tmp", stdin=packed.getvalue(), cwd=inside)
    assert done.stderr == ""
    done = box("exec", "web", "ls", "/tmp/file", cwd=inside)
    assert (done.stdout, done.stderr) == ("/tmp/file\n", "")


def test_files_become_roots_inside_and_the_callers_outside(box: Cli, sources: Path) -> None:
    started(box)
    box("cp", sources / "file", "web:/tmp/copied")
    assert box.out("exec", "web", "stat", "-c", "%u:%g", "/tmp/copied") == "0:0"
    box("exec", "web", "sh", "-c", "echo mine > /home/node/mine; chown 1000:29 /home/node/mine")
    box("cp", "web:/home/node/mine", sources)
    found = (sources / "mine").stat()
    assert (found.st_uid, found.st_gid) == (box.account.uid, box.account.gid)
    if box.account.is_root:
        box("cp", "-a", "web:/home/node/mine", sources / "archived")
        found = (sources / "archived").stat()
        assert (found.st_uid, found.st_gid) == (1000, 29)
        box("cp", "-a", sources / "archived", "web:/tmp/archived")
        assert box.out("exec", "web", "stat", "-c", "%u:%g", "/tmp/archived") == "1000:29"


def test_a_set_user_id_program_of_a_container_is_none_outside(box: Cli, sources: Path) -> None:
    started(box)
    box("exec", "-u", "node", "web", "sh", "-c", "cp /bin/busybox /home/node/su")
    box("exec", "-u", "node", "web", "chmod", "4755", "/home/node/su")
    box("cp", "web:/home/node/su", sources / "su")
    assert (sources / "su").stat().st_mode & 0o7777 == 0o755


def test_modes_times_and_names_arrive(box: Cli, sources: Path) -> None:
    started(box)
    (sources / "file").chmod(0o640)
    os.utime(sources / "file", ns=(0, 1_234_567_890_123_456_789))
    strange = sources / "tree" / os.fsdecode(b"n\xff\n")
    strange.write_text("strange")
    os.link(sources / "tree" / "a", sources / "tree" / "twin")
    box.account.own(sources)
    box("cp", sources, "web:/tmp/all")
    assert box.out("exec", "web", "stat", "-c", "%a %Y", "/tmp/all/file") == "640 1234567890"
    assert box.out("exec", "web", "stat", "-c", "%h", "/tmp/all/tree/twin") == "2"
    box("cp", "web:/tmp/all/.", sources / "again")
    assert (sources / "again" / "file").stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert (sources / "again" / "tree" / strange.name).read_text() == "strange"
    twins = [(sources / "again" / "tree" / name).stat().st_ino for name in ("a", "twin")]
    assert twins[0] == twins[1]


def test_tars_go_in_and_out(box: Cli, web: str, sources: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo("given")
        entry.size, entry.uid, entry.gid, entry.mode = 5, 1000, 29, 0o600
        tar.addfile(entry, io.BytesIO(b"given"))
    (sources / "in.tgz").write_bytes(archive.getvalue())
    with (sources / "in.tgz").open("rb") as file:
        subprocess.run(
            box.account.command("cp", "-", f"{web}:/home/node"),
            env=box.environment,
            stdin=file,
            check=True,
        )
    with tarfile.open(fileobj=io.BytesIO(streamed(box, "/home/node/."))) as tar:
        found = {entry.name: (entry.uid, entry.gid, entry.mode) for entry in tar}
    assert found["given"] == (1000, 29, 0o600)
    assert found["."] == (1000, 1000, 0o755)
    for target, message in {
        "/etc/passwd": f"`{web}:/etc/passwd` is not a directory",
        "/missing": f"the directory `{web}:/missing` does not exist",
    }.items():
        refused = box("cp", "-", f"{web}:{target}", stdin=b"", check=False)
        assert refused.returncode == 1
        assert message in refused.stderr or "empty" in refused.stderr


@in_both_forms
def test_no_link_of_a_container_leads_out_of_it(box: Cli, web: str, sources: Path) -> None:
    """What the container's owner might have prepared, and what the host keeps to itself."""
    secret = box.directory("secret", {"key": "secret"})
    prepared = box.directory("prepared", {"file": "x"})
    for name, target in {
        "absolute": secret / "key",
        "climbing": Path("../" * 20 + str(secret / "key")),
        "directory": secret,
        "proc": Path("/proc/1/root") / str(secret).lstrip("/"),
    }.items():
        (prepared / name).symlink_to(target)
    box("cp", prepared, f"{web}:/srv")
    mine = box.directory("mine", {"key": "mine", "tree/key": "mine"})
    for name in ("absolute", "climbing", "directory/key", "proc/key"):
        got = box("cp", "-L", f"{web}:/srv/{name}", mine / "stolen", check=False)
        assert got.returncode == 1, name
        assert not (mine / "stolen").exists()
        box("cp", mine / "key", f"{web}:/srv/{name}", check=False)
    box("cp", f"{mine}/tree/.", f"{web}:/srv/directory", check=False)
    assert (secret / "key").read_text() == "secret"
    assert [path.name for path in secret.iterdir()] == ["key"]
    # Copied as they are, they stay links.
    box("cp", f"{web}:/srv", mine / "links")
    assert (mine / "links" / "absolute").is_symlink()
    assert sources.exists()


def test_links_that_lie_where_a_copy_goes_are_not_followed(box: Cli, web: str) -> None:
    """A container cannot steer what is written outside by the files it gives out."""
    place = box.directory("place", {"precious": "precious"})
    inner = box.directory("inner", {"out/precious": "evil"})
    box("cp", inner / "out", f"{web}:/out")
    (place / "target").mkdir()
    (place / "target" / "out").symlink_to("..")
    box.account.own(place)
    refused = box("cp", f"{web}:/out", place / "target", check=False)
    assert refused.returncode == 1
    assert "by a directory" in refused.stderr
    assert (place / "precious").read_text() == "precious"


@in_both_forms
def test_volumes_are_part_of_what_is_copied_and_not_of_what_is_exported(box: Cli) -> None:
    here = box.directory("bound", {"in-bind": "1"})
    started(box, "-v", f"{here}:/bound", "-v", "data:/data")
    box("exec", "web", "sh", "-c", "echo 2 > /data/in-volume; echo 3 > /own")
    for _ in range(2):
        box("cp", "web:/data/in-volume", here / "from-volume")
        box("cp", "web:/bound/in-bind", here / "from-bind")
        box("cp", here / "in-bind", "web:/data/added")
        exported = box.directory("exported", {})
        box("export", "-o", exported / "root.tar", "web")
        with tarfile.open(exported / "root.tar") as tar:
            names = tar.getnames()
        assert "own" in names
        assert not [name for name in names if "in-volume" in name or "in-bind" in name]
        box("stop", "-t", "0", "web")
    assert (here / "from-volume").read_text() == "2\n"


def test_a_read_only_container_is_not_written_to(box: Cli, sources: Path) -> None:
    started(box, "--read-only")
    for _ in range(2):
        refused = box("cp", sources / "file", "web:/tmp", check=False)
        assert refused.returncode == 1
        assert "read-only file system" in refused.stderr
        box("cp", "web:/etc/group", sources / "group")
        box("stop", "-t", "0", "web")


def test_what_only_the_kernel_shows_is_left_out(box: Cli, sources: Path) -> None:
    started(box)
    box("cp", "web:/", sources / "all")
    assert list((sources / "all" / "proc").iterdir()) == []
    assert list((sources / "all" / "sys").iterdir()) == []
    assert (sources / "all" / "etc" / "passwd").exists()


def test_files_that_are_mounted_are_written_to(box: Cli, sources: Path) -> None:
    started(box)
    box("cp", sources / "file", "web:/etc/hosts")
    assert box.out("exec", "web", "cat", "/etc/hosts") == "text"


def test_nothing_stays_mounted_and_no_process_stays(box: Cli, sources: Path) -> None:
    created(box)
    box("cp", sources / "file", "web:/tmp")
    running = subprocess.run(
        ["pgrep", "-u", str(box.account.uid), "-f", str(box.root)], capture_output=True, text=True
    )
    assert running.stdout == ""
    mounts = Path("/proc/self/mounts").read_text()
    assert str(box.root) not in mounts
    box("rm", "web")


# diff and export ----------------------------------------------------------------


CHANGES = (
    "echo new > /etc/new; echo more >> /etc/group; rm /bin/vi; rm -r /home/node; "
    "mkdir -p /srv/deep; touch /srv/deep/file; chmod 700 /var; "
    "rm -r /usr; mkdir /usr; ln -s x /tmp/link; chmod u+w /etc/passwd"
)
LISTED = [
    "C /bin",
    "D /bin/vi",
    "C /etc",
    "C /etc/group",
    "A /etc/new",
    "C /home",
    "D /home/node",
    "A /srv",
    "A /srv/deep",
    "A /srv/deep/file",
    "C /tmp",
    "A /tmp/link",
    "C /usr",
    "C /var",
]


@in_both_forms
def test_diff_lists_what_the_container_changed(box: Cli) -> None:
    assert box.out("create", "box", check=False) == ""
    started(box, command=f"{CHANGES}; touch /tmp/done; rm /tmp/done; sleep 600")
    box("exec", "web", "sh", "-c", "until test -d /usr -a -L /tmp/link; do sleep 0.05; done")
    # An empty directory in place of an empty one is no change.
    expected = [line for line in LISTED if line != "C /usr"]
    for _ in range(2):
        listed = [line for line in box.out("diff", "web").splitlines() if line != "C /usr"]
        assert listed == expected
        box("stop", "-t", "0", "web")


@in_both_forms
def test_a_container_that_changed_nothing_has_no_changes(box: Cli) -> None:
    started(box)
    assert box.out("diff", "web") == ""
    created_name = "idle"
    box("run", "--name", created_name, "box", "true")
    assert box.out("diff", created_name) == ""


@in_both_forms
def test_an_exported_container_can_be_imported_again(box: Cli) -> None:
    started(box, command=f"{CHANGES}; sleep 600")
    box("exec", "web", "sh", "-c", "until test -L /tmp/link; do sleep 0.05; done; sleep 0.2")
    tars = []
    for number in range(2):
        target = box.account.home / f"root{number}-{os.getpid()}.tar"
        box("export", "-o", target, "web")
        tars.append(target.read_bytes())
        box("import", target, f"again:{number}")
        target.unlink()
        box("stop", "-t", "0", "web")
    assert tars[0] == tars[1]
    look = "cat /etc/new; ls /home /srv/deep; stat -c %a /var; test ! -e /bin/vi && echo gone"
    expected = "new\n/home:\n\n/srv/deep:\nfile\n700\ngone"
    assert box.out("run", "--rm", "again:0", "sh", "-c", look) == expected


@in_both_forms
def test_an_exported_image_is_its_root_file_system(box: Cli) -> None:
    box("run", "--name", "idle", "box", "true")
    target = box.account.home / f"idle-{os.getpid()}.tar"
    box("export", "--output", target, "idle")
    with tarfile.open(target) as tar:
        found = {entry.name: (entry.uid, entry.mode) for entry in tar}
    target.unlink()
    assert found["tmp"] == (0, 0o1777)
    assert found["home/node"] == (1000, 0o755)
    assert found["root"] == (0, 0o700)
    assert not [name for name in found if ".wh." in name]
