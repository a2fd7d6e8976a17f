"""Tables, JSON and templates of what there is, cell for cell."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from dissolver.cli import containers, images
from dissolver.cli.render.times import SECOND_NS
from dissolver.containers.life import ContainerSummary
from dissolver.engine.results import HistoryRow, Info, ListedVolume
from dissolver.errors import ContainerNotFound, ImageNotFound
from dissolver.image.config import Image, ImageConfig, RunConfig
from dissolver.image.reference import parse_reference
from dissolver.store.images import ListedImage

NOW = 1_700_000_000 * SECOND_NS
MINUTE = 60 * SECOND_NS


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: NOW)


def image(letter: str, *names: str, minutes: int | None, size: int, **labels: str) -> ListedImage:
    created = None if minutes is None else NOW - minutes * MINUTE
    config = ImageConfig(
        architecture="amd64", os="linux", created=created, config=RunConfig(labels=labels)
    )
    references = tuple(parse_reference(name) for name in names)
    return ListedImage(Image("sha256:" + letter * 64, config, size), references)


IMAGES = [
    image("a", minutes=3, size=1_100_000_000),
    image("b", "goals:2", "goals:latest", minutes=29, size=1_100_000_000, stage="test"),
    image("c", "node", minutes=180, size=1_090_000_000),
    image("d", "ghcr.io/someone/tool:v1", minutes=None, size=7_800_000),
]


# images -------------------------------------------------------------------------


def test_images_are_listed_as_people_know_it(line: Any) -> None:
    line.engine.answers["images"] = IMAGES
    assert (
        line("images").out
        == """\
REPOSITORY             TAG       IMAGE ID       CREATED          SIZE
<none>                 <none>    aaaaaaaaaaaa   3 minutes ago    1.1GB
goals                  2         bbbbbbbbbbbb   29 minutes ago   1.1GB
goals                  latest    bbbbbbbbbbbb   29 minutes ago   1.1GB
node                   latest    cccccccccccc   3 hours ago      1.09GB
ghcr.io/someone/tool   v1        dddddddddddd   N/A              7.8MB
"""
    )


def test_an_empty_store_lists_a_header(line: Any) -> None:
    line.engine.answers["images"] = []
    assert line("images", "-a").out == ("REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n")


def test_ids_alone_are_told_once_each(line: Any) -> None:
    line.engine.answers["images"] = IMAGES
    assert line("images", "-q").out == "".join(letter * 12 + "\n" for letter in "abcd")
    full = line("images", "-aq", "--no-trunc").out
    assert full.splitlines()[0] == "sha256:" + "a" * 64


def test_digests_have_a_column_when_asked_for(line: Any) -> None:
    digest = "sha256:" + "e" * 64
    line.engine.answers["images"] = [image("a", f"node@{digest}", minutes=3, size=5)]
    assert line("images", "--digests").out.splitlines() == [
        f"REPOSITORY   TAG       {'DIGEST':<74}IMAGE ID       CREATED         SIZE",
        f"node         <none>    {digest}   aaaaaaaaaaaa   3 minutes ago   5B",
    ]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["goals"], "bb"),
        (["goals:2"], "b"),
        (["docker.io/library/goals"], "bb"),
        (["go*"], "bb"),
        (["-f", "dangling=true"], "a"),
        (["-f", "dangling=false"], "bbcd"),
        (["-f", "reference=*:latest"], "bc"),
        (["-f", "label=stage"], "bb"),
        (["-f", "label=stage=prod"], ""),
        (["-f", "before=b"], "cd"),
        (["-f", "since=c"], "abb"),
        (["-f", "since=c", "-f", "before=a"], "bb"),
        (["nothing"], ""),
    ],
)
def test_images_can_be_chosen(line: Any, words: list[str], ids: str) -> None:
    line.engine.answers["images"] = IMAGES
    line.engine.answers["image"] = {listed.image.id[7]: listed.image for listed in IMAGES}.get
    rows = line("images", *words, "--format", "{{.ID}}").out.split()
    assert rows == [letter * 12 for letter in ids]


def test_a_tree_has_the_platform_below_each_image(line: Any) -> None:
    line.engine.answers["images"] = IMAGES[:2]
    assert (
        line("images", "--tree").out
        == """\
REPOSITORY       TAG       IMAGE ID       CREATED          SIZE
<none>           <none>    aaaaaaaaaaaa   3 minutes ago    1.1GB
└─ linux/amd64             aaaaaaaaaaaa                    1.1GB
goals            2         bbbbbbbbbbbb   29 minutes ago   1.1GB
goals            latest    bbbbbbbbbbbb   29 minutes ago   1.1GB
└─ linux/amd64             bbbbbbbbbbbb                    1.1GB
"""
    )
    refused = line("images", "--tree", "-q")
    assert (refused.code, refused.err.splitlines()[0]) == (2, "error: `--tree` is a table")


def test_images_through_templates_and_as_json(line: Any) -> None:
    line.engine.answers["images"] = IMAGES[1:2]
    assert line("images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}").out == (
        "goals:2 1.1GB\ngoals:latest 1.1GB\n"
    )
    assert line("images", "--format", "table {{.Tag}}\\t{{.ID}}").out == (
        "TAG       IMAGE ID\n2         bbbbbbbbbbbb\nlatest    bbbbbbbbbbbb\n"
    )
    first = json.loads(line("images", "--format", "json").out.splitlines()[0])
    assert first["Repository"] == "goals"
    assert first["CreatedSince"] == "29 minutes ago"
    assert set(first) == set(images.TITLES)


def test_a_slip_into_the_other_form_gets_a_hint(line: Any) -> None:
    line.engine.answers["images"] = IMAGES
    assert line("images", "ls").err == "hint: did you mean `dissolver image ls`?\n"


# ps -------------------------------------------------------------------------------


def container(letter: str, name: str, **changes: Any) -> ContainerSummary:
    values: dict[str, Any] = {
        "id": letter * 64,
        "name": name,
        "image": "node",
        "image_id": "sha256:" + "c" * 64,
        "command": "docker-entrypoint.sh node server.js",
        "created_ns": NOW - 5 * MINUTE,
        "status": "Up 5 minutes",
        "ports": "",
        "state": "running",
        "exit_code": None,
    }
    return ContainerSummary(**{**values, **changes})


CONTAINERS = [
    container("1", "web", ports="0.0.0.0:3000->80/tcp, [::]:3000->80/tcp"),
    container(
        "2",
        "eager_turing",
        image="goals:2",
        image_id="sha256:" + "b" * 64,
        command="sh",
        status="Exited (3) 2 minutes ago",
        state="exited",
        exit_code=3,
        labels={"stage": "test", "team": "web"},
    ),
]


def test_containers_are_listed_as_people_know_it(line: Any) -> None:
    line.engine.answers["containers"] = CONTAINERS
    assert line("ps", "-a").out == (
        "CONTAINER ID   IMAGE     COMMAND                CREATED         STATUS"
        "                     PORTS                                     NAMES\n"
        '111111111111   node      "docker-entrypoint.…   5 minutes ago   Up 5 minutes'
        "               0.0.0.0:3000->80/tcp, [::]:3000->80/tcp   web\n"
        '222222222222   goals:2   "sh"                   5 minutes ago   Exited (3) 2 minutes ago'
        "                                             eager_turing\n"
    )
    assert line.engine.calls[-1] == ("containers", (), {"all_": True})


def test_only_running_containers_are_asked_for_by_default(line: Any) -> None:
    line.engine.answers["containers"] = []
    assert line("ps").out == (
        "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    )
    assert line.engine.calls == [("containers", (), {"all_": False})]


@pytest.mark.parametrize(
    "words", [["-n", "1"], ["-l"], ["-f", "exited=3"], ["-f", "status=exited"]]
)
def test_what_may_not_run_is_looked_for_among_all(line: Any, words: list[str]) -> None:
    line.engine.answers["containers"] = CONTAINERS
    assert len(line("ps", "-q", *words).out.splitlines()) == 1
    assert line.engine.calls == [("containers", (), {"all_": True})]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-f", "name=we"], ["web"]),
        (["-f", "name=we", "-f", "name=turing"], ["web", "eager_turing"]),
        (["-f", "name=^web$"], ["web"]),
        (["-f", "name=^/web$"], ["web"]),
        (["-f", "name=^eb"], []),
        (["-f", "name=we", "-f", "status=exited"], []),
        (["-f", "id=2222"], ["eager_turing"]),
        (["-f", "ancestor=node"], ["web"]),
        (["-f", "ancestor=goals"], ["eager_turing"]),
        (["-f", "ancestor=" + "b" * 12], ["eager_turing"]),
        (["-f", "status=running"], ["web"]),
        (["-f", "label=stage"], ["eager_turing"]),
        (["-f", "label=stage=test"], ["eager_turing"]),
        (["-f", "label=stage=live"], []),
        (["-f", "exited=0"], []),
    ],
)
def test_containers_can_be_chosen(line: Any, words: list[str], names: list[str]) -> None:
    line.engine.answers["containers"] = CONTAINERS
    assert line("ps", "-a", *words, "--format", "{{.Names}}").out.split() == names


def test_a_command_stays_on_its_line(line: Any) -> None:
    line.engine.answers["containers"] = [container("1", "web", command='sh -c echo "a\\"\n\x1b[2J')]
    shown = line("ps", "--no-trunc", "--format", "{{.Command}}").out
    assert shown == '"sh -c echo \\"a\\\\\\"\\n\\x1b[2J"\n'


def test_nothing_is_shortened_when_told_so(line: Any) -> None:
    line.engine.answers["containers"] = CONTAINERS[:1]
    assert line("ps", "--no-trunc", "--format", "{{.ID}} {{.Command}}").out == (
        "1" * 64 + ' "docker-entrypoint.sh node server.js"\n'
    )
    assert line("ps", "-q").out == "1" * 12 + "\n"
    assert line("ps", "-q", "--no-trunc").out == "1" * 64 + "\n"


def test_containers_as_json(line: Any) -> None:
    line.engine.answers["containers"] = CONTAINERS[1:]
    row = json.loads(line("ps", "-a", "--format", "json").out)
    assert (row["State"], row["Names"], row["RunningFor"]) == (
        "exited",
        "eager_turing",
        "5 minutes ago",
    )
    assert set(row) == set(containers.TITLES)


# rmi ------------------------------------------------------------------------------


def test_removing_by_force_what_is_not_there_is_no_failure(line: Any) -> None:
    line.engine.answers["remove_image"] = ImageNotFound("there is no local image `old:latest`")
    assert line("rmi", "old").code == 1
    done = line("rmi", "-f", "old")
    assert (done.code, done.out) == (0, "")
    assert done.err == "warning: there is no local image `old:latest`\n"


# history ---------------------------------------------------------------------------


HISTORY = [
    HistoryRow("sha256:" + "a" * 64, NOW - MINUTE, 'CMD ["node" "server.js"]', 0, "buildkit"),
    HistoryRow(None, NOW - MINUTE, "RUN /bin/sh -c npm install --no-audit --no-fund # b", 1140, ""),
    HistoryRow(None, None, "import", 7_800_000, "Imported from -"),
]


def test_history_is_listed_as_people_know_it(line: Any) -> None:
    line.engine.answers["history"] = HISTORY
    assert line("history", "app").out == (
        "IMAGE          CREATED              CREATED BY                                      SIZE"
        "      COMMENT\n"
        'aaaaaaaaaaaa   About a minute ago   CMD ["node" "server.js"]                        0B'
        "        buildkit\n"
        "<missing>      About a minute ago   RUN /bin/sh -c npm install --no-audit --no-f…   1.14kB"
        "    \n"
        "<missing>      N/A                  import                                          7.8MB"
        "     Imported from -\n"
    )


def test_history_can_be_exact(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    line.engine.answers["history"] = HISTORY[1:2]
    assert line("history", "--human=false", "--no-trunc", "app").out == (
        "IMAGE       CREATED AT             CREATED BY"
        "                                            SIZE      COMMENT\n"
        "<missing>   2023-11-14T22:12:20Z   RUN /bin/sh -c npm install --no-audit --no-fund # b"
        "   1140      \n"
    )
    assert line("history", "-q", "app").out == "<missing>\n"


# inspect ----------------------------------------------------------------------------


def looked_up(known: dict[str, dict[str, Any]], error: type[Exception]) -> Any:
    def look(name: str) -> dict[str, Any]:
        if name in known:
            return known[name]
        raise error(f"nothing answers to `{name}`")

    return look


@pytest.fixture
def inspected(line: Any) -> Any:
    line.engine.answers |= {
        "inspect_container": looked_up(
            {"web": {"Id": "1", "State": {"Status": "running"}}}, ContainerNotFound
        ),
        "inspect_image": looked_up({"node": {"Id": "sha256:c", "Size": 5}}, ImageNotFound),
    }
    return line


def test_inspect_shows_json_as_people_know_it(inspected: Any) -> None:
    done = inspected("image", "inspect", "node")
    assert done.out == '[\n    {\n        "Id": "sha256:c",\n        "Size": 5\n    }\n]\n'


def test_inspect_finds_containers_and_images(inspected: Any) -> None:
    done = inspected("inspect", "web", "node", "-f", "{{.Id}}")
    assert (done.code, done.out) == (0, "1\nsha256:c\n")
    assert inspected("inspect", "-f", "{{.State.Status}}", "web").out == "running\n"


def test_inspect_shows_what_it_found_and_tells_what_it_did_not(inspected: Any) -> None:
    done = inspected("inspect", "nobody", "web", "--format", "json")
    assert done.code == 1
    assert json.loads(done.out) == [{"Id": "1", "State": {"Status": "running"}}]
    assert done.err == (
        "error: no container or image answers to `nobody`\n"
        "hint: see `dissolver ps -a` and `dissolver images`\n"
    )


def test_inspect_can_look_for_one_kind(inspected: Any) -> None:
    assert inspected("inspect", "--type", "image", "web").code == 1
    assert inspected("container", "inspect", "web").code == 0
    assert inspected("inspect", "node", "-f", "{{.Nope}}").err.startswith(
        "error: the format asks for `.Nope`, which is not there\nhint: the fields are `.Id`, `.S"
    )


# The machinery --------------------------------------------------------------------------


def test_info_tells_what_works_here(line: Any) -> None:
    line.engine.answers["info"] = Info(
        "0.1.0", "/root", "/run", False, "6.18", "amd64", 4, 2, 1, {"overlay": "", "erofs": "old"}
    )
    assert line("info").out == (
        "Version: 0.1.0\nRoot: /root\nRun: /run\nRootless: no\nKernel: 6.18\n"
        "Architecture: amd64\nImages: 4\nContainers: 2 (1 running)\n"
        "Features:\n  erofs: no, old\n  overlay: yes\n"
    )
    assert line("info", "-f", "{{.Images}} {{.Rootless}}").out == "4 false\n"
    assert json.loads(line("system", "info", "--format", "json").out)["Kernel"] == "6.18"


def test_the_version_is_told(line: Any) -> None:
    from dissolver import _core

    assert line("--version").out == f"dissolver {_core.version}\n"
    assert line("version", "-f", "{{.Version}}").out == f"{_core.version}\n"
    assert line("version").out.startswith(f"dissolver\n Version:  {_core.version}\n")


def test_a_layer_goes_to_standard_output(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = SimpleNamespace(isatty=lambda: False, fileno=lambda: 1, flush=lambda: None)
    monkeypatch.setattr("sys.stdout", stdout)
    assert line("layer", "cat", "sha256:84d1").code == 0
    assert line.asked("layer_cat")[0] == ("sha256:84d1", 1)
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True, flush=lambda: None))
    assert line("layer", "cat", "x").err.startswith("error: a tar does not belong on a terminal\n")


# volume ls -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["cache", "data", "database"]),
        (["-f", "dangling=true"], ["cache"]),
        (["-f", "dangling=false"], ["data", "database"]),
        (["--filter", "name=data"], ["data", "database"]),
        (["-f", "name=base", "-f", "name=cache", "-f", "dangling=0"], ["database"]),
    ],
)
def test_volumes_can_be_chosen(line: Any, words: list[str], names: list[str]) -> None:
    line.engine.answers["volumes"] = [
        ListedVolume("cache", "/v/cache/_data"),
        ListedVolume("data", "/v/data/_data", ("web",)),
        ListedVolume("database", "/v/database/_data", ("db", "web")),
    ]
    assert line("volume", "ls", "-q", *words).out.split() == names


def test_an_unknown_filter_of_volumes_is_refused(line: Any) -> None:
    assert line("volume", "ls", "-f", "label=a").err == (
        "error: unknown filter `label=a`\nhint: the filters are `dangling=…`, `name=…`\n"
    )
