"""Credentials in URLs: hidden where they are shown, and apart where they are sent."""

from __future__ import annotations

import pytest

from dissolver.plan.credentials import basic_authorization, redacted, split_credentials
from dissolver.plan.explain import explain
from plan.planning import graph_of, lower, lower_all

SHOWN = [
    ("https://u:p@h/x", "https://xxxxx:xxxxx@h/x"),
    ("https://token@h/x", "https://xxxxx@h/x"),
    ("https://:p@h", "https://xxxxx:xxxxx@h"),
    ("https://u:@h", "https://xxxxx:xxxxx@h"),
    ("https://u:p@ss@h/x", "https://xxxxx:xxxxx@h/x"),
    ("https://u:p@h:8443/x@y", "https://xxxxx:xxxxx@h:8443/x@y"),
    ("HTTPS://u:p@h/x", "HTTPS://xxxxx:xxxxx@h/x"),
    ("https://h/x@y", "https://h/x@y"),
    ("https://h?a@b", "https://h?a@b"),
    ("https://h#a@b", "https://h#a@b"),
    ("ssh://git@h/x", "ssh://git@h/x"),
    ("ssh://git:p@h/x", "ssh://git:xxxxx@h/x"),
    ("git@h:x/y.git", "git@h:x/y.git"),
    ("ADD https://u:p@h/x http://t@i/y /z/", "ADD https://xxxxx:xxxxx@h/x http://xxxxx@i/y /z/"),
    ('ADD ["https://u:p@h/x", "/y"]', 'ADD ["https://xxxxx:xxxxx@h/x", "/y"]'),
    ("a user@host", "a user@host"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), SHOWN)
def test_what_is_shown_holds_no_credentials(text: str, expected: str) -> None:
    assert redacted(text) == expected


SPLIT = [
    ("https://u:p@h:1/x?y#z", ("https://h:1/x?y#z", "u:p")),
    ("http://token@h", ("http://h", "token")),
    ("http://a@b@h/", ("http://h/", "a@b")),
    ("http://@h/", ("http://h/", "")),
    ("http://h/a@b", ("http://h/a@b", "")),
    ("ssh://git@h/x", ("ssh://git@h/x", "")),
    ("ssh://git:p@h/x", ("ssh://git@h/x", "")),
    ("git@h:x", ("git@h:x", "")),
]


@pytest.mark.parametrize(("url", "parts"), SPLIT)
def test_a_url_is_cut(url: str, parts: tuple[str, str]) -> None:
    assert split_credentials(url) == parts


HEADERS = [
    ("u:p", "Basic dTpw"),
    ("token", "Basic dG9rZW46"),
    ("a%40b:c%3Ad", "Basic YUBiOmM6ZA=="),
    ("%C3%A9:p", "Basic w6k6cA=="),
    ("u:a:b", "Basic dTphOmI="),
]


@pytest.mark.parametrize(("information", "header"), HEADERS)
def test_credentials_are_sent_as(information: str, header: str) -> None:
    assert basic_authorization(information) == header


def test_an_add_tells_no_credentials() -> None:
    text = "ARG W=word\nADD --unpack https://u:$W@h/x https://$W@h/y.git#main /z/"
    step = lower(text).steps[-1]
    assert step.display == ("ADD --unpack https://xxxxx:xxxxx@h/x https://xxxxx@h/y.git#main /z/")
    assert step.created_by == (
        "ADD https://xxxxx:xxxxx@h/x https://xxxxx@h/y.git#main /z/ # buildkit"
    )
    graph = graph_of("FROM a\nADD https://u:word@h/x https://word@h/y.git /z/")
    assert "word" not in explain(graph, lower_all(graph))
