"""Names for containers: which are valid, and one made up where none was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

_ADJECTIVES = """
agile amber balmy bold brave brisk bright calm candid cheerful clever cosy crisp curious daring
deft eager earnest easy fair fearless fond frank gallant gentle glad golden graceful handy happy
hardy hopeful humble jolly keen kind lively loyal lucid mellow merry mighty modest neat nimble
noble patient placid plucky polite proud quick quiet radiant ready serene sharp silent silver
sincere smart snug sober spry steady sturdy sunny swift tender thrifty tidy upbeat valiant vivid
warm wise witty zesty
"""

_SURNAMES = """
abel ampere anning arrhenius babbage banneker berzelius bessel bjerknes blackwell bohr boole
borlaug brahe cannon cauchy cavendish celsius chandra clausius cori coulomb curie dalton davy
dijkstra dirac elion ellis euler faraday fermat fourier franklin fresnel galois gauss germain
gibbs goeppert hahn hamilton henry hertz hopper hubble huygens joule kepler kirchhoff kovalevskaya
lagrange lamarr lavoisier leavitt liskov lovelace maxwell mayer meitner mendel mendeleev mitchell
napier nernst noether ohm pascal pasteur pauling planck poisson ramanujan ritchie rubin sagan
shannon sherrington somerville tesla thompson turing venn volta wallace watt weyl wu yalow
"""

ADJECTIVES = tuple(_ADJECTIVES.split())
SURNAMES = tuple(_SURNAMES.split())

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_REST = _FIRST | frozenset("_.-")


def check_name(name: str) -> str:
    """Return ``name`` if it can name a container.

    Raises:
        RunError: it does not match ``[a-zA-Z0-9][a-zA-Z0-9_.-]+``.
    """
    plain = name.removeprefix("/")
    if len(plain) < 2 or plain[0] not in _FIRST or not _REST.issuperset(plain):
        raise RunError(
            f"invalid container name `{name}`",
            hint="a name has two or more of `a-z A-Z 0-9 _ . -` and starts with a letter or digit",
        )
    return plain


def make_name(is_taken: Callable[[str], bool]) -> str:
    """Make up a free name of an adjective and a scientist's surname.

    After a few clashes a number is added, so a free name is always found.
    """
    import secrets

    for attempt in range(1 << 16):
        name = f"{secrets.choice(ADJECTIVES)}_{secrets.choice(SURNAMES)}"
        if attempt >= 4:
            name += str(secrets.randbelow(10 ** min(attempt - 3, 9)))
        if not is_taken(name):
            return name
    raise RunError("no free container name was found", hint="choose one with `--name`")


def make_id() -> str:
    """Make a new container ID: 64 random hex digits."""
    import secrets

    return secrets.token_hex(32)
