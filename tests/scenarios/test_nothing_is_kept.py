"""What was given to a build and to nobody else is nowhere in the store, however the build ended."""

from __future__ import annotations

import base64
import gzip
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from leaks import holders
from scene import Cli, kill_group, wait_until
from servers import Web, git_http_server

SECRET = "TheWordThatNobodyMayFind/42+é"
PAIR = f"robot:{SECRET}"
IN_URL = "robot:TheWordThatNobodyMayFind%2F42%2B%C3%A9"


def traces(box: Cli) -> list[str]:
    """List where the secret is: in the store, and in what the account has beside it."""
    places = (box.root, box.run_directory, box.account.home / "run", box.account.home / ".cache")
    assert box.run_directory.is_dir()
    return [place for root in places for place in holders(root, SECRET, PAIR)]


def build(box: Cli, dockerfile: str, *words: str | Path, status: int = 0, **files: bytes) -> str:
    """Build, and answer what was shown; the image, if there is one, is inspected as well."""
    context = box.directory("context", {"Dockerfile": dockerfile, **files})
    environment = {"WORD": SECRET}
    line = ("build", "--progress=plain", "-t", "made", *words)
    done = box(*line, context, check=False, environment=environment)
    assert done.returncode == status, done.stderr
    shutil.rmtree(context)
    if status == 0:
        done.stderr += box.out("history", "--no-trunc", "made") + box.out("inspect", "made")
    return done.stderr


def test_what_is_there_is_found(box: Cli) -> None:
    build(box, "FROM box\nARG WORD\nRUN echo $WORD > /x\n", "--build-arg", f"WORD={SECRET}")
    found = traces(box)
    for place in ("/packs/", "/blobs/", "the table step_records"):
        assert any(place in text for text in found), (place, found)
    (box.root / "some.gz").write_bytes(gzip.compress(PAIR.encode()))
    assert any("some.gz, unpacked: plain" in text for text in traces(box))


SOURCES = {
    "variable": "id=variable,env=WORD",
    "typed": "type=env,id=typed,env=WORD",
    "file": "id=file,src={file}",
    "source": "type=file,id=source,source={file}",
}
USES = (
    "RUN --mount=type=secret,id={id} test -s /run/secrets/{id}",
    'RUN --mount=type=secret,id={id},env=TOKEN test -n "$TOKEN"',
    "RUN --mount=type=secret,id={id},target=/etc/deep/t,mode=0444,uid=1000 cp /etc/deep/t /dev/shm",
    "RUN --mount=type=secret,id={id} --mount=type=tmpfs,target=/m cp /run/secrets/{id} /m/copy",
)


@pytest.mark.parametrize(
    ("status", "end"), [(0, ""), (1, "RUN --mount=type=secret,id=file exit 7")]
)
def test_a_secret_is_not_kept_wherever_it_came_from(box: Cli, status: int, end: str) -> None:
    file = box.directory("secret", {"word": SECRET}) / "word"
    words = [word for text in SOURCES.values() for word in ("--secret", text.format(file=file))]
    uses = [use.format(id=name) for name, use in zip(SOURCES, USES, strict=True)]
    shown = build(box, "\n".join(("FROM box", *uses, end, "")), *words, status=status)
    assert SECRET not in shown
    assert traces(box) == []


def test_nothing_that_a_build_leaves_behind_holds_a_secret(box: Cli, web: Web) -> None:
    url = with_word(web.put("/tool", "from the web", secret=basic()))
    dockerfile = (
        f"FROM box\nRUN --mount=type=secret,id=a,env=TOKEN test -n $TOKEN > /x\nADD {url} /tool\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    left = box.directory("left", {})
    shown = ""
    for words in (
        ("--plan",),
        ("--progress=rawjson",),
        ("--cache-to", f"type=local,dest={left / 'cache'},mode=max"),
        ("--output", f"type=oci,dest={left / 'oci.tar'},compression=uncompressed"),
        ("--output", f"type=docker,dest={left / 'docker.tar'}"),
        ("--output", f"type=local,dest={left / 'files'}"),
        ("--metadata-file", left / "metadata.json", "--progress=rawjson", "--no-cache"),
    ):
        line = ("build", "--secret", "id=a,env=WORD", *words, context)
        done = box(*line, environment={"WORD": SECRET})
        shown += done.stdout + done.stderr
    shutil.rmtree(context)
    made = sorted(path.name for path in left.iterdir())
    assert made == ["cache", "docker.tar", "files", "metadata.json", "oci.tar"]
    assert SECRET not in shown
    assert IN_URL not in shown
    assert [*holders(left, SECRET, PAIR), *traces(box)] == []


def test_a_secret_that_a_step_prints_is_shown_and_not_kept(box: Cli) -> None:
    dockerfile = "FROM box\nRUN --mount=type=secret,id=a cat /run/secrets/a; exit 3\n"
    assert SECRET in build(box, dockerfile, "--secret", "id=a,env=WORD", status=1)
    assert traces(box) == []


def test_a_secret_of_a_build_that_was_killed_is_not_kept(box: Cli) -> None:
    dockerfile = (
        "FROM box\nRUN --mount=type=secret,id=a --mount=type=secret,id=a,env=TOKEN \\\n"
        "    cp /run/secrets/a /dev/shm/; echo begun; sleep 600\n"
    )
    context = box.directory("context", {"Dockerfile": dockerfile})
    file = box.directory("secret", {"word": SECRET}) / "word"
    words = ("build", "--progress=plain", "--secret", f"id=a,src={file}", str(context))
    process = box.spawn(*words)
    assert process.stdout is not None
    wait_until(lambda: process.stdout.readline().endswith("begun\n"), what="the step")
    kill_group(process)
    assert traces(box) == []
    shutil.rmtree(context)
    box("system", "check")


def test_a_private_key_is_not_kept(box: Cli) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("openssh-client is not installed")
    key = box.directory("keys", {}) / "key"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", SECRET, "-f", str(key)]
    subprocess.run([*box.account.become, *make], check=True)
    lines = key.read_text().split("\n")[1:-2]
    dockerfile = "FROM box\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n"
    for status, more in ((0, ""), (1, "RUN --mount=type=ssh,required exit 9\n")):
        build(box, dockerfile + more, "--ssh", f"default={key}", status=status)
        assert traces(box) == []
        assert [place for line in lines for place in holders(box.root, line)] == []


# In URLs -----------------------------------------------------------------------------


def with_word(url: str) -> str:
    return url.replace("http://", f"http://{IN_URL}@")


def basic() -> str:
    return "Basic " + base64.b64encode(PAIR.encode()).decode()


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in {"Dockerfile": b"FROM box\nCOPY a /a\n", "a": b"packed"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_credentials_in_the_url_of_an_add_are_sent_and_not_kept(box: Cli, web: Web) -> None:
    url = with_word(web.put("/tool", "from the web", secret=basic(), etag='"1"'))
    packed = with_word(web.put("/a.tgz", archive(), secret=basic()))
    dockerfile = f"FROM box\nADD {url} /tool\nADD --unpack {packed} /x/\n"
    for _ in range(2):
        shown = build(box, dockerfile)
        assert IN_URL not in shown
        assert SECRET not in shown
        assert traces(box) == []
    assert "CACHED" in shown
    assert box.out("run", "--rm", "--network=none", "made", "cat", "/tool") == "from the web"


FAILING = {
    "answers 404": "ADD {url}/none /x",
    "digest mismatch": f"ADD --checksum=sha256:{'0' * 64} {{url}}/tool /x",
    "answers 401": "ADD {url}/closed /x",
    "cannot reach the repository": "ADD {url}/repo.git /x",
    "two `#`": "ADD {url}/repo.git##x /x",
}


def test_credentials_in_the_url_of_an_add_that_fails_are_not_told(box: Cli, web: Web) -> None:
    web.put("/tool", "from the web")
    web.put("/closed", "", secret="Basic of somebody else")
    for message, line in FAILING.items():
        shown = build(box, f"FROM box\n{line.format(url=with_word(web.url))}\n", status=1)
        assert message in shown
        # The error shows the line of the Dockerfile, which the caller wrote; nothing else does.
        assert [line for line in shown.split("\n") if IN_URL in line and " │ ADD" not in line] == []
        assert SECRET not in shown
    assert traces(box) == []


def test_credentials_of_a_repository_are_sent_and_not_kept(box: Cli, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    with git_http_server(tmp_path / "served", basic()) as repository:
        repository.commit({"README": "from git"})
        url = with_word(repository.url)
        shown = build(
            box, f"FROM box\nADD --keep-git-dir=true {url}#main /x\nADD {url}?ref=main /y\n"
        )
        assert IN_URL not in shown
        box("build", "-t", "other", "--build-context", f"more={url}", "-f", "-", ".",
            stdin="FROM box\nCOPY --from=more README /z\n")  # fmt: skip
        done = box("build", url.replace("@", "0@"), check=False)
        assert done.returncode == 1
        assert "TheWord" not in done.stderr
    script = "cat /x/README /y/README; grep url /x/.git/config"
    found = box.out("run", "--rm", "--network=none", "made", "sh", "-c", script)
    assert found == f"from gitfrom git\turl = {repository.url}"
    assert traces(box) == []


def test_credentials_of_contexts_are_not_kept(box: Cli, web: Web) -> None:
    url = with_word(web.put("/context.tgz", archive(), secret=basic()))
    done = box("build", "--progress=plain", "-t", "made", url)
    more = build(box, "FROM box\nCOPY --from=more a /b\n", "--build-context", f"more={url}")
    for shown in (done.stderr, more):
        assert IN_URL not in shown
        assert SECRET not in shown
    assert traces(box) == []


@pytest.mark.parametrize("name", ["HTTP_AUTH_TOKEN_{}", "HTTP_AUTH_HEADER_{}"])
def test_what_a_server_has_to_be_told_is_not_kept(box: Cli, web: Web, name: str) -> None:
    prefix = "Bearer " if "TOKEN" in name else ""
    url = web.put("/tool", "from the web", secret=prefix + "a-word-for-headers")
    secret = f"id={name.format(web.host)},env=TOKEN"
    context = box.directory("context", {"Dockerfile": f"FROM box\nADD {url} /tool\n"})
    box("build", "--secret", secret, context, environment={"TOKEN": "a-word-for-headers"})
    assert holders(box.root, "a-word-for-headers") == []


def test_credentials_of_a_proxy_are_not_kept(box: Cli) -> None:
    proxy = f"http://{IN_URL}@proxy.example:3128"
    dockerfile = 'FROM box\nRUN test -n "$HTTP_PROXY" && echo once > /x\n'
    words = ("--build-arg", f"HTTP_PROXY={proxy}", "--build-arg", f"https_proxy={proxy}")
    assert IN_URL not in build(box, dockerfile, *words)
    assert traces(box) == []
