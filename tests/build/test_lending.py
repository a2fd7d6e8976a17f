"""What a RUN step is lent leaves no trace: certificates and proxies."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver.errors import BuildError

PEM = "-----BEGIN CERTIFICATE-----\nQSBsZW50IG9uZQ==\n-----END CERTIFICATE-----\n"
TEXT = """\
FROM box
RUN cat "$CURL_CA_BUNDLE" /etc/ssl/certs/ca-certificates.crt 2>/dev/null; echo done
RUN echo $CURL_CA_BUNDLE > /seen
"""


@pytest.fixture
def lent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(PEM)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    return bundle


def test_certificates_are_lent_to_the_step_and_to_nothing_else(site, lent: Path) -> None:
    told = site.build(TEXT, host_certificates=True)
    assert told.output("RUN cat") == (PEM + PEM + "done\n").encode()
    assert site.read(told.image, "/seen") == "/run/dissolver/certificates.pem\n"
    config = told.result.image.config
    assert not any("CA_BUNDLE" in variable for variable in config.config.env)
    assert not any("PEM" in (entry.created_by or "") for entry in config.history)
    assert not site.exists(told.image, "/run/dissolver")
    assert not site.exists(told.image, "/etc/ssl")


def test_certificates_are_no_part_of_a_key(site, lent: Path) -> None:
    first = site.build(TEXT, host_certificates=True)
    second = site.build(TEXT)
    assert second.result.is_cached
    assert second.image == first.image
    lent.write_text(PEM * 2)
    assert site.build(TEXT, host_certificates=True).result.is_cached


def test_a_variable_of_the_dockerfile_wins_over_a_lent_one(site, lent: Path) -> None:
    text = "FROM box\nENV CURL_CA_BUNDLE=/mine\nRUN echo $CURL_CA_BUNDLE $PIP_CERT > /seen\n"
    told = site.build(text, host_certificates=True)
    assert site.read(told.image, "/seen") == "/mine /run/dissolver/certificates.pem\n"


@pytest.mark.parametrize("image", ["", "RUN mkdir -p /etc/ssl/certs && echo mine > $FILE\n"])
@pytest.mark.parametrize("link", ["/etc/ssl", "/etc/ssl/certs", "/etc/ssl/certs/$NAME"])
def test_a_step_that_puts_a_link_there_does_not_reach_the_machines_own(
    site, lent: Path, tmp_path: Path, image: str, link: str
) -> None:
    # Where the link leads lies what the machine has there.
    own = tmp_path / "etc/ssl/certs/ca-certificates.crt"
    own.parent.mkdir(parents=True)
    own.write_text(PEM)
    name = "ENV NAME=ca-certificates.crt FILE=/etc/ssl/certs/ca-certificates.crt\n"
    script = f"mkdir -p /etc/ssl/certs; rm -rf {link} && ln -s {tmp_path}{link} {link}"
    site.build(f"FROM box\n{name}{image}RUN {script}\n", host_certificates=True)
    assert own.read_text() == PEM


def test_what_a_step_adds_to_a_bundle_stays(site, lent: Path) -> None:
    text = "FROM box\nRUN echo more >> /etc/ssl/certs/ca-certificates.crt\n"
    told = site.build(text, host_certificates=True)
    assert site.read(told.image, "/etc/ssl/certs/ca-certificates.crt") == "more\n"


def test_a_bundle_that_is_none_is_explained_with_the_step(site, lent: Path) -> None:
    lent.write_text("not a certificate")
    with pytest.raises(BuildError) as caught:
        site.build(TEXT, host_certificates=True)
    assert str(lent) in caught.value.message
    assert caught.value.where.line == 2
    assert caught.value.exit_code == 1


def test_a_proxy_reaches_the_step_and_nothing_else(site) -> None:
    text = "FROM box\nRUN echo $HTTP_PROXY $http_proxy > /seen\n"
    first = site.build(text, build_args={"HTTP_PROXY": "http://one:1"})
    assert site.read(first.image, "/seen") == "http://one:1 http://one:1\n"
    config = first.result.image.config
    assert "one:1" not in str(config)
    second = site.build(text, build_args={"HTTP_PROXY": "http://two:2"})
    assert second.result.is_cached
