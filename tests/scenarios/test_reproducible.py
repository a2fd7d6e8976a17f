"""The same inputs give the same image: in other stores, as others, at other times."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scene import Account, Cli

EPOCH = 1_700_000_500

DOCKERFILE = """\
FROM box AS tools
RUN echo tool > /tool && chmod 755 /tool

FROM box
ARG SOURCE_DATE_EPOCH
LABEL made.by=test
WORKDIR /app/inner
COPY . /app
COPY --chown=node --chmod=u+x script /bin/script
COPY --from=tools /tool /usr/bin/
RUN rm /etc/group && echo "$SOURCE_DATE_EPOCH" > /epoch && mkdir -p /var/a/b \\
 && ln /epoch /var/a/twin && ln -s ../epoch /var/a/link && rm -r /home && mkdir /home \\
 && touch -d @1600000000 /var/a/old && mknod /var/a/pipe p && chown 1000:29 /var/a/b
USER node
RUN touch /tmp/mine
CMD ["/bin/script"]
"""


@pytest.fixture
def both(root_account: Account, user_account: Account) -> Iterator[tuple[Cli, Cli]]:
    """The command as root and as an ordinary user, each with an empty store."""
    made = [
        Cli(account, account.home / f"store-{uuid.uuid4().hex[:8]}")
        for account in (root_account, user_account)
    ]
    yield made[0], made[1]
    for cli in made:
        cli("system", "prune", "-af", check=False)


def context(cli: Cli, later: int) -> Path:
    """The same files as anybody's, but for their times, which are ``later`` than the epoch."""
    made = cli.directory(
        "context",
        {"Dockerfile": DOCKERFILE, "script": "#!/bin/sh\n", "data/large": b"\0\1" * 40_000},
    )
    for path in sorted(made.rglob("*"), reverse=True):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (EPOCH + later, EPOCH + later))
    (made / "data" / "older").write_text("older than the epoch")
    (made / "data" / "older").chmod(0o644)
    os.utime(made / "data" / "older", (EPOCH - 1, EPOCH - 1))
    os.utime(made / "data", (EPOCH + later, EPOCH + later))
    return cli.account.own(made)


def manifest_digest(layout: Path) -> str:
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    return str(entry["digest"])


def built(cli: Cli, made: Path, *words: str) -> str:
    """Build an OCI layout and tell the digest of its manifest."""
    out = cli.directory("out", {}) / "out"
    output = f"type=oci,dest={out},tar=false,rewrite-timestamp=true"
    epoch = {"SOURCE_DATE_EPOCH": str(EPOCH)}
    cli("build", "-t", "app", "-o", output, *words, made, environment=epoch)
    return manifest_digest(out)


def test_root_and_a_user_make_the_same_image_at_different_times(
    both: tuple[Cli, Cli], busybox_tar: Path
) -> None:
    root, user = both
    base = root.directory("base", {}) / "base.tar"
    root("import", busybox_tar, "box")
    root("save", "-o", base, "box")
    copy = user.directory("base", {}) / "base.tar"
    copy.write_bytes(base.read_bytes())
    user.account.own(copy.parent)
    user("load", "-i", copy)
    first = built(root, context(root, later=10))
    assert built(user, context(user, later=7_654_321)) == first
    # The second build of one store is a cached one, and everything anew is no other image.
    assert built(user, context(user, later=99)) == first
    assert built(root, context(root, later=3), "--no-cache") == first


def test_an_image_on_the_files_of_a_context_is_of_the_epoch_as_well(
    both: tuple[Cli, Cli],
) -> None:
    root, user = both
    text = "FROM files AS inner\nENV a=b\nFROM inner\nCOPY script /\n"
    epoch = {"SOURCE_DATE_EPOCH": str(EPOCH)}
    digests: set[str] = set()
    for later, cli in enumerate((root, user, root, user), 1):
        made = cli.directory("context", {"Dockerfile": text, "script": "#!/bin/sh\n"})
        (made / "script").chmod(0o755)
        words = ("--build-context", f"files={context(cli, later)}")
        digests.add(built(cli, cli.account.own(made), *words))
        # An image that stays in the store is no other, and was not made at another time.
        cli("build", "-q", "-t", "kept", *words, made, environment=epoch)
        times = cli.out("history", "--no-human", "--format", "{{.CreatedAt}}", "kept")
        assert set(times.split()) == {"2023-11-14T22:21:40Z"}
    assert len(digests) == 1


def test_without_rewritten_times_the_configuration_is_the_epochs_all_the_same(
    both: tuple[Cli, Cli], busybox_tar: Path
) -> None:
    root, _ = both
    root("import", busybox_tar, "box")
    made = root.directory("context", {"Dockerfile": "FROM box\nENV a=b\n"})
    ids = [
        root.out("build", "-q", *words, made, environment=environment)
        for words, environment in [
            (("--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}"), {"SOURCE_DATE_EPOCH": "7"}),
            ((), {"SOURCE_DATE_EPOCH": str(EPOCH)}),
            ((), {"SOURCE_DATE_EPOCH": ""}),
            ((), {}),
        ]
    ]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3] != ids[0]
    assert root.out("image", "inspect", "-f", "{{.Created}}", ids[0]) == "2023-11-14T22:21:40Z"
