"""Answers about Dockerfiles cross to the program of an ordinary user unchanged."""

from __future__ import annotations

import json

from dissolver.build.inquiry import CheckReport, FixReport
from dissolver.dockerfile.source import decode_source
from dissolver.engine.wire import Decoder, Encoder
from dissolver.errors import DockerfileErrors
from plan.checking import findings_of
from plan.planning import failure_of, graph_of

TEXT = decode_source(b"# caf\xe9\nFROM a as b\nENV A=$B\nCMD x\n")


def crossed(value: object) -> object:
    return Decoder().decode(json.loads(json.dumps(Encoder().encode(value))))


def test_a_report_crosses() -> None:
    findings = findings_of(TEXT)
    report = CheckReport("Dockerfile", TEXT, "/x/Dockerfile", findings)
    assert len(findings) == 3
    assert crossed(report) == report
    fixed = FixReport(TEXT, TEXT, "", findings[:1], report)
    assert crossed(fixed) == fixed


def test_mistakes_told_together_cross() -> None:
    error = failure_of(lambda: graph_of("FROM $A\nFROM $B"))
    assert isinstance(error, DockerfileErrors)
    came = crossed(error)
    assert isinstance(came, DockerfileErrors)
    assert came.message == error.message
    assert [each.where for each in came.errors] == [each.where for each in error.errors]
