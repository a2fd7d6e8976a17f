"""A workshop for each account that all shapes are built in, with stand-ins for their bases."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from scene import Account
from shapes.shape import HERE, Workshop, settle_modes

OpenWorkshop = Callable[[Account], Workshop]


@contextmanager
def _workshop(account: Account, busybox_tar: Path) -> Iterator[Workshop]:
    root = account.home / f"shapes-{uuid.uuid4().hex[:8]}"
    root.mkdir()
    shutil.copytree(HERE / "bases", root / "bases")
    settle_modes(root / "bases")
    account.own(root)
    environment = {**account.environment, "DISSOLVER_ROOT": str(root / "store")}
    imported = account.command("import", "-c", 'CMD ["sh"]', str(busybox_tar), "box")
    subprocess.run(imported, env=environment, check=True, capture_output=True, cwd=root)
    program = (HERE / "workshop.py").read_text()
    process = subprocess.Popen(
        [*account.become, account.python, "-W", "error", "-c", program],
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with process:
            yield Workshop(account, process, root / "bases", {})
    finally:
        run = account.run_directory(root / "store")
        subprocess.run(["rm", "-rf", "--one-file-system", root, run], check=False)


@pytest.fixture(scope="module")
def open_workshop(busybox_tar: Path) -> Iterator[OpenWorkshop]:
    """Give each account its workshop when it is first asked for."""
    with ExitStack() as stack:
        made: dict[tuple[str, str], Workshop] = {}

        def open_one(account: Account) -> Workshop:
            key = (account.name, account.form)
            if key not in made:
                made[key] = stack.enter_context(_workshop(account, busybox_tar))
            return made[key]

        yield open_one


@pytest.fixture
def workshop(who: Account, open_workshop: OpenWorkshop) -> Workshop:
    return open_workshop(who)
