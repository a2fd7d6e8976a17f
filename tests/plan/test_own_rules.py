"""The rules that only this project has: what violates them, and what does not."""

from __future__ import annotations

import pytest

from dissolver.plan.checks.context import is_secret
from dissolver.plan.checks.ecosystems import ECOSYSTEMS, installer_of
from plan.checking import findings_of, listing, told

INSTALLS = [
    ("npm ci", "npm", "npm ci"),
    ("npm install", "npm", "npm install"),
    ("npm i --omit=dev", "npm", "npm i"),
    ("npm --prefix=web ci", "npm", "npm --prefix=web ci"),
    ("cd web && npm install && npm run build", "npm", "npm install"),
    ("CI=1 npm ci", "npm", "npm ci"),
    ("npm install -g pnpm && pnpm install --frozen-lockfile", "pnpm", "pnpm install"),
    ("pnpm i", "pnpm", "pnpm i"),
    ("yarn", "yarn", "yarn"),
    ("yarn --frozen-lockfile", "yarn", "yarn --frozen-lockfile"),
    ("yarn install --immutable && yarn build", "yarn", "yarn install"),
    ("pip install -r requirements.txt", "pip", "pip install -r requirements.txt"),
    ("pip3 install --no-cache-dir -r requirements/prod.txt", "pip",
     "pip3 install --no-cache-dir -r requirements/prod.txt"),
    ("python -m pip install -U -r r.txt", "pip", "python -m pip install -U -r r.txt"),
    ("uv sync --frozen", "uv", "uv sync"),
    ("uv pip install -r requirements.txt", "uv", "uv pip install -r"),
    ("poetry install --only main", "poetry", "poetry install"),
    ("go build ./...", "go", "go build"),
    ("CGO_ENABLED=0 GOOS=linux go build -o /app", "go", "go build"),
    ("go mod download", "go", "go mod download"),
    ("cargo build --release", "cargo", "cargo build"),
    ("cargo install --path .", "cargo", "cargo install"),
    ("mvn -B package", "maven", "mvn -B package"),
    ("./mvnw -DskipTests clean package", "maven", "./mvnw -DskipTests clean"),
    ("gradle build", "gradle", "gradle build"),
    ("./gradlew --no-daemon bootJar", "gradle", "./gradlew --no-daemon bootJar"),
    ("bundle install --jobs 4", "bundler", "bundle install"),
    ("composer install --no-dev", "composer", "composer install"),
    ("php composer.phar install", "composer", "php composer.phar install"),
    ("set -e\nnpm ci", "npm", "npm ci"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "name", "text"), INSTALLS)
def test_installs_are_told_apart(command: str, name: str, text: str) -> None:
    found = installer_of(command)
    assert found is not None
    assert (found[0].name, found[1]) == (name, text)


OTHERS = [
    "npm run build", "npm test", "npm install -g npm", "echo npm install-docs", "yarn build",
    "yarn run x", "pip install flask", "pip install .", "cat requirements.txt", "go version",
    "cargo --version", "mvn --version", "bundle exec rake", "composer dump-autoload",
    "uv --version",
    "pnpm run build", "gradle --version", "my-npm ci", "apt-get install npm",
]  # fmt: skip


@pytest.mark.parametrize("command", OTHERS)
def test_other_commands_install_no_dependencies(command: str) -> None:
    assert installer_of(command) is None


def test_every_ecosystem_is_tried() -> None:
    assert {name for _, name, _ in INSTALLS} == {ecosystem.name for ecosystem in ECOSYSTEMS}


BROAD = [
    ("COPY . .\nRUN npm ci", ("`npm ci` runs again whenever any file changes; copy `package.json`, "
     "`package-lock.json` first, and everything else behind it")),
    ("ADD . /app\nRUN yarn", ("`yarn` runs again whenever any file changes; copy `package.json`, "
     "`yarn.lock` first, and everything else behind it")),
    ("COPY ./ /app/\nRUN make\nRUN go build", ("`go build` runs again whenever any file changes; "
     "copy `go.mod`, `go.sum` first, and run `go mod download` on them, and everything else "
     "behind it")),
    ("COPY package.json .\nCOPY . .\nRUN npm ci", ("`npm ci` runs again whenever any file changes; "
     "copy `package.json`, `package-lock.json` first, and everything else behind it")),
    ("COPY * .\nRUN <<E\nnpm ci\nE", ("`npm ci` runs again whenever any file changes; copy "
     "`package.json`, `package-lock.json` first, and everything else behind it")),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "message"), BROAD)
def test_a_copy_of_everything_in_front_of_an_install(lines: str, message: str) -> None:
    found = told(findings_of(f"FROM a\n{lines}"), "CopyBeforeInstall")
    assert [text for _, text in found] == [message]


NARROW = [
    "COPY package*.json .\nRUN npm ci\nCOPY . .",
    "COPY package*.json .\nRUN npm ci\nCOPY . .\nRUN npm ci --omit=dev",
    "COPY src .\nRUN npm ci",
    "COPY . .\nRUN npm run build",
    "COPY . .\nRUN --mount=type=cache,target=/root/.npm npm ci",
    "COPY --from=b . .\nRUN npm ci",
    "RUN npm ci\nCOPY . .",
    "COPY go.mod go.sum ./\nRUN go mod download\nCOPY . .\nRUN go build",
    "COPY go.mod go.sum ./\nRUN go mod download && go mod verify\nCOPY . .\nRUN go build",
    "COPY Cargo.toml .\nRUN cargo chef cook --release\nCOPY . .\nRUN cargo build --release",
    "COPY pom.xml .\nRUN mvn -B dependency:go-offline\nCOPY . .\nRUN mvn -B package",
    "COPY . .\nFROM c\nRUN npm ci",
]


@pytest.mark.parametrize("lines", NARROW)
def test_other_orders_are_fine(lines: str) -> None:
    assert told(findings_of(f"FROM x AS b\nFROM a\n{lines}"), "CopyBeforeInstall") == []


def test_only_files_that_are_there_are_named() -> None:
    context = listing("package.json", "yarn.lock", ".yarn/", "src/", ignore=[".yarn"])
    found = told(findings_of("FROM a\nCOPY . .\nRUN yarn", listing=context), "CopyBeforeInstall")
    assert "copy `package.json`, `yarn.lock` first" in found[0][1]
    empty = findings_of("FROM a\nCOPY . .\nRUN yarn", listing=listing("src/"))
    assert told(empty, "CopyBeforeInstall") == []


CHANGING = [
    ("ARG GIT_SHA\nRUN npm ci", "GIT_SHA", 3),
    ("ARG BUILD_DATE\nLABEL date=$BUILD_DATE\nRUN apt-get install -y x", "BUILD_DATE", 4),
    ("ARG COMMIT\nENV COMMIT=$COMMIT\nRUN npm ci", "COMMIT", 4),
    ("ARG VCS_REF REVISION\nRUN echo $VCS_REF\nRUN make", "REVISION", 4),
    ("ARG CI_COMMIT_SHA=none\nWORKDIR /x\nRUN pip install -r r.txt", "CI_COMMIT_SHA", 4),
]


@pytest.mark.parametrize(("lines", "name", "line"), CHANGING)
def test_an_argument_that_changes_stands_too_early(lines: str, name: str, line: int) -> None:
    found = told(findings_of(f"FROM a\n{lines}"), "ChangingArgBeforeRun")
    assert found == [
        (2, (f"`{name}` changes with every build, and so the step on line {line}, which never "
            "names it, is never cached; move the `ARG` down to where it is used"))
    ]  # fmt: skip


STEADY = [
    "RUN npm ci\nARG GIT_SHA\nRUN echo $GIT_SHA",
    "ARG GIT_SHA\nRUN npm ci && echo $GIT_SHA",
    "ARG GIT_SHA\nRUN echo $GIT_SHA\nRUN npm ci",
    "ARG GIT_SHA\nENV SHA=$GIT_SHA\nRUN echo $SHA\nRUN npm ci",
    "ARG GIT_SHA\nCOPY x-$GIT_SHA /y\nRUN npm ci",
    "ARG NODE_VERSION\nRUN npm ci",
    "ARG CACHEBUST\nRUN npm ci",
    "ARG GIT_SHA\nRUN echo hello",
    "ARG GIT_SHA",
]


@pytest.mark.parametrize("lines", STEADY)
def test_other_arguments_are_fine(lines: str) -> None:
    assert told(findings_of(f"FROM a\n{lines}"), "ChangingArgBeforeRun") == []


APART = [
    "RUN apt-get update\nRUN apt-get install -y x",
    "RUN apt-get update && apt-get clean\nRUN echo\nRUN apt-get -y install x",
    "RUN apt update\nRUN apt install x",
    "RUN apt-get -qq update\nRUN apt-get -qq install x && echo",
]


@pytest.mark.parametrize("lines", APART)
def test_lists_are_fetched_apart_from_the_install(lines: str) -> None:
    found = told(findings_of(f"FROM a\n{lines}"), "AptUpdateApart")
    assert [line for line, _ in found] == [2]


TOGETHER = [
    "RUN apt-get update && apt-get install -y x",
    "RUN apt-get update\nRUN apt-get update && apt-get install -y x",
    "RUN apt-get update",
    "RUN apt-get install -y x",
    "RUN <<E\napt-get update\napt-get install -y x\nE",
    "RUN apt-get update\nFROM b\nRUN apt-get install -y x",
]


@pytest.mark.parametrize("lines", TOGETHER)
def test_lists_are_fetched_with_the_install(lines: str) -> None:
    assert told(findings_of(f"FROM a\n{lines}"), "AptUpdateApart") == []


SECRETS = [
    ".env", "a/.env", ".env.production", ".env.local", "id_rsa", "keys/id_ed25519", ".npmrc",
    ".pypirc", ".netrc", ".git-credentials", "server.key", "tls/private-key.pem", "key.pem",
    "a.p12", "a.pfx", "a.jks", ".ssh/config", ".aws/credentials", ".docker/config.json",
    "secrets.yaml", "secret.json", "service-account.json", "credentials.json", "kubeconfig",
]  # fmt: skip


@pytest.mark.parametrize("path", SECRETS)
def test_secrets_are_known_by_name(path: str) -> None:
    assert is_secret(path)


HARMLESS = [
    ".env.example", ".env.sample", ".env.template", "env", ".envrc.md", "id_rsa.pub", "server.crt",
    "cert.pem", "ca.pem", "public.key", "public-key.pem", "a.pub", "package.json", "monkey",
    "keyboard.py", "secrets.py", "src/credentials/", ".dockerignore", "turkey.pem",
]  # fmt: skip


@pytest.mark.parametrize("path", [path for path in HARMLESS if path != "src/credentials/"])
def test_other_files_are_no_secrets(path: str) -> None:
    assert not is_secret(path)


COPIED = [
    ("COPY .env /x", (), "`.env` looks like a secret"),
    ("ADD keys/id_rsa .npmrc /x/", (), "`keys/id_rsa`, `.npmrc` look like secrets"),
    ("COPY . .", ("a", ".env", "id_rsa"), "`.env`, `id_rsa` look like secrets"),
]


@pytest.mark.parametrize(("line", "paths", "beginning"), COPIED)
def test_a_secret_gets_into_a_layer(line: str, paths: tuple[str, ...], beginning: str) -> None:
    (found,) = told(findings_of(f"FROM a\n{line}", listing=listing(*paths)), "SecretCopied")
    assert found[0] == 2
    assert found[1].startswith(f"{beginning}, and whoever has the image")
    assert "`RUN --mount=type=secret,id=" in found[1]


@pytest.mark.parametrize(
    ("line", "paths", "ignore"),
    [
        ("COPY . .", (".env",), [".env"]),
        ("COPY --from=b .env /x", (), []),
        ("COPY .env.example /x", (), []),
        ("COPY src .", (".env",), []),
        ("RUN --mount=type=secret,id=env x", (".env",), []),
    ],
)
def test_a_secret_stays_outside(line: str, paths: tuple[str, ...], ignore: list[str]) -> None:
    context = listing(*paths, ignore=ignore)
    assert told(findings_of(f"FROM x AS b\nFROM a\n{line}", listing=context), "SecretCopied") == []


CONTEXTS = [
    ("GitDirectoryInContext", ".git/", "COPY . .", [], True),
    ("GitDirectoryInContext", ".git/", "COPY . .", [".git"], False),
    ("GitDirectoryInContext", ".git/", "COPY . .", ["*", "!src"], False),
    ("GitDirectoryInContext", ".git/", "COPY --exclude=.git . .", [], False),
    ("GitDirectoryInContext", ".git/", "COPY src .", [], False),
    ("GitDirectoryInContext", ".git", "COPY . .", [], False),
    ("GitDirectoryInContext", "src/", "COPY . .", [], False),
    ("NodeModulesInContext", "node_modules/", "COPY . .", [], True),
    ("NodeModulesInContext", "node_modules/", "ADD . .", [], True),
    ("NodeModulesInContext", "node_modules/", "COPY . .", ["**/node_modules"], False),
]


@pytest.mark.parametrize(("rule", "path", "line", "ignore", "is_violated"), CONTEXTS)
def test_directories_that_should_stay_outside(
    rule: str, path: str, line: str, ignore: list[str], is_violated: bool
) -> None:
    found = told(findings_of(f"FROM a\n{line}", listing=listing(path, ignore=ignore)), rule)
    assert [line for line, _ in found] == ([2] if is_violated else [])


def test_without_a_listing_nothing_is_said_about_the_context() -> None:
    found = findings_of("FROM a\nCOPY . .")
    assert [finding.rule.name for finding in found] == []
