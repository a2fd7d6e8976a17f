"""Looking into archives of images, and writing odd ones."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Files = dict[str, bytes]


def files_of(path: Path) -> Files:
    """Read all files of a tar, or of a directory."""
    if path.is_dir():
        return {
            str(file.relative_to(path)): file.read_bytes()
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }
    with tarfile.open(path) as tar:
        found = {}
        for entry in tar:
            file = tar.extractfile(entry)
            if file is not None:
                found[entry.name] = file.read()
    return found


def write_archive(path: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write a tar with these files; a text is the target of a symbolic link."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return path


def blob_name(content: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(kind: str, content: bytes, **more: Any) -> dict[str, Any]:
    media = "application/vnd.oci.image." + kind
    return {"mediaType": media, "digest": digest(content), "size": len(content), **more}


def config_bytes(*layers: bytes, architecture: str = "amd64", **more: Any) -> bytes:
    """Write a configuration for these layers, as somebody else would."""
    document = {
        "architecture": architecture,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        **more,
    }
    # Not as this project would write it: the bytes have to be kept.
    return json.dumps(document, indent=1).encode()


class Layout:
    """An OCI image layout in the making."""

    def __init__(self) -> None:
        self.files: Files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
        self.entries: list[dict[str, Any]] = []

    def blob(self, content: bytes) -> bytes:
        self.files[blob_name(content)] = content
        return content

    def manifest(self, config: bytes, layers: Mapping[bytes, str]) -> bytes:
        """Add an image: its layers by their bytes, each with the end of its media type."""
        document = {
            "schemaVersion": 2,
            "config": descriptor("config.v1+json", self.blob(config)),
            "layers": [
                descriptor(f"layer.v1.tar{ending}", self.blob(layer))
                for layer, ending in layers.items()
            ],
        }
        return self.blob(json.dumps(document).encode())

    def index(self, *entries: dict[str, Any]) -> bytes:
        return json.dumps({"schemaVersion": 2, "manifests": list(entries)}).encode()

    def finish(self) -> Files:
        self.files["index.json"] = self.index(*self.entries)
        return self.files
