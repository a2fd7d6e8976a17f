"""``completion``: what a shell asks for when the tab key is pressed."""

from __future__ import annotations

import sys
from typing import Annotated

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string
from typer import Argument

from dissolver.cli.words import UsageSlip
from dissolver.errors import DissolverError

# Each script asks with the line up to the cursor, and gets `plain,WORD` or `file,` in lines.
_BASH = """\
_dissolver_completion() {
    local type value
    while IFS=',' read -r type value; do
        case $type in
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <("$1" __complete "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -o nosort -F _dissolver_completion dissolver
"""
_ZSH = """\
#compdef dissolver
_dissolver_completion() {
    local -a found
    local type value
    while IFS=',' read -r type value; do
        case $type in
            file) _files ;;
            plain) found+=("$value") ;;
        esac
    done < <("${words[1]}" __complete "${(j: :)words[1,CURRENT]}" 2>/dev/null)
    compadd -a found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _dissolver_completion "$@"
else
    compdef _dissolver_completion dissolver
fi
"""
_FISH = """\
function _dissolver_completion
    for line in (dissolver __complete (commandline -cp | string collect) 2>/dev/null)
        set -l parts (string split -m1 , -- $line)
        if test "$parts[1]" = file
            __fish_complete_path (commandline -ct)
        else
            echo $parts[2]
        end
    end
end
complete --no-files --command dissolver --arguments "(_dissolver_completion)"
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def completion(shell: Annotated[str, Argument(metavar="bash|zsh|fish")]) -> None:
    """Print a script that lets a shell complete commands, options and names."""
    if shell not in _SCRIPTS:
        raise UsageSlip(f"unknown shell `{shell}`", None, "use bash, zsh or fish")
    sys.stdout.write(_SCRIPTS[shell])


def answer(
    line: Annotated[str, Argument(metavar="LINE")],
    breaks: Annotated[str, Argument(metavar="BREAKS")] = "",
) -> None:
    """Tell what the last word of a line may become; wrong words become nothing.

    A shell that takes words apart at ``breaks`` gets what is behind the last one.
    """
    words = split_arg_string(line)[1:]
    incomplete = words.pop() if words and not line[-1:].isspace() else ""
    taken = 1 + max((incomplete.rfind(one) for one in ":=" if one in breaks), default=-1)
    for item in _found(words, incomplete):
        sys.stdout.write(f"{item.type},{item.value[taken:]}\n")


def _found(words: list[str], incomplete: str) -> list[CompletionItem]:
    from dissolver.cli.app import command_tree

    try:
        asked = ShellComplete(command_tree(), {}, "dissolver", "")
        found = asked.get_completions(words, incomplete)
    except (click.ClickException, DissolverError):
        return []
    if not found and not incomplete.startswith("-"):
        return [CompletionItem(incomplete, type="file")]
    return found
