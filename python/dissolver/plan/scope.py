"""What is in effect at a point of a stage: variables, arguments, start values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from msgspec.structs import replace

from dissolver.dockerfile.ast import ArgDefinition, Instruction, Word
from dissolver.dockerfile.expand import expand, expand_for_display, expand_words
from dissolver.dockerfile.ignore import clean_path
from dissolver.errors import DockerfileError
from dissolver.image.config import ImageConfig, RunConfig
from dissolver.image.mutate import DEFAULT_PATH, environment_of, with_environment
from dissolver.plan.arguments import NOT_IN_ENVIRONMENT

DEFAULT_SHELL = ("/bin/sh", "-c")
"""What shell forms are handed to where no SHELL says otherwise."""


class Scope:
    """The state between two instructions of a stage.

    ``env`` is what expansion and RUN see: the image's variables and the arguments
    that have a value, whichever was set last. ``args`` are the arguments that were
    declared, in order, with their values if they have one.
    """

    def __init__(
        self,
        base: ImageConfig,
        *,
        escape: str,
        global_args: Mapping[str, str],
        build_args: Mapping[str, str],
        inherited_args: Mapping[str, str | None],
    ) -> None:
        run = replace(base.config, on_build=())
        if "PATH" not in environment_of(run):
            run = with_environment(run, "PATH", DEFAULT_PATH)
        if run.working_dir:
            run = replace(run, working_dir=joined_path("/", run.working_dir))
        self.run: RunConfig = run
        self.author = base.author
        self.has_own_cmd = False
        self.args: dict[str, str | None] = dict(inherited_args)
        # An argument that a base stage saw stays a variable; the image's own win over it.
        self.env: dict[str, str] = {
            name: value
            for name, value in inherited_args.items()
            if value is not None and name not in NOT_IN_ENVIRONMENT
        }
        self.env |= environment_of(run)
        self._pairs = {name: (name, value) for name, value in self.env.items()}
        self._slots: dict[str, int] = {}
        for slot, item in enumerate(run.env):
            self._slots.setdefault(item.partition("=")[0], slot)
        self._escape = escape
        self._global_args = global_args
        self._build_args = build_args

    @property
    def shell(self) -> tuple[str, ...]:
        """What shell forms are handed to."""
        return self.run.shell or DEFAULT_SHELL

    @property
    def directory(self) -> str:
        """The working directory as an absolute, clean path."""
        return clean_path(self.run.working_dir or "/")

    def set_variables(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Carry out an ENV; a variable that the image has keeps its position there."""
        env = list(self.run.env)
        for name, value in pairs:
            slot = self._slots.setdefault(name, len(env))
            env[slot : slot + 1] = [f"{name}={value}"]
            self._set(name, value)
        self.run = replace(self.run, env=tuple(env))

    def declare(self, instruction: Instruction, definition: ArgDefinition) -> str | None:
        """Carry out one name of an ARG and return its value, if it has one."""
        name = definition.name.text
        value: str | None
        if name in self._build_args:
            value = self._build_args[name]
        elif definition.default is not None:
            value = self.expand(instruction, definition.default)
        else:
            value = self._global_args.get(name)
        self.args[name] = value
        if value is not None and name not in NOT_IN_ENVIRONMENT:
            self._set(name, value)
        self.__dict__.pop("argument_values", None)
        return value

    def expand(self, instruction: Instruction, word: Word) -> str:
        """Replace the variables of a word; an error gets the word's place."""
        with _Placed(instruction, word):
            return expand(word.text, self.env, self._escape)

    def expand_words(self, instruction: Instruction, word: Word) -> tuple[str, ...]:
        """Replace the variables of a word and cut the result at white space."""
        with _Placed(instruction, word):
            return expand_words(word.text, self.env, self._escape).words

    def display(
        self, text: str, *, keeps_quotes: bool = False, hidden: Mapping[str, str] | None = None
    ) -> str:
        """Return an instruction's text for people: keyword in capitals, variables replaced.

        ``hidden`` are variables that are shown as something else.
        """
        env = {**self.env, **hidden} if hidden else self.env
        shown = expand_for_display(text, env, self._escape, keeps_quotes=keeps_quotes)
        keyword = shown.split(maxsplit=1)[0]
        return keyword.upper() + shown[len(keyword) :]

    @cached_property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """All variables as pairs, in the order in which they came to be."""
        return tuple(self._pairs.values())

    @cached_property
    def argument_values(self) -> Mapping[str, str]:
        """The declared arguments with the values they have now; unset ones are empty."""
        return {name: self.env.get(name, value or "") for name, value in self.args.items()}

    def _set(self, name: str, value: str) -> None:
        self.env[name] = value
        # Pairs are kept, so that the environment of thousands of steps is cheap to list.
        self._pairs[name] = (name, value)
        self.__dict__.pop("environment", None)
        self.__dict__.pop("argument_values", None)


class _Placed:
    """Gives errors inside it the place of a word."""

    def __init__(self, instruction: Instruction, word: Word) -> None:
        self._instruction = instruction
        self._word = word

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DockerfileError) and error.where is None:
            error.where = self._instruction.where_of(self._word)


def refuse_nul(instruction: Instruction, texts: Iterable[str]) -> None:
    """Check that no text has a NUL character, which arrays in JSON form can hold.

    Raises:
        DockerfileError: one has; the kernel could take it for neither path nor argument.
    """
    if any("\0" in text for text in texts):
        raise DockerfileError("a text contains a NUL character", where=instruction.where)


def joined_path(directory: str, path: str) -> str:
    """Return ``path`` seen from ``directory``; an absolute one stays as it is written.

    That an absolute path is not cleaned is BuildKit's behaviour, and shows in the
    image's configuration: ``WORKDIR /tmp/`` keeps its slash.
    """
    if not path:
        return directory
    return path if path.startswith("/") else clean_path(f"{directory}/{path}")
