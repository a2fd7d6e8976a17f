"""Importing root file systems."""

from __future__ import annotations

import functools
import gzip
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dissolver.errors import DissolverError, ImageNotFound, IntakeError
from dissolver.image.platform import Platform
from dissolver.image.reference import parse_reference
from dissolver.intake.tarball import import_tarball
from dissolver.store import Store
from shelf import tar_of

TAR = tar_of({"etc/motd": b"hello\n", "bin/tool": b"x" * 5000})


class Server(BaseHTTPRequestHandler):
    """Serves a tar, and what goes wrong with servers."""

    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        length = len(TAR) + 1000 if self.path == "/cut" else len(TAR)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(TAR[:2000] if self.path == "/half" else TAR)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as made:
        thread = threading.Thread(target=functools.partial(made.serve_forever, 0.01))
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "root.tar"
    path.write_bytes(TAR)
    return path


def test_a_tar_becomes_an_image_with_one_layer(store: Store, archive: Path) -> None:
    image = import_tarball(store, archive, [parse_reference("box:1")])
    assert store.images.resolve("box:1") == image
    assert image.size == 5006
    assert len(image.config.diff_ids) == 1
    assert image.config.os == "linux"
    [entry] = image.config.history
    assert entry.comment == f"Imported from {archive}"
    assert entry.created == image.created is not None


def test_an_image_without_a_name_can_be_imported(store: Store, archive: Path) -> None:
    image = import_tarball(store, archive)
    assert store.images.references(image.id) == ()
    assert store.images.resolve(image.id) == image


def test_an_image_may_be_for_another_platform(store: Store, archive: Path) -> None:
    other = Platform("linux", "arm", "v6")
    assert import_tarball(store, archive, platform=other).config.platform == other


def test_changes_shape_the_configuration(store: Store, archive: Path) -> None:
    image = import_tarball(store, archive, changes=['CMD ["sh"]', "ENV A=1"])
    assert image.config.config.cmd == ("sh",)
    assert "A=1" in image.config.config.env


def test_a_wrong_change_is_told_before_anything_is_read(store: Store) -> None:
    with pytest.raises(IntakeError, match="is not a change"):
        import_tarball(store, "/does/not/exist", changes=["RUN true"])


def test_a_compressed_tar_gives_the_same_layer(store: Store, archive: Path, tmp_path: Path) -> None:
    packed = tmp_path / "root.tar.gz"
    packed.write_bytes(gzip.compress(TAR))
    plain = import_tarball(store, archive)
    assert import_tarball(store, packed).config.diff_ids == plain.config.diff_ids


def test_an_open_file_is_read(store: Store, archive: Path) -> None:
    descriptor = os.open(archive, os.O_RDONLY)
    try:
        image = import_tarball(store, descriptor)
    finally:
        os.close(descriptor)
    assert image.config.history[0].comment == "Imported from -"


def test_a_pipe_is_read(store: Store) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        os.write(writing, TAR)
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert import_tarball(store, reading).size == 5006
    finally:
        thread.join()
        os.close(reading)


@pytest.mark.usefixtures("hears_interrupts")
def test_an_interrupt_is_heard_while_a_pipe_is_silent(store: Store) -> None:
    reading, writing = os.pipe()
    threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            import_tarball(store, reading)
    finally:
        os.close(writing)
        os.close(reading)
    assert store.images.list() == []


def test_a_terminal_is_no_archive(store: Store) -> None:
    controller, terminal = os.openpty()
    try:
        with pytest.raises(IntakeError) as caught:
            import_tarball(store, terminal)
    finally:
        os.close(controller)
        os.close(terminal)
    assert caught.value.message == "a terminal is no archive"


def test_a_missing_file_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(IntakeError) as caught:
        import_tarball(store, tmp_path / "none.tar")
    assert caught.value.message == (
        f"cannot open the archive `{tmp_path}/none.tar`: no such file or directory"
    )


def test_a_directory_is_told_how_to_pack(store: Store, tmp_path: Path) -> None:
    with pytest.raises(IntakeError) as caught:
        import_tarball(store, tmp_path)
    assert caught.value.message == f"`{tmp_path}` is a directory"
    assert caught.value.hint == f"pack it first: `tar -C {tmp_path} -c . | dissolver import -`"


@pytest.mark.parametrize("content", [b"no tar at all" * 100, TAR[:517]])
def test_what_is_no_tar_leaves_nothing(store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(DissolverError):
        import_tarball(store, tmp_path / "bad.tar", [parse_reference("bad")])
    with pytest.raises(ImageNotFound):
        store.images.resolve("bad")
    store.collect()
    assert store.layers.list() == store.blobs.list() == []


def test_a_url_is_fetched(store: Store, server: str) -> None:
    image = import_tarball(store, f"{server}/root.tar", [parse_reference("web")])
    assert image.size == 5006
    assert image.config.history[0].comment == f"Imported from {server}/root.tar"


def test_an_answer_that_is_no_success_is_told(store: Store, server: str) -> None:
    with pytest.raises(IntakeError) as caught:
        import_tarball(store, f"{server}/missing")
    assert caught.value.message == f"`{server}/missing` answered 404 Not Found"


@pytest.mark.parametrize("path", ["cut", "half"])
def test_a_broken_connection_leaves_no_image(store: Store, server: str, path: str) -> None:
    with pytest.raises(IntakeError) as caught:
        import_tarball(store, f"{server}/{path}", [parse_reference("web")])
    assert caught.value.message.startswith(f"cannot fetch `{server}/{path}`: ")
    assert store.images.list() == []


def test_a_server_that_is_not_there_is_told(store: Store) -> None:
    with pytest.raises(IntakeError) as caught:
        import_tarball(store, "http://127.0.0.1:1/x")
    assert caught.value.message == "cannot fetch `http://127.0.0.1:1/x`: connection refused"
