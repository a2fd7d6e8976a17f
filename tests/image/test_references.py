"""The names of images."""

from __future__ import annotations

import pytest

from dissolver.errors import BadReference
from dissolver.image.digest import parse_digest
from dissolver.image.reference import Reference, parse_new_name, parse_reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

READ = [
    ("node", "docker.io/library/node:latest", "node:latest", "node"),
    ("node:20", "docker.io/library/node:20", "node:20", "node"),
    ("node:latest", "docker.io/library/node:latest", "node:latest", "node"),
    ("library/node", "docker.io/library/node:latest", "node:latest", "node"),
    ("docker.io/node", "docker.io/library/node:latest", "node:latest", "node"),
    ("docker.io/library/node", "docker.io/library/node:latest", "node:latest", "node"),
    ("index.docker.io/node", "docker.io/library/node:latest", "node:latest", "node"),
    ("bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest", "bitnami/redis"),
    ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest", "library/a/b"),
    ("a/b/c:1", "docker.io/a/b/c:1", "a/b/c:1", "a/b/c"),
    ("ghcr.io/a/b", "ghcr.io/a/b:latest", "ghcr.io/a/b:latest", "ghcr.io/a/b"),
    ("quay.io/a", "quay.io/a:latest", "quay.io/a:latest", "quay.io/a"),
    ("localhost/a", "localhost/a:latest", "localhost/a:latest", "localhost/a"),
    ("localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000/a"),
    ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000", "localhost"),
    ("host:80/a/b", "host:80/a/b:latest", "host:80/a/b:latest", "host:80/a/b"),
    ("Host/a", "Host/a:latest", "Host/a:latest", "Host/a"),
    ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a"),
    ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest", "[::1]:5000/a"),
    ("a.b-c_d__e", "docker.io/library/a.b-c_d__e:latest", "a.b-c_d__e:latest", "a.b-c_d__e"),
    ("a---b", "docker.io/library/a---b:latest", "a---b:latest", "a---b"),
    ("0", "docker.io/library/0:latest", "0:latest", "0"),
    ("node:_V1.0-rc_2", "docker.io/library/node:_V1.0-rc_2", "node:_V1.0-rc_2", "node"),
    (f"node@{DIGEST}", f"docker.io/library/node@{DIGEST}", f"node@{DIGEST}", "node"),
    (f"node:20@{DIGEST}", f"docker.io/library/node:20@{DIGEST}", f"node:20@{DIGEST}", "node"),
    ("node:" + "x" * 128, "docker.io/library/node:" + "x" * 128, "node:" + "x" * 128, "node"),
]


@pytest.mark.parametrize(("text", "canonical", "familiar", "name"), READ)
def test_a_reference_is_completed(text: str, canonical: str, familiar: str, name: str) -> None:
    reference = parse_reference(text)
    assert reference.canonical == canonical
    assert reference.familiar == str(reference) == familiar
    assert reference.name_familiar == name
    assert parse_reference(canonical) == parse_reference(familiar) == reference


REFUSED = [
    ("", "the image reference is empty"),
    (" node", "the image reference ` node` contains white space"),
    ("no de", "the image reference `no de` contains white space"),
    ("node\n", "the image reference `node\n` contains white space"),
    ("node:", "the tag of `node:` is empty"),
    ("node:-x", "the tag `-x` of `node:-x` is not valid"),
    ("node:.x", "the tag `.x` of `node:.x` is not valid"),
    ("node:a+b", "the tag `a+b` of `node:a+b` is not valid"),
    ("node:é", "the tag `é` of `node:é` is not valid"),
    ("node:a:b", "the name `node:a` in `node:a:b` is not valid"),
    ("node:" + "x" * 129, f"the tag of `node:{'x' * 35}…` is longer than 128 characters"),
    ("Node", "the name `Node` in `Node` must be lower case"),
    ("a/B", "the name `B` in `a/B` must be lower case"),
    ("a//b", "the name in `a//b` has an empty part between slashes"),
    ("/a", "the name in `/a` has an empty part between slashes"),
    ("a/", "the name in `a/` has an empty part between slashes"),
    ("ghcr.io/", "the image reference `ghcr.io/` has no name"),
    ("docker.io/", "the image reference `docker.io/` has no name"),
    (":tag", "the image reference `:tag` has no name"),
    ("-a", "the name `-a` in `-a` is not valid"),
    ("a-", "the name `a-` in `a-` is not valid"),
    ("a..b", "the name `a..b` in `a..b` is not valid"),
    ("a___b", "the name `a___b` in `a___b` is not valid"),
    ("a$b", "the name `a$b` in `a$b` is not valid"),
    ("é", "the name `é` in `é` is not valid"),
    ("ho_st:80/a", "the registry `ho_st:80` of `ho_st:80/a` is not a host name"),
    ("-x.io/a", "the registry `-x.io` of `-x.io/a` is not a host name"),
    ("http://a/b", "the registry `http:` of `http://a/b` is not a host name"),
    ("node@", "the digest of `node@` is not valid: `` is not a digest"),
    ("node@latest", "the digest of `node@latest` is not valid: `latest` is not a digest"),
    ("node@sha256:12",
     "the digest of `node@sha256:12` is not valid: the digest `sha256:12` has 2 digits, and `sha256` needs 64"),  # noqa: E501
    (HEX, f"`{HEX}` is a digest and names no image"),
    ("a" * 256, f"the image name `{'a' * 40}…` is longer than 255 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_mistake_in_a_reference_is_named(text: str, message: str) -> None:
    with pytest.raises(BadReference) as caught:
        parse_reference(text)
    assert caught.value.message == message


HINTS = [
    ("Node:20", "write `node:20`"),
    ("ghcr.io/Me/App", "write `ghcr.io/me/App`"),
    ("", "name an image, such as `node`"),
    (HEX, f"write `sha256:{HEX}` or `NAME@sha256:…`"),
    ("node@latest", "a digest reads `sha256:` and 64 hexadecimal digits"),
]


@pytest.mark.parametrize(("text", "hint"), HINTS)
def test_a_mistake_comes_with_something_to_try(text: str, hint: str) -> None:
    with pytest.raises(BadReference) as caught:
        parse_reference(text)
    assert caught.value.hint == hint


def test_a_reference_is_a_value() -> None:
    assert parse_reference("node") == Reference("docker.io", "library/node", "latest")
    assert len({parse_reference("node"), parse_reference("docker.io/library/node:latest")}) == 1


def test_a_tag_can_be_exchanged() -> None:
    pinned = parse_reference(f"node:20@{DIGEST}")
    assert pinned.with_tag("22").familiar == "node:22"
    with pytest.raises(BadReference, match="the tag `a b`"):
        pinned.with_tag("a b")


def test_a_digest_can_be_exchanged() -> None:
    node = parse_reference("node:20")
    assert node.with_digest(parse_digest(DIGEST)).familiar == f"node:20@{DIGEST}"
    assert node.with_digest(parse_digest(DIGEST)).with_digest(None) == node


@pytest.mark.parametrize("tag", ["", ":20"])
def test_a_name_to_give_has_no_digest(tag: str) -> None:
    assert parse_new_name(f"node{tag}") == parse_reference(f"node{tag}")
    with pytest.raises(BadReference) as caught:
        parse_new_name(f"node{tag}@{DIGEST}")
    assert caught.value.message == f"`node{tag}@{DIGEST}` has a digest, which no image can be given"
    assert caught.value.hint == f"name it with a tag: `node{tag or ':latest'}`"
