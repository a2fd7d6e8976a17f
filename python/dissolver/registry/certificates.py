"""Whose certificates are believed, and which one is shown."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissolver.registry.settings import RegistrySettings


def tls_context(settings: RegistrySettings, name: str, *, verifies: bool) -> ssl.SSLContext:
    """Make the TLS context for the host ``name`` (with its port, if it has one).

    The machine's trust store counts (or the one ``SSL_CERT_FILE`` names), and beside it what
    the settings and Docker's ``certs.d`` have for the host.

    Raises:
        RegistryError: a file is no certificate or key.
    """
    known = settings.host(name)
    context = ssl.create_default_context() if verifies else _unverified()
    authorities = [known.ca] if known.ca is not None else []
    pairs = [(known.certificate, known.key)] if known.certificate is not None else []
    for directory in settings.certificates:
        authorities += _files(directory / name, ".crt")
        pairs += [(one, one.with_suffix(".key")) for one in _files(directory / name, ".cert")]
    for authority in authorities:
        _load(authority, lambda path: context.load_verify_locations(cafile=path))
    for certificate, key in pairs:
        _load(certificate, lambda path, key=key: context.load_cert_chain(path, key))
    return context


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _files(directory: Path, suffix: str) -> Iterator[Path]:
    try:
        yield from sorted(path for path in directory.iterdir() if path.suffix == suffix)
    except OSError:
        # Most registries have no directory, and an ordinary user may not see the machine's.
        return


def _load(path: Path, load: object) -> None:
    try:
        load(path)  # type: ignore[operator]
    except (ssl.SSLError, OSError) as error:
        reason = error.strerror or error.__class__.__name__
        raise RegistryError(f"cannot use the certificate `{path}`: {reason.lower()}") from None
