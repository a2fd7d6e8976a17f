"""Base images from a Debian or Ubuntu mirror, through ``mmdebstrap``.

What comes out is what people know as the *slim* images: the essential packages and
apt, without documentation, manual pages and translations, but with every licence.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import IntakeError
from dissolver.intake.apt_sources import own_suite, read_sources, sources_for
from dissolver.intake.producer import Producer

if TYPE_CHECKING:
    from dissolver.image.config import Image, ImageConfig
    from dissolver.image.reference import Reference
    from dissolver.store import Store

_SUITE = re.compile(r"[a-z][a-z0-9.-]*", re.ASCII)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(?::[a-z0-9]+)?(?:[=/][A-Za-z0-9.+:~-]+)?", re.ASCII)

_USERS_NEEDED = 1000
"""A Debian system has owners up to 100 or so, and packages add some below 1000."""

_LEFT_OUT = ("doc", "groff", "info", "linda", "lintian", "locale", "man")
"""Directories of /usr/share that a slim image goes without."""

_FINISH = """\
#!/bin/sh
# Runs when everything is installed; $1 is the root file system.
set -eu
mv "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$1/etc/dpkg/dpkg.cfg.d/slim"
rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap"
cat > "$1/etc/apt/apt.conf.d/container" <<'END'
# Layers keep what a step leaves behind: no packages once installed, no translations.
APT::Keep-Downloaded-Packages "false";
Binary::apt::APT::Keep-Downloaded-Packages "false";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Apt::AutoRemove::SuggestsImportant "false";
END
# These come from the machine that made the image; a container gets its own.
for name in hostname resolv.conf; do
    rm -f "$1/etc/$name"
    : > "$1/etc/$name"
    chmod 644 "$1/etc/$name"
done
rm -f "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old
"""

_PREPARE = """\
#!/bin/sh
# Runs before anything is installed; $1 is the root file system.
set -eu
# Installing a service must not start it, neither now nor in a RUN step.
mkdir -p "$1/usr/sbin"
printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
"""

_MERGED_USR = Path("/usr/share/mmdebstrap/hooks/maybe-merged-usr")
"""Merges /usr by links from the start, as every Debian image has it; otherwise a package
does so afterwards, and brings 40 MB of Perl along."""


def bootstrap(
    store: Store,
    suite: str,
    tags: Sequence[Reference] = (),
    *,
    include: Sequence[str] = (),
    mirror: str | None = None,
    on_line: Callable[[str], None] = lambda _: None,
) -> Image:
    """Make a base image of ``suite`` and give it ``tags``.

    Packages come from ``mirror`` if given, else from the machine's own apt sources
    for that suite, its updates and its security fixes, checked against their
    keyrings. ``on_line`` is told what is going on, a line at a time. Runs as root,
    or as user 0 of a user namespace that has a range of users.

    Raises:
        IntakeError: ``mmdebstrap`` is missing, or it failed; its last lines are the detail.
    """
    _check_words(suite, include)
    _check_users(Path("/proc/self/uid_map"))
    with store.lock_shared(), store.workspace() as workspace:
        command = _command(workspace, suite, include, mirror)
        producer = Producer(command, _told(on_line))
        layer = producer.into(store.layers, head=_dev_directory())
        _check_outcome(producer, suite)
        if layer is None:
            raise IntakeError("`mmdebstrap` wrote no root file system", detail=producer.last_lines)
        return store.images.put(_config(suite, include, layer.diff_id), tags=tags)


def _check_words(suite: str, include: Sequence[str]) -> None:
    if not _SUITE.fullmatch(suite):
        raise IntakeError(
            f"`{suite}` is not the name of a suite", hint="suites are called `bookworm` or `noble`"
        )
    for package in include:
        if not _PACKAGE.fullmatch(package):
            raise IntakeError(f"`{package}` is not the name of a package")


def _check_users(uid_map: Path) -> None:
    """Refuse to begin where the files of a Debian system could not get their owners."""
    users = sum(int(line.split()[2]) for line in uid_map.read_text().splitlines())
    if os.geteuid() != 0 or users < _USERS_NEEDED:
        raise IntakeError(
            "a base system needs more user ids than this process may use",
            hint="give yourself a range as root: "
            "`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`",
        )


def _command(workspace: Path, suite: str, include: Sequence[str], mirror: str | None) -> list[str]:
    import shutil

    if shutil.which("mmdebstrap") is None:
        raise IntakeError(
            "`mmdebstrap` is not installed", hint="install it: `apt-get install mmdebstrap`"
        )
    prepare = _script(workspace / "prepare.sh", _PREPARE)
    finish = _script(workspace / "finish.sh", _FINISH)
    archives, keyrings = _archives(workspace, suite, mirror)
    return [
        # Dies with this process; its mounts go with its mount namespace, and its
        # children with their process namespace, however it ends.
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
        *("env", f"TMPDIR={workspace}", "LC_ALL=C.UTF-8"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar"),
        # A user namespace cannot make devices, and a container gets its own.
        "--skip=output/dev",
        # Its own is removed at the end; the image keeps the one that `prepare` makes.
        "--skip=chroot/policy-rc.d",
        f"--setup-hook={prepare}",
        # The temporary directory is closed to other users, apt's own among them.
        '--aptopt=APT::Sandbox::User "root"',
        *(f"--aptopt={line}" for line in _apt_settings()),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *((f"--hook-directory={_MERGED_USR}",) if _MERGED_USR.is_dir() else ()),
        f"--customize-hook={finish}",
        *(f"--customize-hook={_copy_keyring(keyring)}" for keyring in keyrings),
        *((f"--include={','.join(include)}",) if include else ()),
        *(suite, "-", *archives),
    ]


def _script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o700)
    return path


def _archives(
    workspace: Path, suite: str, mirror: str | None
) -> tuple[tuple[str, ...], list[Path]]:
    """Name the archives for the command line, and the keyrings that they are signed with.

    No archive leaves the choice to mmdebstrap, which knows the public mirrors.
    """
    if mirror is not None:
        return (mirror,), []
    sources = sources_for(
        suite, read_sources(Path("/etc/apt")), own_suite=own_suite(Path("/etc/os-release"))
    )
    if not sources:
        return (), []
    file = workspace / "machine.sources"
    file.write_text("\n".join(source.stanza() for source in sources))
    keyrings = {source.keyring for source in sources if source.keyring is not None}
    return (os.fspath(file),), sorted(keyrings)


def _copy_keyring(keyring: Path) -> str:
    """Write the hook that gives the image a keyring which none of its packages has."""
    import shlex

    name = shlex.quote(os.fspath(keyring))
    return f'[ -e "$1"{name} ] || install -D -m 644 {name} "$1"{name}'


def _apt_settings() -> list[str]:
    """Read how apt reaches mirrors on this machine: proxies and authorities."""
    import subprocess

    command = ["apt-config", "dump", "--format", '%F "%v";%n', "Acquire::http", "Acquire::https"]
    try:
        dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line for line in dump.splitlines() if line.startswith("Acquire::") and '""' not in line]


def _dev_directory() -> bytes:
    """Write the tar header of an empty /dev, which mmdebstrap leaves out with its devices."""
    import tarfile

    entry = tarfile.TarInfo("./dev/")
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    return entry.tobuf()


_UNTOLD = ("removing tempdir", "finding correct signed-by", "main() received signal")
_NOISE = ("E: command failed", "E: setup failed", "E: mmdebstrap failed")


def _told(on_line: Callable[[str], None]) -> Callable[[str], None]:
    """Pass on the stages that mmdebstrap names itself; packages and hooks say far too much."""

    def tell(line: str) -> None:
        stage = line.removeprefix("I: ")
        if stage != line and line.endswith("...") and not stage.startswith(_UNTOLD):
            on_line(stage)

    return tell


def _complaints(lines: Sequence[str]) -> tuple[str, ...]:
    """Pick the lines that say what went wrong, each once; all of them if none does."""
    picked = [line for line in lines if line.startswith(("E: ", "W: ", "Err:"))]
    telling = [line for line in picked if not line.startswith(_NOISE)]
    return tuple(dict.fromkeys(telling or picked or lines))


_HINTS = (
    ("Unable to locate package", "check the names of the packages"),
    ("has no installation candidate", "check the names of the packages"),
    ("Temporary failure resolving", "check the network, and the machine's apt sources"),
    ("Could not connect", "check the network, and the machine's apt sources"),
    ("does not have a Release file", "no apt source of this machine has the suite"),
    ("NO_PUBKEY", "install the archive's keyring: `debian-archive-keyring` or `ubuntu-keyring`"),
    ("No space left on device", "free some space"),
)


def _check_outcome(producer: Producer, suite: str) -> None:
    if producer.status == 0:
        return
    text = "\n".join(producer.last_lines)
    hint = next((hint for pattern, hint in _HINTS if pattern in text), None)
    raise IntakeError(
        f"`mmdebstrap` could not make `{suite}`: exit code {producer.status}",
        hint=hint,
        detail=_complaints(producer.last_lines),
    )


def _config(suite: str, include: Sequence[str], diff_id: str) -> ImageConfig:
    from dissolver.image.config import HistoryEntry, RunConfig
    from dissolver.image.mutate import empty_image, with_layer, with_run_config
    from dissolver.image.platform import platform_of_machine

    made_by = f"dissolver image bootstrap {suite}"
    if include:
        made_by += f" --include {','.join(include)}"
    config = empty_image(platform_of_machine(os.uname().machine))
    config = with_run_config(config, RunConfig(env=config.config.env, cmd=("bash",)))
    entry = HistoryEntry(created=time.time_ns(), created_by=made_by, comment="mmdebstrap")
    return with_layer(config, diff_id, entry)
