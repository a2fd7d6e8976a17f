"""The same root file systems mounted in place, extracted, exported, and unpacked by umoci.

What is built is what people build: the examples (on stand-ins for their bases, so that no
network is needed), the contexts of the benchmarks, and a directory with one of everything.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from benches.contexts import make_context

from dissolver._core.layer import Layers
from dissolver.export.rootfs import write_directory
from dissolver.store import Store
from export.test_same_bytes import umoci
from layer.conftest import Facts, facts, make_tree
from mounting import stacked
from scene import Account, Cli

EXAMPLES = Path(__file__).parents[2] / "examples"
FORMS = ["erofs", "directory"]
# What has no step that runs mounts nothing while it is built.
IN_ONE_FORM = pytest.mark.parametrize("cli", ["erofs"], indirect=True)

Seen = dict[str, Facts]

# Stand-ins for the programs that the examples' steps call: they leave what those leave.
APT_GET = """\
#!/bin/sh
case $1 in
update) mkdir -p /var/lib/apt/lists/partial; echo index > /var/lib/apt/lists/one ;;
install)
    mkdir -p /usr/bin /usr/share/nodejs/deep
    printf '#!/bin/sh\\necho node\\n' > /usr/bin/node
    chmod 4755 /usr/bin/node
    ln /usr/bin/node /usr/bin/nodejs
    ln -s ../share/nodejs /usr/bin/npm
    rm /bin/unzip
    mkfifo -m 600 /usr/share/nodejs/pipe
    chown -R 1000:29 /usr/share/nodejs/deep ;;
esac
"""
NPM = """\
#!/bin/sh
for name in express send; do
    mkdir -p node_modules/$name/lib
    echo "module $name" > node_modules/$name/lib/index.js
done
ln -s express node_modules/again
cp package.json node_modules/.package-lock.json
"""


@pytest.fixture(params=FORMS)
def cli(
    request: pytest.FixtureRequest, root_account: Account, busybox_tar: Path, tmp_path: Path
) -> Iterator[Cli]:
    """The command on a store with `box`, whose layers are mounted in one form or the other."""
    root = root_account.home / f"ways-{uuid.uuid4().hex[:8]}"
    made = Cli(root_account, root, {"DISSOLVER_LAYERS": str(request.param)})
    if reason := Layers(tmp_path / "probe", userxattr=False).image_refusal():
        pytest.skip(reason)
    made("import", "-c", 'CMD ["sh"]', busybox_tar, "box")
    yield made
    subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def ways(cli: Cli, name: str, place: Path) -> dict[str, Seen]:
    """Look at the root file system of an image in every way that there is."""
    seen: dict[str, Seen] = {}
    place.mkdir()
    for form in FORMS:
        with (
            Store(cli.root, place / f"run-{form}", layers=form) as store,  # type: ignore[arg-type]
            store.lock_shared(),
        ):
            image = store.images.resolve(name)
            lowers = store.layers.mountable(list(image.config.diff_ids))
            assert {bool(lower.erofs) for lower in lowers} >= {form == "erofs"}
            with stacked(lowers, place / f"mounted-{form}") as root:
                seen[form] = facts(root)
            if form == "directory":
                write_directory(store, image.config.diff_ids, place / "exported")
                seen["exported"] = facts(place / "exported")
    if shutil.which("umoci") is not None:
        seen["umoci"] = by_umoci(cli, name, place)
    for found in seen.values():
        # Few layers say how old a root is, and everybody who unpacks has an own idea.
        found["."] = replace(found["."], mtime_ns=0)
    return seen


def by_umoci(cli: Cli, name: str, place: Path) -> Seen:
    cli("save", "--format=oci-directory", "-o", place / "layout", f"{name}:latest")
    umoci(place, "unpack", "--image", f"{place}/layout:latest", place / "bundle")
    return facts(place / "bundle" / "rootfs")


def assert_same(seen: dict[str, Seen]) -> Seen:
    """Claim that all ways show the same, and give that."""
    first = seen["erofs"]
    for way, found in seen.items():
        assert found.keys() == first.keys(), way
        different = [name for name, fact in first.items() if found[name] != fact]
        assert {name: (found[name], first[name]) for name in different} == {}, way
    return first


def stand_in(cli: Cli, name: str, program: str, text: str) -> None:
    """Make an image of busybox and one more program."""
    recipe = f"FROM box\nCOPY --chmod=755 program /usr/bin/{program}\n"
    context = cli.directory("stand-in", {"Dockerfile": recipe, "program": text})
    cli("build", "-q", "-t", name, context)


def test_the_example_of_a_base(cli: Cli, tmp_path: Path) -> None:
    stand_in(cli, "debian:bookworm-slim", "apt-get", APT_GET)
    cli("build", "-q", "-t", "built", EXAMPLES / "node")
    seen = assert_same(ways(cli, "built", tmp_path / "ways"))
    assert "bin/unzip" not in seen
    assert stat.S_IMODE(seen["usr/bin/node"].mode) == 0o4755
    assert seen["usr/bin/nodejs"].first_name == "usr/bin/node"
    assert seen["usr/share/nodejs/deep"].owner == (1000, 29)
    assert "var/lib/apt/lists" in seen
    assert not any(name.startswith("var/lib/apt/lists/") for name in seen)


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "Dockerfile.copy-first"])
def test_the_example_of_an_application(cli: Cli, tmp_path: Path, dockerfile: str) -> None:
    stand_in(cli, "node", "npm", NPM)
    context = EXAMPLES / "node-app"
    cli("build", "-q", "-t", "built", "-f", context / dockerfile, context)
    seen = assert_same(ways(cli, "built", tmp_path / "ways"))
    assert seen["app/server.js"].content == (context / "server.js").read_bytes()
    assert seen["app/node_modules/express/lib/index.js"].content == b"module express\n"


def beneath(seen: Seen) -> Seen:
    """Everything but the root, which a copy makes anew."""
    return {name: fact for name, fact in seen.items() if name != "."}


def copied(seen: Seen) -> Seen:
    """What lies in `/app` of an image."""
    inside = {name.removeprefix("app/"): fact for name, fact in seen.items() if "app/" in name}
    return {
        name: replace(fact, first_name=fact.first_name.removeprefix("app/"))
        for name, fact in inside.items()
    }


def as_copied(name: str, fact: Facts) -> Facts:
    """What a copy keeps: everything is root's, and attributes that are for root alone go.

    Symbolic links stay no names of one another, as with Docker.
    """
    kept = [row for row in fact.xattrs if not row[0].startswith("trusted.")]
    first = name if stat.S_ISLNK(fact.mode) else fact.first_name
    return replace(fact, owner=(0, 0), xattrs=tuple(kept), first_name=first)


@IN_ONE_FORM
@pytest.mark.parametrize(
    ("context_name", "divided_by"),
    [("monorepo", 100), ("large", 1000), ("tiny", 100), ("huge", 1000)],
)
def test_the_contexts_of_the_benchmarks(
    cli: Cli, tmp_path: Path, context_name: str, divided_by: int
) -> None:
    context = make_context(tmp_path, context_name, divided_by=divided_by)
    cli("build", "-q", "-t", "built", context)
    seen = assert_same(ways(cli, "built", tmp_path / "ways"))
    assert copied(seen) == beneath(facts(context))


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Write an access control list as the kernel keeps it: (tag, permissions, id) each."""
    rows = [
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + number.to_bytes(4, "little")
        for tag, bits, number in entries
    ]
    return b"\2\0\0\0" + b"".join(rows)


NOBODY = 0xFFFF_FFFF
ACCESS = acl((1, 6, NOBODY), (2, 4, 1000), (4, 4, NOBODY), (0x10, 4, NOBODY), (0x20, 0, NOBODY))


def make_nasty(root: Path) -> None:
    """Fill a directory with everything that has ever made trouble on its way into an image."""
    make_tree(root)
    (root / "listed").write_text("for one more user")
    os.setxattr(root / "listed", "system.posix_acl_access", ACCESS)
    (root / "inherits").mkdir()
    os.setxattr(root / "inherits", "system.posix_acl_default", ACCESS)
    # Not of zero bytes: umoci takes a record without a value for one that removes it.
    for number in range(1, 30):
        os.setxattr(root / "listed", f"user.number{number}", os.urandom(number))
    os.setxattr(root / "tmp", "trusted.note", b"\0only for root\xff")
    for name in (b"\x01\x1f\x7f", b"line\nend", b" ", b"\\", b"-rf", b"*?[a]", b"...", b"n" * 255):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_bytes(name)
    deep = root
    for _ in range(12):
        deep /= "p" * 150
    deep.mkdir(parents=True)
    (deep / "file").write_text("far away")
    (root / "twin").mkdir()
    os.link(root / "big", root / "twin" / "big")
    os.link(root / "dangling", root / "twin" / "link", follow_symlinks=False)
    for name, mode in (("none", 0), ("all", 0o7777), ("setgid", 0o2755)):
        (root / name).write_text(name)
        (root / name).chmod(mode)
    (root / "group").mkdir()
    (root / "group").chmod(0o2770)
    for name, time in (("before", -(10**18) - 1), ("later", 9 * 10**18 + 7), ("zero", 0)):
        (root / name).write_text(name)
        os.utime(root / name, ns=(1, time))
    with (root / "ends in a hole").open("wb") as file:
        file.write(b"data" * 200)
        file.truncate(200_001)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(root / "socket"))


@IN_ONE_FORM
def test_one_of_everything(cli: Cli, tmp_path: Path) -> None:
    make_nasty(tmp_path / "nasty")
    context = tmp_path / "nasty"
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /app\n")
    expected = beneath(facts(context))
    assert stat.S_ISSOCK(expected.pop("socket").mode)
    cli("build", "-q", "-t", "built", "-f", dockerfile, context)
    seen = assert_same(ways(cli, "built", tmp_path / "ways"))
    assert copied(seen) == {name: as_copied(name, fact) for name, fact in expected.items()}
