"""Lending the machine's trust store to RUN steps, without it getting into a layer.

Networks that inspect TLS have an authority of their own. The machine trusts it
and no base image does. A step that is lent the machine's bundle sees it in two
places:

- under ``/run/dissolver``, bound read-only and named in the variables that
  programs read (``CURL_CA_BUNDLE``, ``NODE_EXTRA_CA_CERTS``…);
- in place of the system's own bundle, for programs that read nothing else. That
  one is not a mount but a file in a layer of its own between the image and what
  the step writes, because ``update-ca-certificates`` replaces the bundle by
  ``rename``, which a mount point refuses.

What a step writes on top of a lent file is disentangled afterwards.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import RunError
from dissolver.sandbox import rootfs
from dissolver.sandbox.spec import BindMount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dissolver._core.layer import View

SOURCES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch, Gentoo
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/var/lib/ca-certificates/ca-bundle.pem",  # SUSE
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the bundle, in the order the machine's own is looked for."""

DEFAULT_TARGET = SOURCES[0]
"""Lent even to an image that has no bundle: what apt, Go and OpenSSL look at there."""

PLACE = "/run/dissolver/certificates.pem"

VARIABLES = (
    "SSL_CERT_FILE",  # OpenSSL, Go, Ruby
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",  # Python requests
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
)
"""Variables that name a bundle, and who reads them where that is not plain."""

MARK = b"-----BEGIN CERTIFICATE-----"
BUNDLE_BYTES = 16 << 20
_GROWN_BYTES = 64 << 20  # What a step may add is kept in memory for a moment.
"""A larger file is no bundle: the usual one has 200 KiB."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A trust store to lend: pass it with the other mounts of a step."""

    pem: bytes


@dataclass(frozen=True, slots=True)
class HostCertificates:
    """What a step needs to trust what the machine trusts.

    ``env`` belongs behind the step's own variables, which it must not replace; neither of
    the two may enter a key, a layer or an image.
    """

    env: tuple[tuple[str, str], ...]
    mounts: tuple[Bundle, ...]


def host_certificates(environment: Mapping[str, str] | None = None) -> HostCertificates:
    """Find the machine's trust store.

    ``environment`` is the caller's: its ``SSL_CERT_FILE`` comes before the usual places.

    Raises:
        RunError: no bundle was found, or the one that was named holds no certificate.
    """
    named = (environment or {}).get("SSL_CERT_FILE")
    if named:
        return _lend(_read(named))
    for path in SOURCES:
        if os.access(path, os.R_OK):
            return _lend(_read(path))
    raise RunError(
        "this machine has no bundle of certificates to lend",
        hint="install `ca-certificates`, or name a bundle in SSL_CERT_FILE",
    )


def _lend(pem: bytes) -> HostCertificates:
    return HostCertificates(tuple((name, PLACE) for name in VARIABLES), (Bundle(pem),))


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            pem = file.read(BUNDLE_BYTES + 1)
    except OSError as problem:
        raise RunError(f"cannot read the certificates in `{path}`: {problem.strerror}") from None
    if MARK not in pem or len(pem) > BUNDLE_BYTES:
        raise RunError(
            f"`{path}` holds no bundle of certificates",
            hint="it has to be a text file with `BEGIN CERTIFICATE` lines",
        )
    return pem


@dataclass(frozen=True, slots=True)
class Loan:
    """A bundle as one step has it: a directory to stack, mounts, and where it can be seen."""

    lower: Path
    mounts: tuple[BindMount, ...]
    targets: tuple[str, ...]
    pem: bytes

    def settle(self, upper: Path, view: View) -> None:
        """Take the lent bytes out of what the step left in ``upper``.

        A bundle that was only touched goes; of one that was added to, the image's own
        content with the addition stays; one that was made anew is the step's result.

        Raises:
            RunError: one was made too large to be looked at.
        """
        for target in self.targets:
            with _opened(upper, target) as found:
                if found is not None:
                    self._settle(*found, _content(view, target))

    def _settle(self, directory: int, name: str, file: int, own: bytes | None) -> None:
        if os.pread(file, len(self.pem), 0) != self.pem:
            return
        content = os.pread(file, _GROWN_BYTES + 1, 0)
        if len(content) > _GROWN_BYTES:
            raise RunError("the step made a bundle of certificates larger than 64 MiB")
        addition = content[len(self.pem) :]
        if addition or own is not None:
            os.ftruncate(file, 0)
            os.pwrite(file, (own or b"") + addition, 0)
        else:
            os.unlink(name, dir_fd=directory)


@contextmanager
def _opened(upper: Path, target: str) -> Iterator[tuple[int, str, int] | None]:
    """Open an ordinary file of what a step left: its directory, its name, and the file.

    A step may have put a link to the machine's own bundle in place of any directory on the
    way, so none is followed.
    """
    *above, name = target.strip("/").split("/")
    enter = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    write = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with ExitStack() as stack:
        try:
            place = os.open(upper, enter)
            stack.callback(os.close, place)
            for part in above:
                place = os.open(part, enter, dir_fd=place)
                stack.callback(os.close, place)
            file = os.open(name, write, dir_fd=place)
            stack.callback(os.close, file)
        except OSError:
            yield None
            return
        yield (place, name, file) if stat.S_ISREG(os.fstat(file).st_mode) else None


def lend(bundle: Bundle, view: View, directory: Path) -> Loan:
    """Put ``bundle`` where a step on top of ``view`` looks for certificates.

    Everything is made below the existing, private ``directory``. The lent directories
    look like those of the image, so that a copy of one into the step's layer is true.
    """
    place = directory / "certificates.pem"
    _write(place, bundle.pem)
    lower = directory / "certificates"
    lower.mkdir(mode=0o755)
    targets = bundle_targets(view)
    for target in targets:
        path = lower / target.lstrip("/")
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _write(path, bundle.pem)
    _imitate(lower, view)
    mount = BindMount(str(place), PLACE, read_only=True, create="file")
    return Loan(lower, (mount,), targets, bundle.pem)


def bundle_targets(view: View) -> tuple[str, ...]:
    """List the files of the image that a bundle takes the place of, links followed."""
    found: set[str] = set()
    for source in SOURCES:
        target = rootfs.resolve(view, source)
        entry = rootfs.stat(view, target)
        if (entry is None and source == DEFAULT_TARGET) or (entry and entry.kind == "file"):
            found.add(target)
    return tuple(sorted(found))


def _imitate(lower: Path, view: View) -> None:
    """Give the directories below ``lower`` the modes, owners and times the image has."""
    for base, _, _ in os.walk(lower, topdown=False):
        inside = "/" + os.path.relpath(base, lower).removeprefix(".")
        entry = rootfs.stat(view, inside)
        if entry is not None and entry.kind == "directory":
            os.chown(base, entry.uid, entry.gid)
            Path(base).chmod(entry.mode)
            os.utime(base, ns=(entry.mtime_ns, entry.mtime_ns))


def _content(view: View, path: str) -> bytes | None:
    entry = rootfs.stat(view, path)
    if entry is None or entry.kind != "file":
        return None
    return view.read(path, limit=BUNDLE_BYTES)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o644)


FAILURES = (
    b"certificate verify failed",
    b"certificate has expired",
    b"certificate is not trusted",
    b"certificate signed by unknown authority",
    b"CERTIFICATE_VERIFY_FAILED",
    b"self-signed certificate in certificate chain",
    b"self signed certificate in certificate chain",
    b"SELF_SIGNED_CERT_IN_CHAIN",
    b"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    b"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    b"DEPTH_ZERO_SELF_SIGNED_CERT",
    b"unable to get local issuer certificate",
    b"unable to verify the first certificate",
    b"SSL certificate problem",
    b"server certificate verification failed",
    b"invalid peer certificate",
    b"PKIX path building failed",
)
"""How curl, wget, OpenSSL, GnuTLS, Node.js, Python, Go, rustls and Java say it."""


def looks_like_certificate_failure(output: bytes) -> bool:
    """Tell whether a step's output says that a certificate was not trusted."""
    return any(text in output for text in FAILURES)


def split(mounts: Sequence[object]) -> Bundle | None:
    """Find the bundle among the mounts of a step."""
    for mount in mounts:
        if isinstance(mount, Bundle):
            return mount
    return None
