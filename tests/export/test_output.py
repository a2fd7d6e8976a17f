"""What ``--output`` says, in BuildKit's words."""

from __future__ import annotations

import pytest

from dissolver.errors import ExportError
from dissolver.export.output import Output, parse_output
from dissolver.store.layer_blobs import Packing

GZIP = Packing("gzip")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out", Output("local", "out")),
        ("./a b", Output("local", "./a b")),
        ("dest=a", Output("local", "dest=a")),
        ("-", Output("tar", "-")),
        ("type=local,dest=out", Output("local", "out")),
        ("type=local,dest=out,mode=copy", Output("local", "out")),
        ("type=local,dest=out,platform-split=true", Output("local", "out", splits_platforms=True)),
        ("type=tar", Output("tar")),
        ("type=tar,dest=-", Output("tar", "-")),
        ("type=oci,dest=a.tar", Output("oci", "a.tar")),
        ("type=oci, dest=a.tar", Output("oci", "a.tar")),
        ("type=oci,DEST=A.tar", Output("oci", "A.tar")),
        ('type=oci,"dest=a,b.tar"', Output("oci", "a,b.tar")),
        ("type=oci,dest=a,tar=false", Output("oci", "a", is_directory=True)),
        ("type=docker", Output("docker")),
        ("type=docker,dest=a.tar,tar=true", Output("docker", "a.tar")),
        ("type=cacheonly", Output("cacheonly")),
        ("type=image", Output("image")),
        ("type=image,name=a:1", Output("image", names=("a:1",))),
        ('type=image,"name=a:1, b"', Output("image", names=("a:1", "b"))),
        ("type=image,push=false", Output("image")),
        ("type=image,push=1,name=a", Output("image", names=("a",), pushes=True)),
        ("type=registry", Output("image", pushes=True)),
        (
            "type=image,push-by-digest=true,name-canonical=true,name=a",
            Output("image", names=("a",), pushes=True, is_nameless=True),
        ),
        ("type=image,unpack=true,store=true,oci-mediatypes=true", Output("image")),
        ("type=oci,dest=a,rewrite-timestamp=true", Output("oci", "a", rewrites_times=True)),
        ("type=oci,dest=a,compression=zstd", Output("oci", "a", packing=Packing("zstd"))),
        ("type=oci,dest=a,compression=uncompressed", Output("oci", "a", packing=Packing("none"))),
        ("type=oci,dest=a,compression-level=9", Output("oci", "a", packing=Packing("gzip", 9))),
        (
            "type=oci,dest=a,compression=zstd,compression-level=22,force-compression=true",
            Output("oci", "a", packing=Packing("zstd", 22, kept=("zstd",))),
        ),
        ("type=oci,dest=a,force-compression=true", Output("oci", "a", packing=GZIP.forced())),
    ],
)
def test_an_output_says(text: str, expected: Output) -> None:
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dest=a,tar=false", "an output needs a type"),
        ("type=", "an output needs a type"),
        ("", "an output needs a type"),
        ("out,x=1", "`out` in the output `out,x=1` has to be `key=value`"),
        ('type=oci,"dest=a', 'the output `type=oci,"dest=a` cannot be cut at its commas'),
        ("type=squashfs,dest=a", "unknown type of output `squashfs`"),
        ("type=local", "a local output needs a directory"),
        ("type=local,dest=-", "a directory cannot be written to standard output"),
        ("type=local,dest=a,mode=delete", "outputs are not written with `mode=delete`"),
        ("type=local,dest=a,compression=zstd", "an output of type `local` has no `compression`"),
        ("type=image,dest=a", "an output of type `image` has no `dest`"),
        ("type=oci,tar=false", "`type=oci,tar=false` needs a directory"),
        ("type=docker,tar=false", "`type=docker,tar=false` needs a directory"),
        ("type=docker,context=c", "outputs have no `context` here"),
        ("type=oci,dest=a,compression=estargz", "unknown compression `estargz`"),
        ("type=oci,dest=a,compression-level=0", "`0` is no level of gzip"),
        ("type=oci,dest=a,compression-level=10", "`10` is no level of gzip"),
        ("type=oci,dest=a,compression-level=x", "`x` is no level of gzip"),
        (
            "type=oci,dest=a,compression=none,compression-level=1",
            "without compression there is no `compression-level`",
        ),
        ("type=oci,dest=a,oci-mediatypes=false", "images are written with the media types of OCI"),
        ("type=image,store=false", "an image output is stored"),
        ("type=image,push=maybe", "`push=maybe` has to be `true` or `false`"),
        ("type=image,annotation.a=b", "outputs have no `annotation.a` here"),
        ("type=image,registry.insecure=true", "outputs have no `registry.insecure` here"),
        ("type=cacheonly,dest=a", "an output of type `cacheonly` has no `dest`"),
    ],
)
def test_an_output_that_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(ExportError) as refused:
        parse_output(text)
    assert refused.value.message.startswith(message)
