"""Files in one line each: how cases write what they start with and what comes of them.

/x/                           a directory (0755, owner 0:0)
/x/one.txt "text\\n"           a file (0644); the content is a JSON text
/x/run.sh 755 1000:29 ""      with a mode and an owner
/x/zeros 4096*"0"             a content that repeats
/x/link -> one.txt            a symbolic link
/x/same == /x/one.txt         a further name of a file
/x/pipe fifo                  a fifo; `char 1:3` and `block 7:0` are devices
/x/more user.a="b" ""         an extended attribute
/x/old @1600000000 ""         a time of modification, in a context alone
"/a name" ""                  a path with white space
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_SHOWN = 300
_WORD = re.compile(r'(?:[^\s"]*)"(?:[^"\\]|\\.)*"|\S+')


@dataclass
class Node:
    """A file of any kind; several paths of a tree may lead to the same one."""

    kind: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    content: bytes = b""
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: dict[str, bytes] = field(default_factory=dict)
    mtime: int = 0


Tree = dict[str, Node]
"""Nodes by their absolute paths; the root is `/`."""

_DEFAULT_MODES = {"directory": 0o755, "symlink": 0o777}


def default_mode(kind: str) -> int:
    return _DEFAULT_MODES.get(kind, 0o644)


# Reading --------------------------------------------------------------------------------


def read_tree(text: str) -> Tree:
    """Read lines of files; paths are relative to an unnamed root, which has no line."""
    tree: Tree = {}
    for line in text.splitlines():
        if line.strip():
            path, node = _read_line(_WORD.findall(line.strip()), tree)
            tree[path] = node
    return tree


def _read_line(words: list[str], tree: Tree) -> tuple[str, Node]:
    path = json.loads(words[0]) if words[0].startswith('"') else words[0]
    node = Node("directory" if path.endswith("/") else "file")
    mode: int | None = None
    rest = iter(words[1:])
    for word in rest:
        if word == "==":
            return path, tree[next(rest)]
        if word == "->":
            node.kind, node.target = "symlink", next(rest)
        elif word == "fifo":
            node.kind = "fifo"
        elif re.fullmatch(r"[0-7]{1,4}", word):
            mode = int(word, 8)
        elif word.startswith("@"):
            node.mtime = int(word[1:])
        elif re.fullmatch(r"\d+:\d+", word):
            node.uid, node.gid = map(int, word.split(":"))
        elif re.match(r'[a-z][\w.-]*="', word):
            name, _, value = word.partition("=")
            node.xattrs[name] = _bytes(value)
        else:
            node.content = _content(word)
    node.mode = default_mode(node.kind) if mode is None else mode
    return path.rstrip("/"), node


def _content(word: str) -> bytes:
    times, star, text = word.partition("*")
    if star and times.isdigit():
        return _bytes(text) * int(times)
    return _bytes(word)


def _bytes(word: str) -> bytes:
    assert word.startswith('"'), f"`{word}` is no text between quotes"
    return str(json.loads(word)).encode("utf-8", "surrogateescape")


def lay_out(text: str, directory: Path) -> Path:
    """Make the files of ``text`` below ``directory``."""
    made: dict[int, Path] = {}
    later: list[tuple[Path, Node]] = []
    for name, node in read_tree(text).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if id(node) in made:
            os.link(made[id(node)], path)
            continue
        made[id(node)] = path
        if node.kind == "directory":
            path.mkdir(exist_ok=True)
            later.append((path, node))
            continue
        if node.kind == "symlink":
            path.symlink_to(node.target)
            continue
        if node.kind == "fifo":
            os.mkfifo(path)
        else:
            path.write_bytes(node.content)
        path.chmod(node.mode)
        for attribute, value in node.xattrs.items():
            os.setxattr(path, attribute, value)
        _set_time(path, node)
    for path, node in reversed(later):
        path.chmod(node.mode)
        _set_time(path, node)
    return directory


def _set_time(path: Path, node: Node) -> None:
    if node.mtime:
        os.utime(path, (node.mtime, node.mtime))


# Writing --------------------------------------------------------------------------------


def tree_lines(tree: Mapping[str, Node]) -> dict[str, str]:
    """Write every path's line; of several names of a file, the first has its content."""
    first: dict[int, str] = {}
    lines = {}
    for path in sorted(tree):
        node = tree[path]
        known = first.setdefault(id(node), path)
        shown = _path(path + "/" if node.kind == "directory" and path != "/" else path)
        lines[path] = f"{shown} == {_path(known)}" if known != path else _line(shown, node)
    return lines


def changed_lines(tree: Mapping[str, Node], base: Mapping[str, Node]) -> str:
    """Write the lines that ``base`` has not; `- path` stands for what is gone."""
    now, before = tree_lines(tree), tree_lines(base)
    changed = {path: line for path, line in now.items() if before.get(path) != line}
    gone = {path: f"- {_path(path)}" for path in before if path not in now}
    both = changed | gone
    return "".join(f"{both[path]}\n" for path in sorted(both))


def _line(path: str, node: Node) -> str:
    return " ".join((path, *_words(node)))


def _words(node: Node) -> Iterator[str]:
    if node.mode != default_mode(node.kind):
        yield f"{node.mode:o}"
    if (node.uid, node.gid) != (0, 0):
        yield f"{node.uid}:{node.gid}"
    for name, value in sorted(node.xattrs.items()):
        yield f"{name}={_text(value)}"
    if node.kind == "symlink":
        yield f"-> {_path(node.target)}"
    elif node.kind == "file":
        yield shown_content(node.content)
    elif node.kind in ("character", "block"):
        yield f"{node.kind} {node.device[0]}:{node.device[1]}"
    elif node.kind != "directory":
        yield node.kind


def shown_content(content: bytes) -> str:
    if len(content) <= LONGEST_SHOWN:
        return _text(content)
    if content == content[:1] * len(content):
        return f"{len(content)}*{_text(content[:1])}"
    return f"<{len(content)} bytes, {hashlib.sha256(content).hexdigest()[:12]}>"


def _text(value: bytes) -> str:
    return json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=not value.isascii())


def _path(path: str) -> str:
    plain = re.fullmatch(r"[^\s\"\x00-\x1f]+", path) is not None
    return path if plain else json.dumps(path)
