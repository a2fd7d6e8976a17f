"""``--format`` takes the part of Go's templates that people use."""

from __future__ import annotations

import pytest

from dissolver.cli.render.templates import BadTemplate, compile_template, fields_of

VALUE = {
    "ID": "84d1016c860a",
    "Names": "web",
    "Count": 3,
    "Empty": "",
    "On": True,
    "Nothing": None,
    "List": ["a", "b"],
    "State": {"Status": "running", "Pid": 42},
    "Ports": {"80/tcp": [{"HostPort": "3000"}], "81/tcp": []},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.ID}}", "84d1016c860a"),
        ("{{ .ID }}: {{ .Names }}", "84d1016c860a: web"),
        ("{{.ID}}\\t{{.Names}}\\n", "84d1016c860a\tweb\n"),
        ("{{.State.Status}}", "running"),
        ("{{json .State}}", '{"Status":"running","Pid":42}'),
        ("{{.State | json}}", '{"Status":"running","Pid":42}'),
        ("{{json .Names}}", '"web"'),
        ("{{upper .Names}} {{.Names | title}}", "WEB Web"),
        ('{{join .List ", "}}', "a, b"),
        ("{{len .List}}", "2"),
        ("{{index .List 1}}", "b"),
        ('<{{index .Ports "82/tcp"}}{{index .Nothing "x"}}>', "<>"),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "3000"),
        ("{{range .List}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range $k, $v := .Ports}}{{$k}}={{len $v}} {{end}}", "80/tcp=1 81/tcp=0 "),
        ("{{range .Nothing}}x{{else}}none{{end}}", "none"),
        ("{{if .On}}yes{{else}}no{{end}}", "yes"),
        ("{{if .Empty}}yes{{else if eq .Count 3}}three{{else}}no{{end}}", "three"),
        ("{{if and .On (not .Empty)}}both{{end}}", "both"),
        ("{{with .State}}{{.Pid}}/{{$.Names}}{{end}}", "42/web"),
        ("{{with $x := .Count}}{{$x}}{{end}}", "3"),
        ('{{printf "%-5s|%3d|%q" .Names .Count .Names}}', 'web  |  3|"web"'),
        ("{{println .Names .Count}}", "web 3\n"),
        (
            "{{.List}} {{.State}} {{.On}} {{.Nothing}}",
            "[a b] map[Pid:42 Status:running] true <nil>",
        ),
        ("a {{- .Count -}} b", "a3b"),
        ("{{/* a remark */}}x", "x"),
        ('{{split "a,b" ","}}', "[a b]"),
        ("{{truncate .ID 4}}{{pad .Names 1 1}}|", "84d1 web |"),
        ("{{or .Empty .Names}}", "web"),
        ("{{$.State.Pid}}", "42"),
    ],
)
def test_templates_render(template: str, text: str) -> None:
    assert compile_template(template)(VALUE) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.ID", "an action of the format has no `}}`"),
        ("{{if .ID}}x", "`{{if .ID}}` in the format has no `{{end}}`"),
        ("{{end}}", "unexpected `end` in the format"),
        ("{{nope .ID}}", "unknown function `nope` in the format"),
        ("{{.ID .ID}}", "unexpected `.ID` in `{{.ID .ID}}` of the format"),
        ("{{}}", "unexpected `}}` in `{{}}` of the format"),
        ("{{.ID | .ID}}", "`.ID` after `|` in the format is not a function"),
        ("{{(.ID}}", "`(` without `)` in `{{(.ID}}` of the format"),
        ("{{.ID ~}}", "cannot read `{{.ID ~}}` in the format"),
    ],
)
def test_a_bad_template_is_told_before_anything_is_rendered(template: str, message: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        compile_template(template)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Id}}", "the format asks for `.Id`, which is not there"),
        ("{{.ID.More}}", "the format asks for `.More` of `84d1016c860a`, which has no fields"),
        ("{{$x}}", "undefined variable `$x` in the format"),
        ("{{range .Count}}{{end}}", "cannot range over `3`"),
        ("{{index .Count 1}}", "`index` in the format: cannot index `3`"),
        ('{{printf "%d" .Names}}', "`printf` in the format: `web` is not a whole number"),
        ("{{len .Count}}", "`len` in the format: `3` has no length"),
    ],
)
def test_what_a_value_does_not_have_is_told(template: str, message: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        compile_template(template)(VALUE)
    assert caught.value.message == message


def test_a_missing_field_names_those_there_are() -> None:
    with pytest.raises(BadTemplate) as caught:
        compile_template("{{.Nmae}}")({"ID": "1", "Name": "2"})
    assert caught.value.hint == "the fields are `.ID`, `.Name`"


def test_the_fields_of_a_template_are_known_for_headers() -> None:
    assert fields_of("{{.ID}}\t{{json .Size}} {{upper .Names}}") == ["ID", "Size", "Names"]
