"""Builds and runs for the tests, as whoever starts it: a request a line, an answer a line.

The text of this file is handed to a Python of the account, which may not read the
checkout itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from dissolver import DissolverError, Engine, RunOptions, StepFailed

Ask = dict[str, Any]


def build(engine: Engine, ask: Ask) -> Ask:
    result = engine.build(
        ask["context"],
        tags=ask["tags"],
        target=ask.get("target"),
        build_args=ask.get("args"),
        contexts=ask.get("contexts"),
        secrets={name: text.encode() for name, text in ask.get("secrets", {}).items()},
        network="none",
    )
    image = result.image
    run = image.config.config
    return {
        "image": image.id,
        "steps": [[step.name, step.cached] for step in result.steps],
        "history": [[entry.empty_layer, entry.created_by] for entry in image.config.history],
        "config": {
            "user": run.user,
            "directory": run.working_dir,
            "entrypoint": run.entrypoint,
            "command": run.cmd,
            "variable": run.env,
            "port": run.exposed_ports,
            "volume": run.volumes,
            "label": [f"{name}={value}" for name, value in run.labels.items()],
            "shell": run.shell,
            "trigger": run.on_build,
            "stop signal": run.stop_signal,
            "health": run.healthcheck.test if run.healthcheck else (),
        },
    }


def run(engine: Engine, ask: Ask) -> Ask:
    options = RunOptions(remove=True, network="none")
    done = engine.run(ask["image"], ask["command"], options, pull="never")
    return {"code": done.exit_code, "said": (done.stdout + done.stderr).decode()}


def export(engine: Engine, ask: Ask) -> Ask:
    container = engine.create(ask["image"], ["none"])
    engine.export(container, ask["path"])
    engine.remove_container(container)
    return {}


WORKS: dict[str, Callable[[Engine, Ask], Ask]] = {"build": build, "run": run, "export": export}


def main() -> None:
    with Engine() as engine:
        for line in sys.stdin:
            ask = json.loads(line)
            try:
                answer = WORKS[ask.pop("do")](engine, ask)
            except DissolverError as error:
                detail = error.detail if isinstance(error, StepFailed) else ""
                answer = {"error": f"{error.message}\n{detail}\n{error.where}\n{error.hint}"}
            print(json.dumps(answer), flush=True)  # noqa: T201 - this is its answer


if __name__ == "__main__":
    main()
