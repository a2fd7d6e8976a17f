"""Opening, creating and refusing stores."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dissolver.errors import StoreError, UnknownStoreFormat
from dissolver.store import Store
from shelf import add_image


def test_a_new_store_is_created_with_its_directories(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "store", tmp_path / "run")
    names = {path.name for path in store.root.iterdir()}
    assert names == {
        "blobs", "containers", "format.json", "layers", "packs", "reserve", "stat", "store.lock",
        "store.sqlite", "tmp", "volumes",
    }  # fmt: skip
    assert json.loads((store.root / "format.json").read_text()) == {"format": 1}
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700
    assert list(store.layout.tmp.iterdir()) == []
    assert store.run.is_dir()


def test_a_store_is_found_again_by_another_store_object(tmp_path: Path) -> None:
    with Store(tmp_path / "store", tmp_path / "run") as first:
        image = add_image(first, "a", "app")
    with Store(tmp_path / "store", tmp_path / "other-run") as second:
        assert second.images.resolve("app") == image


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    Store(tmp_path, tmp_path / "run")
    (tmp_path / "format.json").write_text('{"format": 2}')
    with pytest.raises(UnknownStoreFormat) as caught:
        Store(tmp_path, tmp_path / "run")
    assert caught.value.message == (
        f"the store `{tmp_path}` has format 2, and this version knows format 1"
    )


def test_a_newer_database_is_refused_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "run")
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(UnknownStoreFormat) as caught:
        store.images.list()
    assert "has version 7, and this version knows version 4" in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "1"}', '{"format": null}'])
def test_a_format_file_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    Store(tmp_path, tmp_path / "run")
    (tmp_path / "format.json").write_text(text)
    with pytest.raises(StoreError, match="does not say which format the store has"):
        Store(tmp_path, tmp_path / "run")


def test_a_directory_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreError) as caught:
        Store(tmp_path, tmp_path / "run")
    assert caught.value.message == (
        f"`{tmp_path}` is not empty and not a store: it has `thesis.tex`"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_store_whose_making_was_interrupted_is_made_whole(tmp_path: Path) -> None:
    store = Store(tmp_path, tmp_path / "run")
    store.layout.format_file.unlink()
    store.layout.database.unlink()
    (tmp_path / "volumes").rmdir()
    with Store(tmp_path, tmp_path / "run") as again:
        assert add_image(again, "a", "app").size == 8192


def test_a_file_in_the_place_of_the_store_is_explained(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StoreError, match="cannot open the store"):
        Store(tmp_path / "store", tmp_path / "run")


def test_a_store_that_may_not_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        Store(Path("/proc/nowhere"), tmp_path / "run")
    assert caught.value.message.startswith("cannot open the store `/proc/nowhere`")


def test_many_processes_may_create_the_same_store_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dissolver.store import Store;"
        "s = Store(Path(sys.argv[1]), Path(sys.argv[2])); print(len(s.images.list()))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "store"), str(tmp_path / "run")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(6)]
    assert [process.communicate()[0] for process in processes] == [b"0\n"] * 6
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_opening_an_existing_store_loads_neither_database_nor_images(tmp_path: Path) -> None:
    Store(tmp_path / "store", tmp_path / "run")
    script = (
        "import sys; from pathlib import Path; from dissolver.store import Store;"
        "Store(Path(sys.argv[1]), Path(sys.argv[2]));"
        "print([m for m in ('sqlite3', 'msgspec', 'subprocess', 'tempfile', 'shutil',"
        " 'dissolver.image.config') if m in sys.modules])"
    )
    command = [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path}; {script}"]
    done = subprocess.run(
        [*command, tmp_path / "store", tmp_path / "run"], capture_output=True, check=True
    )
    assert done.stdout == b"[]\n"
