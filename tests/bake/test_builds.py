"""Bake files that are built, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import signal

from scene import Cli, processes, wait_until

FILES = {
    "docker-bake.hcl": """
variable "TAG" { default = "latest" }
group "default" { targets = ["web", "worker"] }
target "_all" {
  args   = { GREETING = "hello" }
  labels = { "org.example.team" = "kitchen" }
  no-cache-filter = []
}
target "base" {
  context           = "base"
  dockerfile-inline = "FROM box\\nCOPY file /base/file\\nENV FROM_BASE=yes\\n"
}
target "web" {
  inherits   = ["_all"]
  dockerfile = "web.Dockerfile"
  contexts   = { base = "target:base", extra = "extra" }
  tags       = ["web:${TAG}", "web:${upper(TAG)}"]
  secret     = ["id=token,src=token"]
  target     = "final"
}
target "worker" {
  inherits = ["_all"]
  name     = "worker-${v}"
  matrix   = { v = ["1", "2"] }
  context  = "worker"
  args     = { V = v }
  tags     = ["worker:${v}"]
}
""",
    "web.Dockerfile": """
FROM base AS final
ARG GREETING
COPY --from=extra note /note
RUN --mount=type=secret,id=token \\
    echo "$GREETING $FROM_BASE $(cat /base/file) $(wc -c < /run/secrets/token)" > /out
FROM box AS other
RUN exit 1
""",
    "worker/Dockerfile": "FROM box\nARG V\nRUN echo $V > /v\n",
    "base/file": "content",
    "extra/note": "a note",
    "token": "very secret",
}


def test_a_bake_file_is_built(box: Cli) -> None:
    kitchen = box.directory("kitchen", FILES)
    metadata = kitchen / "metadata.json"
    done = box(
        *("bake", "--var", "TAG=v1", "--progress", "plain"),
        *("--metadata-file", metadata),
        cwd=kitchen,
    )
    assert "#0 building with dissolver:" in done.stderr
    assert "[web final 3/3] RUN --mount=type=secret,id=token" in done.stderr
    assert "[base 2/2] COPY file /base/file" in done.stderr
    assert "[web] exporting to image" in done.stderr
    assert "[base] exporting to image" not in done.stderr
    listed = box.out("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert sorted(listed) == ["box:latest", "web:V1", "web:v1", "worker:1", "worker:2"]
    assert (
        box.out("run", "--rm", "web:v1", "cat", "/out", "/note") == "hello yes content 11\na note"
    )
    assert box.out("run", "--rm", "worker:2", "cat", "/v") == "2"
    told = json.loads(metadata.read_text())
    assert told.keys() == {"base", "web", "worker-1", "worker-2"}
    identity = box.out("inspect", "--format", "{{.Id}}", "web:v1")
    assert told["web"]["containerimage.config.digest"] == identity
    label = '{{index .Config.Labels "org.example.team"}}'
    assert box.out("inspect", "--format", label, "worker:1") == "kitchen"
    again = box("bake", "--var", "TAG=v1", "--progress", "plain", cwd=kitchen)
    assert "DONE" in again.stderr
    assert again.stderr.count("CACHED") == 5
    assert box.out("inspect", "--format", "{{.Id}}", "web:v1") == identity


def test_a_compose_file_is_built(box: Cli) -> None:
    files = {
        "compose.yaml": "services:\n"
        "  one: { build: { context: ., args: { A: '${A:-x}' } }, image: one }\n"
        '  two: { build: { dockerfile_inline: "FROM base\\nRUN cat /a > /b", \n'
        "                  additional_contexts: { base: 'service:one' } }, image: two }\n"
        "  other: { image: nowhere }\n",
        "Dockerfile": "FROM box\nARG A\nRUN echo $A > /a\n",
    }
    kitchen = box.directory("kitchen", files)
    box("bake", "two", cwd=kitchen, environment={"A": "from outside"})
    assert box.out("run", "--rm", "two", "cat", "/b") == "from outside"
    assert "one" not in box.out("images", "--format", "{{.Repository}}").split()


def test_what_would_be_built_is_printed_and_listed(box: Cli) -> None:
    kitchen = box.directory("kitchen", FILES)
    done = box("bake", "--print", "--no-cache", "--set", "*.tags=x", "base", cwd=kitchen)
    assert (json.loads(done.stdout), done.stderr) == (
        {
            "group": {"default": {"targets": ["base"]}},
            "target": {
                "base": {
                    "context": "base",
                    "dockerfile": "Dockerfile",
                    "dockerfile-inline": "FROM box\nCOPY file /base/file\nENV FROM_BASE=yes\n",
                    "tags": ["x"],
                    "no-cache": True,
                }
            },
        },
        "",
    )
    assert box.out("bake", "--list", "targets", cwd=kitchen).split("\n") == [
        "TARGET     DESCRIPTION",
        "default    web, worker",
        "base",
        "web",
        "worker     worker-1, worker-2",
        "worker-1",
        "worker-2",
    ]
    variables = box("bake", "--list", "type=variables,format=json", cwd=kitchen)
    assert json.loads(variables.stdout) == [
        {"name": "TAG", "type": "", "value": "latest", "description": ""}
    ]
    steering = 'target "a" { description = "\\u001b[2J" }'
    shown = box.out("bake", "-f", "-", "--list", "targets", stdin=steering, cwd=kitchen)
    assert shown.split("\n")[1] == "a        \\x1b[2J"
    printed = box("bake", "--print", "-f", "-", "a", stdin='target "a" {}', cwd=kitchen)
    assert json.loads(printed.stdout)["target"].keys() == {"a"}


def test_questions_read_no_more_than_builds(cli: Cli) -> None:
    kitchen = cli.directory(
        "kitchen", {"docker-bake.hcl": 'target "default" { context = "../in" }'}
    )
    (kitchen.parent / "in").mkdir(exist_ok=True)
    (kitchen.parent / "in" / "Dockerfile").write_text("not for you\n")
    refused = cli("bake", "--check", check=False, cwd=kitchen)
    assert refused.returncode == 1
    assert refused.stderr.endswith("hint: if you trust the file: `--allow fs.read=../in`\n")
    assert "not for you" not in refused.stdout + refused.stderr
    allowed = cli("bake", "--check", "--allow", "fs.read=../in", check=False, cwd=kitchen)
    assert "unknown instruction `not`" in allowed.stderr


def test_caches_and_files_are_left_where_targets_say(box: Cli) -> None:
    text = """
        target "base" {
          dockerfile-inline = "FROM box\\nRUN echo content > /made\\n"
          cache-to          = ["type=local,dest=cache,mode=max"]
          cache-from        = ["type=local,src=cache"]
        }
        target "files" {
          contexts          = { base = "target:base" }
          dockerfile-inline = "FROM scratch\\nCOPY --from=base /made /made\\n"
          output            = ["out", { type = "tar", dest = "out.tar" }]
        }
    """
    kitchen = box.directory("kitchen", {"docker-bake.hcl": text})
    box("bake", "files", cwd=kitchen)
    assert (kitchen / "out" / "made").read_text() == "content\n"
    assert (kitchen / "out.tar").exists()
    box("builder", "prune", "-f", cwd=kitchen)
    again = box("bake", "files", "--progress", "plain", cwd=kitchen)
    assert "[base 2/2] RUN echo content > /made\n" in again.stderr
    assert "#0" not in again.stdout
    assert again.stderr.count("CACHED") == 1


def test_dockerfiles_are_checked_and_asked(box: Cli) -> None:
    kitchen = box.directory("kitchen", {**FILES, "web.Dockerfile": "FROM box as final\n"})
    done = box("bake", "--check", check=False, cwd=kitchen)
    assert done.returncode == 1
    assert [line for line in done.stdout.split("\n") if line.startswith("#")] == [
        "# web",
        "# worker-1",
        "# worker-2",
    ]
    assert done.stdout.count("FromAsCasing") == 1
    assert box("bake", "--check", "worker", cwd=kitchen).returncode == 0
    assert box.out("bake", "--call", "targets", "web", cwd=kitchen).split() == [
        *("TARGET", "DESCRIPTION"),
        *("final", "(default)"),
    ]


def test_control_c_ends_all_builds(box: Cli) -> None:
    text = """
        target "default" {
          name   = "t${v}"
          matrix = { v = ["1", "2", "3"] }
          dockerfile-inline = "FROM box\\nRUN echo begun ${v}; sleep 61${v}\\n"
        }
    """
    kitchen = box.directory("kitchen", {"docker-bake.hcl": text})
    running = box.spawn("bake", "--progress", "plain", cwd=kitchen)
    assert running.stdout is not None
    wait_until(lambda: len(processes("sleep 61")) >= 3, what="three steps")
    os.killpg(running.pid, signal.SIGINT)
    told, _ = running.communicate(timeout=30)
    assert running.returncode == 130, told
    assert told.count("CANCELED") >= 3
    wait_until(lambda: processes("sleep 61") == [], what="the end of all steps")


def test_mistakes_and_failures_end_with_an_explanation(box: Cli) -> None:
    kitchen = box.directory("kitchen", FILES)
    broken = box("bake", "--set", "web.target=other", check=False, cwd=kitchen)
    assert broken.returncode == 1
    assert "error: `web`: " in broken.stderr
    assert "web.Dockerfile:8" in broken.stderr
    unknown = box("bake", "wbe", check=False, cwd=kitchen)
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "error: there is no target `wbe`\nhint: did you mean `web`?\n",
    )
    nothing = box("bake", check=False, cwd=kitchen / "base")
    assert nothing.stderr.startswith("error: there is no bake file here\n")
    listed = box("bake", "--list", "targts", check=False, cwd=kitchen)
    assert (listed.returncode, listed.stderr.split("\n")[0]) == (
        2,
        "error: `--list targts` lists nothing that there is",
    )


def test_targets_share_caches_with_other_machines(box: Cli) -> None:
    shared = """target "default" {
  dockerfile-inline = "FROM box AS a\\nRUN date > /date\\nFROM scratch\\nCOPY --from=a /date /\\n"
  cache-from = ["type=local,src=shelf"]
  cache-to   = [{ type = "local", dest = "shelf", mode = "max" }]
}
"""
    kitchen = box.directory("kitchen", {"docker-bake.hcl": shared})
    box("bake", cwd=kitchen)
    box("builder", "prune", "-f")
    again = box("bake", "--progress", "plain", cwd=kitchen)
    assert again.stderr.count(" CACHED\n") == 2, again.stderr
    wrong = box("bake", "--set", "*.cache-to=type=tape", cwd=kitchen, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: unknown type `tape` in `--cache-to`")
