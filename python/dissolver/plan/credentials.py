"""Credentials in URLs: told apart from the address, so that they are sent and never kept."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

HIDDEN = "xxxxx"
"""What is shown in the place of a user or a password: BuildKit's word."""

_HTTP = ("http", "https")
# What is before the last `@` of a URL's authority.
_USER_INFORMATION = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://([^\s/?#]*)@")


def redacted(text: str) -> str:
    """Hide the credentials of all URLs in ``text``.

    For HTTP that is whatever stands before the host, since a user's name alone can be a
    token; elsewhere the user is part of the address, and the password is hidden.
    """
    return _USER_INFORMATION.sub(_hidden, text) if "://" in text else text


def _hidden(found: re.Match[str]) -> str:
    scheme, information = found[1], found[2]
    user, colon, _ = information.partition(":")
    shown = HIDDEN if scheme.lower() in _HTTP else user
    return f"{scheme}://{shown}{colon + HIDDEN if colon else ''}@"


def split_credentials(url: str) -> tuple[str, str]:
    """Return a URL without credentials, and what an HTTP URL had before its host.

    Of other URLs the user is part of the address, and a password is of no use to anybody.
    """
    found = _USER_INFORMATION.match(url)
    if found is None:
        return url, ""
    scheme, information, rest = found[1], found[2], url[found.end() :]
    if scheme.lower() in _HTTP:
        return f"{scheme}://{rest}", information
    return f"{scheme}://{information.partition(':')[0]}@{rest}", ""


def basic_authorization(information: str) -> str:
    """Return the `Authorization` header that says who asks (RFC 7617); UTF-8, percent-decoded."""
    import base64

    user, _, password = information.partition(":")
    pair = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return f"Basic {base64.b64encode(pair).decode()}"
