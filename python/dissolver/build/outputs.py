"""The end of a build: what its request wants to be left behind, one after the other."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.build import commit
from dissolver.build.request import Exported
from dissolver.errors import ExportError
from dissolver.image.config import Image
from dissolver.image.mutate import with_layers
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.build.bases import BaseImages
    from dissolver.build.events import Progress
    from dissolver.build.request import BuildRequest
    from dissolver.build.scheduler import Cancellation
    from dissolver.export.output import Output
    from dissolver.export.save import Format
    from dissolver.image.annotations import Annotations
    from dissolver.image.config import ImageConfig
    from dissolver.image.reference import Reference
    from dissolver.store import Store
    from dissolver.store.layer_blobs import Packing


@dataclass(frozen=True, slots=True)
class Target:
    """What a build came to: an image that is not stored yet.

    The lowest ``base_layers`` layers are those of the image that it was built on.
    ``epoch_ns`` is the time that it says it is of, if one was given.
    """

    config: ImageConfig
    base_layers: int
    tags: tuple[Reference, ...]
    annotations: Annotations
    epoch_ns: int | None


def check_outputs(*requests: BuildRequest) -> None:
    """Refuse outputs that cannot be written, before anything is built for them.

    Several builds may put files into one directory, and only one of them writes a file.

    Raises:
        ExportError: two would overwrite each other, one is to be pushed and has no name, or
            the place of one is of the wrong kind.
        BadReference: a name is none.
    """
    from dissolver.image.reference import parse_new_name

    places: set[str | int] = set()
    for request in requests:
        for output in request.outputs:
            for name in output.names:
                parse_new_name(name)
            if output.pushes and not (request.tags or output.names):
                raise ExportError("an image that is pushed needs a name", hint="name it: `-t NAME`")
            if output.dest is not None:
                if output.dest in places and output.kind != "local":
                    raise ExportError(f"two outputs have the same place `{_told(output)}`")
                places.add(output.dest)
                _check_place(output, output.dest)


def _check_place(output: Output, dest: str | int) -> None:
    from dissolver.export.files import refuse_terminal

    if isinstance(dest, int):
        refuse_terminal(dest)
    elif output.kind == "local" or output.is_directory:
        if os.path.lexists(dest) and not Path(dest).is_dir():
            raise ExportError(f"`{dest}` exists and is no directory")
    elif Path(dest).is_dir():
        raise ExportError(f"`{dest}` is a directory", hint="name a file in it")


@dataclass(slots=True)
class Exporter:
    """Writes the outputs of one build; the store lock is held meanwhile.

    Layers that are made on the way are told to ``temporary``, for when nothing needs them.
    """

    store: Store
    target: Target
    bases: BaseImages
    progress: Progress
    cancellation: Cancellation
    temporary: list[str]
    request: BuildRequest
    _rewritten: ImageConfig | None = field(default=None, init=False)

    def run(self, outputs: Sequence[Output]) -> tuple[Image, tuple[Exported, ...]]:
        """Write ``outputs``; tell what they are, and which image they are of.

        Without any the image goes into the store. What was written before one that fails stays.

        Raises:
            ExportError: a place does not fit what is to be written there.
            RegistryError and its kinds: what a registry says to a push.
            StoreError, CoreFailure: a layer is damaged, or the disk is full.
        """
        image: Image | None = None
        done: list[Exported] = []
        self._warn_of_missing_epoch(outputs)
        if not outputs:
            self.cancellation.check()
            image = self._kept("image", self.target.config, self.target.tags, done)
        for output in outputs:
            self.cancellation.check()
            self.request.refuse_moved()
            if output.is_stored:
                image = self._stored(output, done)
            elif output.has_image:
                written = self._archive(output, done)
                image = image if image is not None else written
            elif output.kind != "cacheonly":
                self._files(output, done)
        if image is None:
            image = self._image(self.target.config)[0]
        return image, tuple(done)

    def _stored(self, output: Output, done: list[Exported]) -> Image:
        tags = self._names(output)
        image = self._kept(output.kind, self._config(output), tags, done)
        if output.pushes:
            for tag in tags:
                done[-1] = replace(done[-1], digest=self._push(output, image, tag))
        return image

    def _kept(
        self, kind: str, config: ImageConfig, tags: Sequence[Reference], done: list[Exported]
    ) -> Image:
        image = commit.export(self.store, config, tags, self.target.annotations, self.progress)
        names = tuple(tag.canonical for tag in tags)
        done.append(Exported(kind, image=image.id, names=names))
        return image

    def _new_layers(self, config: ImageConfig) -> frozenset[str]:
        """Tell which layers go out as they are made here, and as in every other store."""
        return frozenset(config.diff_ids[self.target.base_layers :])

    def _push(self, output: Output, image: Image, tag: Reference) -> str:
        from dissolver.registry.push import push

        sources = self.bases.sources
        if sources is None:
            raise ExportError("this build has no way to registries, so nothing can be pushed")
        reference = replace(tag, tag=None) if output.is_nameless else tag
        with self.progress.vertex(f"pushing {reference.canonical}") as vertex:
            with vertex.status("pushing layers"):
                is_anywhere = self.target.epoch_ns is not None
                pushed = push(
                    self.store,
                    sources,
                    reference,
                    packing=output.packing,
                    image=image,
                    anew=self._new_layers(image.config) if is_anywhere else (),
                )
            with vertex.status(f"pushing manifest for {reference.canonical}@{pushed.digest}"):
                pass
        return pushed.digest

    def _archive(self, output: Output, done: list[Exported]) -> Image:
        from dissolver.export.save import write_images
        from dissolver.export.selection import Selected

        with self.progress.vertex(f"exporting to {output.kind} image format") as vertex:
            image, document = self._image(self._config(output))
            names = self._names(output)
            new = self._new_layers(image.config)
            chosen = Selected(image, tuple(names), document, self.target.annotations, new)
            with vertex.status("exporting layers"):
                (packed,) = write_images(
                    self.store, [chosen], _place(output), _format(output), _packing(output)
                )
            with vertex.status(f"exporting manifest {packed.manifest.digest}"):
                pass
            with vertex.status(f"exporting config {image.id}"):
                pass
        done.append(
            Exported(
                output.kind,
                dest=_told(output),
                image=image.id,
                names=tuple(name.canonical for name in names),
                digest=packed.manifest.digest,
            )
        )
        return image

    def _files(self, output: Output, done: list[Exported]) -> None:
        from dissolver.export.files import opened
        from dissolver.export.rootfs import put_files, write_tar

        target = self.target
        layers = target.config.diff_ids
        if output.kind == "tar":
            with (
                self.progress.vertex("exporting to client tarball") as vertex,
                vertex.status("sending tarball"),
                opened(_place(output)) as descriptor,
            ):
                write_tar(self.store, layers, descriptor, mtime_ns=target.epoch_ns)
        else:
            with self.progress.vertex("exporting to client directory") as vertex:
                with vertex.status("copying files"):
                    place, inside, is_fixed = self._directory(output)
                    devices = put_files(
                        self.store,
                        layers,
                        place,
                        inside=inside,
                        is_fixed=is_fixed,
                        mtime_ns=target.epoch_ns,
                    )
                if devices:
                    vertex.warn(
                        f"{devices} devices were left out of `{place / inside}`",
                        hint="a tar has them: `--output type=tar,dest=FILE`",
                    )
        done.append(Exported(output.kind, dest=_told(output)))

    def _directory(self, output: Output) -> tuple[Path, str, bool]:
        """Tell where files go: a directory, one in it, and whether no link may lead there."""
        dest = str(output.dest)
        place = self.request.places.get(dest)
        platform = str(self.target.config.platform).replace("/", "_")
        inside = platform if output.splits_platforms else ""
        return Path(place or dest), inside, place is not None

    def _names(self, output: Output) -> list[Reference]:
        from dissolver.image.reference import parse_new_name

        named = dict.fromkeys(self.target.tags)
        named.update(dict.fromkeys(parse_new_name(name) for name in output.names))
        return list(named)

    def _warn_of_missing_epoch(self, outputs: Sequence[Output]) -> None:
        if self.target.epoch_ns is None and any(output.rewrites_times for output in outputs):
            with self.progress.vertex("[internal] set times back") as vertex:
                vertex.warn(
                    "`rewrite-timestamp` changes nothing without SOURCE_DATE_EPOCH",
                    hint="set that, for example to `$(git log -1 --pretty=%ct)`",
                )

    def _config(self, output: Output) -> ImageConfig:
        """Give the configuration that an output is of, with its times set back if it wants so."""
        target = self.target
        if not output.rewrites_times or target.epoch_ns is None:
            return target.config
        if self._rewritten is None:
            lower = target.config.diff_ids[: target.base_layers]
            upper = [
                self._clamped(diff_id, target.epoch_ns, is_kept=output.is_stored)
                for diff_id in target.config.diff_ids[target.base_layers :]
            ]
            self._rewritten = with_layers(target.config, (*lower, *upper))
        return self._rewritten

    def _clamped(self, diff_id: str, latest_ns: int, *, is_kept: bool) -> str:
        """Have a layer with no later times; those of a stored image are found again by a record."""
        from dissolver.build.fetched_files import keep_layer
        from dissolver.cache.keys import times_key

        key = times_key(diff_id, latest_ns)
        known = self.store.records.find(key.digest)
        if known is not None:
            return known.diff_id
        with explained("set the times of a layer back"):
            made = self.store.layers.clamp_times(diff_id, latest_ns).diff_id
        if is_kept:
            keep_layer(
                self.store, made, key=key.digest, kind="times", build="times", inputs=key.inputs
            )
        elif made != diff_id:
            self.temporary.append(made)
        return made

    def _image(self, config: ImageConfig) -> tuple[Image, bytes]:
        """Describe an image that is not stored, with its encoded configuration."""
        from dissolver.image.config import encode_config
        from dissolver.image.digest import digest_of

        document = encode_config(config)
        size = 0
        for diff_id in config.diff_ids:
            info = self.store.layers.info(diff_id)
            size += 0 if info is None else info.content_bytes
        return Image(digest_of(document), config, size), document


def _place(output: Output) -> str | int:
    """Tell where an archive goes; who asked for standard output said which file that is."""
    if output.dest is None:
        raise ExportError(f"an output of type `{output.kind}` needs a place", hint="add `dest=`")
    return output.dest


def _told(output: Output) -> str:
    return "-" if isinstance(output.dest, int) else str(output.dest)


def _format(output: Output) -> Format:
    if output.kind == "docker":
        return "docker-directory" if output.is_directory else "docker"
    return "oci-directory" if output.is_directory else "oci"


def _packing(output: Output) -> Packing:
    packing = output.packing
    if output.kind != "docker" or packing.is_forced:
        return packing
    # As for `save`: older versions of `docker load` know no zstd, unless somebody wants it.
    return replace(packing, kept=tuple({"none": 0, "gzip": 0, packing.compression: 0}))
