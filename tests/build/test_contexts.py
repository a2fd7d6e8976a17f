"""Where the files of a build come from: archives, URLs, repositories, and further contexts."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from build.conftest import Site
from build.test_add import packed
from build.test_copy_flags import tree
from dissolver.build.contexts import git_context, shown
from dissolver.errors import BuildError, ContextError, DockerfileError, IntakeError
from servers import Repository, Web

TEXT = "FROM box\nCOPY . /x\n"


@pytest.fixture
def repository(repository: Repository) -> Repository:
    repository.commit({"Dockerfile": TEXT, "a": "a", "sub/Dockerfile": TEXT, "sub/b": "b"})
    return repository


def build_from(site, context: object, **options: object):
    """Build from something else than the site's directory."""
    from build.conftest import Told

    told = Told()
    told.result = site.engine.build(context, on_event=told.events.append, **options)
    return told


def opened(data: bytes) -> int:
    descriptor = os.memfd_create("context")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def layers_of(site) -> int:
    return len(site.engine._backend.store.layers.list())


# Archives and Dockerfiles that are received -------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_archive_can_be_received(site, pack) -> None:
    files = {"Dockerfile": TEXT, "a": "a", "d/b": "b", ".dockerignore": "a"}
    told = build_from(site, opened(pack(packed(files))))
    assert tree(site, told.image) == files
    assert site.stat(told.image, "/x/a") == (0o640, 5, 6)


def test_a_received_archive_can_hold_several_dockerfiles(site) -> None:
    data = packed({"a": "a", "docker/Dev": "FROM box\nADD a /y\n", "dockerfile": "FROM box\n"})
    told = build_from(site, opened(data), dockerfile="docker/Dev")
    assert site.read(told.image, "/y") == "a"
    build_from(site, opened(data))
    with pytest.raises(BuildError) as caught:
        build_from(site, opened(data), dockerfile="none")
    assert caught.value.message == "there is no file `none` in the build context"
    with pytest.raises(BuildError, match="there is no Dockerfile in the build context"):
        build_from(site, opened(packed({"a": "a"})))


def test_a_received_archive_is_cached_and_gone_after_the_build(site) -> None:
    data = packed({"Dockerfile": TEXT, "a": "a"})
    first = build_from(site, opened(data))
    before = layers_of(site)
    again = build_from(site, opened(data))
    assert again.result.is_cached
    assert again.image == first.image
    assert layers_of(site) == before == 2
    with pytest.raises(DockerfileError):
        build_from(site, opened(packed({"Dockerfile": "FROM box\nCOPPY a b\n"})))
    assert layers_of(site) == before


def test_a_dockerfile_can_be_received(site) -> None:
    told = build_from(site, opened(b"FROM box\nRUN echo x > /x\n"))
    assert site.read(told.image, "/x") == "x\n"
    with pytest.raises(ContextError) as caught:
        build_from(site, opened(b"FROM box\nCOPY a /x\n"))
    assert caught.value.message == "`a` is not in the empty build context"
    with pytest.raises(BuildError, match="is a Dockerfile, and so is"):
        build_from(site, opened(b"FROM box\n"), dockerfile="Dev")


def test_a_pipe_will_do(site) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"FROM box\nRUN true\n")
    os.close(writing)
    assert build_from(site, reading).result.steps


def test_archives_inside_a_received_one_are_unpacked(site) -> None:
    inner = gzip.compress(packed({"in": "side"}))
    data = packed(
        {"Dockerfile": "FROM box\nADD in.tgz /x\nRUN --mount=target=/c cat /c/in.tgz >/y\n"}
    )
    # A file whose content is no text needs a tar of its own making.
    import io
    import tarfile

    buffer = io.BytesIO(data)
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        entry = tarfile.TarInfo("in.tgz")
        entry.size = len(inner)
        tar.addfile(entry, io.BytesIO(inner))
    told = build_from(site, opened(buffer.getvalue()))
    assert tree(site, told.image) == {"in": "side"}
    assert site.stat(told.image, "/y")[0] == 0o644


# What is fetched -----------------------------------------------------------------------------


def test_an_archive_behind_a_url_is_a_context(site, web: Web) -> None:
    url = web.put("/c.tar.gz", gzip.compress(packed({"Dockerfile": TEXT, "a": "a"})), etag='"1"')
    first = build_from(site, url)
    assert tree(site, first.image)["a"] == "a"
    again = build_from(site, url)
    assert again.result.is_cached
    assert again.image == first.image
    assert web.asked == [("/c.tar.gz", 200), ("/c.tar.gz", 304)]


def test_a_dockerfile_behind_a_url_is_a_build_without_files(site, web: Web) -> None:
    url = web.put("/Dockerfile", "FROM box\nRUN echo x > /x\n")
    assert site.read(build_from(site, url).image, "/x") == "x\n"
    site.write({"a": "a"})
    other = web.put("/Other", "FROM box\nCOPY a /y\n")
    assert site.read(site.build(dockerfile=other).image, "/y") == "a"


def test_a_repository_is_a_context(site, repository: Repository) -> None:
    told = build_from(site, repository.url)
    assert sorted(tree(site, told.image)) == ["Dockerfile", "a", "sub/Dockerfile", "sub/b"]
    assert site.stat(told.image, "/x/a") == (0o644, 0, 0)
    told = build_from(site, f"{repository.url}#main:sub")
    assert sorted(tree(site, told.image)) == ["Dockerfile", "b"]
    again = build_from(site, f"{repository.url}#main:sub")
    assert again.result.is_cached
    arguments = {"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}
    told = build_from(site, repository.url, build_args=arguments)
    assert site.exists(told.image, "/x/.git/HEAD")


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("https://host/a.git", "https://host/a.git"),
        ("git@host:a", "git@host:a"),
        ("github.com/user/repo", "https://github.com/user/repo.git"),
        ("github.com/user/repo.git#v1:d", "https://github.com/user/repo.git"),
        ("https://host/a.tar.gz", None),
        (".", None),
        ("/srv/a.git", None),
    ],
)
def test_repositories_are_told_from_other_contexts(text: str, remote: str | None) -> None:
    found = git_context(text)
    assert (None if found is None else found.remote) == remote


def test_credentials_are_never_shown() -> None:
    assert shown("https://user:word@host/a.git?x=y#main:d") == "https://host/a.git#main:d"
    assert shown("some/directory") == "some/directory"


def test_a_context_that_is_not_there_is_told(site, web: Web) -> None:
    with pytest.raises(BuildError, match="answers 404"):
        build_from(site, f"{web.url}/none.tar")
    with pytest.raises(ContextError, match="does not exist"):
        build_from(site, "/no/such/directory")


# Named contexts ------------------------------------------------------------------------------


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    directory = tmp_path / "docs"
    (directory / "d").mkdir(parents=True)
    (directory / "a").write_text("docs a")
    (directory / "d/b").write_text("docs b")
    (directory / "hidden").write_text("x")
    (directory / ".dockerignore").write_text("hidden\n.dockerignore\n")
    return directory


def test_a_named_directory_is_copied_mounted_and_built_on(site, docs: Path) -> None:
    site.write({"a": "own a", ".dockerignore": "*"})
    text = (
        "FROM box\nCOPY --from=docs . /x\nRUN --mount=from=docs,source=d,target=/d cat /d/b > /y\n"
    )
    told = site.build(text, contexts={"docs": str(docs)})
    assert tree(site, told.image) == {"a": "docs a", "d/b": "docs b"}
    assert site.read(told.image, "/y") == "docs b"
    told = site.build("FROM docs\nENV A=1\n", contexts={"docs": str(docs)})
    assert tree(site, told.image, "") == {"a": "docs a", "d/b": "docs b"}
    config = site.engine.image(told.image).config
    assert len(config.diff_ids) == 1
    assert [entry.empty_layer for entry in config.history] == [False, True]
    again = site.build("FROM docs\nENV A=1\n", contexts={"docs": str(docs)})
    assert again.image == told.image


def test_a_named_context_takes_the_place_of_images_and_stages(site, docs: Path) -> None:
    text = "FROM box AS stage\nRUN echo stage > /a\nFROM box\nCOPY --from=stage /a /x\n"
    told = site.build(text, contexts={"stage": str(docs)})
    assert site.read(told.image, "/x") == "docs a"
    text = "FROM node:20\nRUN true\n"
    told = site.build(text, contexts={"node:20": "docker-image://box"})
    assert site.exists(told.image, "/bin/busybox")


def test_what_is_missing_in_a_named_context_is_told_with_its_name(site, docs: Path) -> None:
    with pytest.raises(ContextError) as caught:
        site.build("FROM box\nCOPY --from=docs aa /x\n", contexts={"docs": str(docs)})
    assert caught.value.message == "`aa` is not in the context `docs`"
    assert caught.value.hint == "did you mean `a`?"
    with pytest.raises(ContextError) as caught:
        site.build("FROM box\nCOPY --from=docs hidden /x\n", contexts={"docs": str(docs)})
    assert caught.value.message == "`hidden` is excluded from the context `docs`"


def test_a_change_in_a_named_context_is_noticed(site, docs: Path) -> None:
    text = "FROM box\nCOPY --from=docs a /x\nCOPY --from=docs d /d\n"
    site.build(text, contexts={"docs": str(docs)})
    (docs / "a").write_text("new")
    told = site.build(contexts={"docs": str(docs)})
    assert told.cached == {"COPY --from=docs a /x": False, "COPY --from=docs d /d": True}


def test_a_context_that_no_stage_needs_is_not_looked_at(site) -> None:
    site.build("FROM box\nRUN true\n", contexts={"docs": "/no/such/directory"})
    with pytest.raises(ContextError, match="does not exist"):
        site.build("FROM box\nCOPY --from=docs a /x\n", contexts={"docs": "/no/such/directory"})


def test_repositories_and_archives_can_be_named(site, repository: Repository, web: Web) -> None:
    url = web.put("/c.tar", packed({"p": "packed"}))
    text = "FROM box\nCOPY --from=repo a /a\nCOPY --from=arc p /p\n"
    told = site.build(text, contexts={"repo": f"{repository.url}#main", "arc": url})
    assert (site.read(told.image, "/a"), site.read(told.image, "/p")) == ("a", "packed")
    assert site.stat(told.image, "/p") == (0o640, 5, 6)


def test_an_image_of_a_layout_can_be_named(site, tmp_path: Path) -> None:
    site.build("FROM box\nRUN echo inside > /x\n", tags=["made:1"])
    site.engine.save(["made:1"], str(tmp_path / "layout"), form="oci-directory")
    site.engine.remove_image("made:1")
    text = "FROM base\nRUN cat /x > /y\nCOPY --from=base /x /z\n"
    for name in ("layout", "layout:1"):
        told = site.build(text, contexts={"base": f"oci-layout://{tmp_path / name}"})
        assert site.read(told.image, "/y") == "inside\n"
    with pytest.raises(IntakeError) as caught:
        site.build(text, contexts={"base": f"oci-layout://{tmp_path / 'layout'}:2"})
    assert "has no image `2`" in caught.value.message
    assert not [one for one in site.engine.images() if one.references and "made" in str(one)]


# Ignore files ---------------------------------------------------------------------------------


def test_the_ignore_file_of_the_dockerfile_wins(site) -> None:
    site.write({"a": "a", "b": "b", ".dockerignore": "a\n", "Dev": TEXT, "Dev.dockerignore": "b\n"})
    told = site.build(dockerfile=str(site.directory / "Dev"))
    assert "a" in tree(site, told.image)
    assert "b" not in tree(site, told.image)


# A context in which the store lies ------------------------------------------------------------


@pytest.mark.parametrize("rules", ["run\n", "run\n!store/format.json\n"])
def test_the_store_is_no_part_of_a_context(engine, tmp_path: Path, rules: str) -> None:
    site = Site(engine, tmp_path).write({".dockerignore": rules, "a/b": "b"})
    for content in ("first", "second"):
        told = site.write({"a/b": content}).build(TEXT)
        assert tree(site, told.image) == {
            "Dockerfile": TEXT,
            ".dockerignore": rules,
            "a/b": content,
        }
    with pytest.raises(ContextError) as caught:
        site.build("FROM box\nCOPY a store/format.json /x/\n")
    assert caught.value.message == (
        "`store/format.json` belongs to the store, which is no part of the build context"
    )
    assert caught.value.where is not None
    assert caught.value.where.line == 2
