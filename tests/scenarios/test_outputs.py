"""What builds leave behind: files, archives and images, wherever they are wanted."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import subprocess
import tarfile
from pathlib import Path

from scene import Cli

REST = """\
COPY --chown=1000:1000 a /data/
RUN chmod 4755 /data/a && ln -s a /data/link && ln /data/a /data/twin
CMD ["/data/a"]
"""

DOCKERFILE = f"FROM box\n{REST}"


def context(cli: Cli) -> Path:
    return cli.directory("context", {"Dockerfile": DOCKERFILE, "a": "hello\n"})


def raw(cli: Cli, *words: str | Path, **environment: str) -> bytes:
    """Run one command and return what it wrote to standard output, as it is."""
    done = subprocess.run(
        cli.account.command(*map(str, words)),
        cwd=cli.account.home,
        env={**cli.environment, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def place(cli: Cli, name: str = "out") -> Path:
    return cli.directory(name, {}) / name


def test_a_directory_gets_the_files_and_they_are_the_callers(box: Cli) -> None:
    out = place(box)
    box("build", "-o", out, context(box))
    assert (out / "data" / "a").read_text() == "hello\n"
    assert (out / "data" / "link").readlink() == Path("a")
    facts = (out / "data" / "a").stat()
    assert (facts.st_uid, facts.st_gid) == (box.account.uid, box.account.gid)
    # Set-user-id was meant for user 1000, and would now be another one's.
    assert stat.S_IMODE(facts.st_mode) == 0o755
    assert facts.st_ino == (out / "data" / "twin").stat().st_ino
    assert stat.S_IMODE((out / "root").stat().st_mode) == 0o700
    assert box.out("images", "-q") == box.out("images", "-q", "box"), "nothing else is stored"


def test_files_are_put_beside_what_is_there_and_through_no_link(box: Cli) -> None:
    out, elsewhere = place(box), place(box, "elsewhere")
    for directory in (out / "data", elsewhere):
        directory.mkdir(parents=True)
    (out / "mine").write_text("stays")
    (out / "data" / "a").symlink_to(elsewhere / "target")
    (out / "data" / "link").write_text("goes")
    box.account.own(out.parent)
    box("build", "-o", f"type=local,dest={out}", context(box))
    assert (out / "mine").read_text() == "stays"
    assert (out / "data" / "a").read_text() == "hello\n"
    assert not (out / "data" / "a").is_symlink()
    assert (out / "data" / "link").readlink() == Path("a")
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_the_place_of_a_directory_is_refused(box: Cli) -> None:
    out, elsewhere = place(box), place(box, "elsewhere")
    for directory in (out, elsewhere):
        directory.mkdir(parents=True)
    (out / "data").symlink_to(elsewhere)
    box.account.own(out.parent)
    failed = box("build", "-o", out, context(box), check=False)
    assert failed.returncode == 1
    assert "`data` is not a directory" in failed.stderr
    assert list(elsewhere.iterdir()) == []


def test_a_tar_keeps_owners_and_goes_to_standard_output(box: Cli) -> None:
    with tarfile.open(fileobj=io.BytesIO(raw(box, "build", "-o", "-", context(box)))) as tar:
        entry = tar.getmember("data/a")
        assert (entry.uid, entry.gid, entry.mode) == (1000, 1000, 0o4755)
        assert tar.getmember("data/twin").linkname == "data/a"
        assert "etc/passwd" in tar.getnames()


def test_source_date_epoch_is_the_time_of_all_files(box: Cli) -> None:
    out, made = place(box), context(box)
    epoch = {"SOURCE_DATE_EPOCH": "1600000000"}
    with tarfile.open(fileobj=io.BytesIO(raw(box, "build", "-o", "-", made, **epoch))) as tar:
        assert {entry.mtime for entry in tar} == {1_600_000_000}
    box("build", "-o", out, made, environment=epoch)
    assert {path.lstat().st_mtime for path in out.rglob("*")} == {1_600_000_000}


def test_several_outputs_come_of_one_build(box: Cli) -> None:
    out, made = place(box), context(box)
    told = box.out(
        *("build", "-q", "-t", "app:1", "-o", f"{out}/files", "-o", f"type=tar,dest={out}.tar"),
        *("-o", f"type=oci,dest={out}.oci", "--output", "type=image,name=app:2", made),
    )
    assert (Path(f"{out}/files") / "data" / "a").exists()
    with tarfile.open(f"{out}.tar") as tar:
        assert "data/a" in tar.getnames()
    index = json.loads(members(Path(f"{out}.oci"))["index.json"])
    names = [one["annotations"]["io.containerd.image.name"] for one in index["manifests"]]
    assert names == ["docker.io/library/app:1"]
    assert told == box.out("image", "inspect", "-f", "{{.Id}}", "app:1")
    assert told == box.out("image", "inspect", "-f", "{{.Id}}", "app:2")


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        files = [(entry.name, tar.extractfile(entry)) for entry in tar if entry.isfile()]
        return {name: file.read() for name, file in files if file is not None}


def test_archives_are_loaded_again_and_are_nothing_in_the_store_before(box: Cli) -> None:
    made = context(box)
    for form, name in (("docker", "a"), ("oci", "b")):
        out = place(box, name)
        told = box("build", "-q", "-t", f"app:{name}", "-o", f"type={form},dest={out}", made)
        assert box.out("images", "-q", "app") == ""
        assert box.out("load", "-i", out) == f"Loaded image: app:{name}"
        assert told.stdout.strip() == box.out("image", "inspect", "-f", "{{.Id}}", f"app:{name}")
        box("rmi", f"app:{name}")


def test_an_archive_is_a_directory_where_that_is_wanted(box: Cli) -> None:
    made = context(box)
    for form in ("docker", "oci"):
        out = place(box)
        word = f"type={form},dest={out},tar=false,name=app:1,compression=uncompressed"
        box("build", "-o", word, made)
        (entry,) = json.loads((out / "index.json").read_bytes())["manifests"]
        blob = out / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")
        manifest = json.loads(blob.read_bytes())
        kinds = {layer["mediaType"] for layer in manifest["layers"]}
        assert kinds == {"application/vnd.oci.image.layer.v1.tar"}
        assert (out / "manifest.json").exists() == (form == "docker")


def test_an_output_goes_through_a_pipe(box: Cli) -> None:
    archive = raw(box, "build", "-o", "type=docker,dest=-", "-t", "app", context(box))
    box.account.own(box.account.home)
    target = box.account.home / "piped.tar"
    target.write_bytes(archive)
    assert box.out("load", "-i", target) == "Loaded image: app:latest"
    target.unlink()


def test_nothing_is_left_behind_of_an_output_that_fails(box: Cli) -> None:
    made = context(box)
    for words, message in [
        (["-o", "type=oci,dest=/proc/none/a"], "cannot write `/proc/none/a`"),
        (["-o", f"type=oci,dest={made}"], f"`{made}` is a directory"),
        (["-o", f"{made}/a"], f"`{made}/a` exists and is no directory"),
        (["-o", "type=tar,dest=b", "-o", "type=tar,dest=b"], "two outputs have the same place"),
        (["--push"], "an image that is pushed needs a name"),
        (["-o", "b", "--iidfile", "x"], "none of the outputs has an image"),
        (["-q", "-o", "type=oci"], "standard output has room for the image or for its ID"),
        (["-o", "type=oci,dest=b,compression=lz4"], "unknown compression `lz4`"),
    ]:
        failed = box("build", *words, made, check=False, cwd=made)
        assert failed.returncode != 0
        assert message in failed.stderr
        assert sorted(path.name for path in made.iterdir()) == ["Dockerfile", "a"]


def test_cacheonly_leaves_nothing_but_the_cache(box: Cli) -> None:
    made = context(box)
    before = box.out("images", "-q")
    box("build", "-t", "app", "-o", "type=cacheonly", made)
    assert box.out("images", "-q") == before
    assert "CACHED" in box("build", "--progress", "plain", "--load", "-t", "app", made).stderr
    assert box.out("images", "-q", "app") != ""


def test_rewritten_times_are_not_later_than_the_epoch(box: Cli) -> None:
    out, made = place(box), context(box)
    (made / "Dockerfile").write_text(f"FROM box AS first\nWORKDIR /w\nFROM first\n{REST}")
    word = f"type=oci,dest={out},rewrite-timestamp=true,compression=uncompressed"
    epoch = 1_650_000_000
    box("build", "-o", word, "--build-arg", f"SOURCE_DATE_EPOCH={epoch}", made)
    files = members(out)
    (entry,) = json.loads(files["index.json"])["manifests"]

    def blob(digest: str) -> bytes:
        content = files[f"blobs/sha256/{digest.removeprefix('sha256:')}"]
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
        return content

    manifest = json.loads(blob(entry["digest"]))
    config = json.loads(blob(manifest["config"]["digest"]))
    assert config["created"] == "2022-04-15T05:20:00Z"
    assert {one["created"] for one in config["history"][1:]} == {"2022-04-15T05:20:00Z"}
    assert config["history"][0]["created"] != "2022-04-15T05:20:00Z", "the base stays as it is"
    base, *layers = [blob(layer["digest"]) for layer in manifest["layers"]]
    with tarfile.open(fileobj=io.BytesIO(base)) as tar:
        assert max(one.mtime for one in tar) > epoch
    assert len(layers) == 3
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            assert max(one.mtime for one in tar) == epoch


def test_rewritten_layers_are_made_once_and_go_with_the_cache(box: Cli) -> None:
    made = context(box)
    words = ("build", "-q", "-t", "app", "-o", "type=image,rewrite-timestamp=true", made)
    epoch = {"SOURCE_DATE_EPOCH": "1650000000"}
    first = box.out(*words, environment=epoch)
    assert "times set back in" in box.out("builder", "du")
    assert box.out(*words, environment=epoch) == first
    warned = box("build", "--progress", "plain", *words[2:]).stderr
    assert "`rewrite-timestamp` changes nothing without SOURCE_DATE_EPOCH" in warned
    box("rmi", "-f", "app", first, check=False)
    box("builder", "prune", "-f")
    assert box("system", "check").returncode == 0
    assert box.out(*words, environment=epoch) == first
