"""completion: a script by which bash, zsh or fish completes commands, flags and choices."""

import argparse
import shlex
from collections.abc import Iterator

from choreai.cli.parser import CommandParser

_BASH = """\
_choreai() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "{commands}" -- "$word"))
        return
    fi
    COMPREPLY=()
    case "${{COMP_WORDS[1]}} $before" in
{choices}
    esac
    [[ $word == -* || " {chooses} " == *" ${{COMP_WORDS[1]}} "* && $COMP_CWORD -eq 2 ]] || return
    case "${{COMP_WORDS[1]}}" in
{flags}
    esac
}}
complete -o default -o filenames -F _choreai choreai
"""
_ZSH_HEAD = "autoload -U +X bashcompinit && bashcompinit\n"


def run(arguments: argparse.Namespace) -> int:
    """Print the script of a shell, and return 0."""
    from choreai.cli.main import COMMANDS

    parsers = {name: make_parser(f"choreai {name}") for name, (make_parser, _) in COMMANDS.items()}
    if arguments.shell == "fish":
        print("\n".join(_fish(parsers)))
    else:
        print((_ZSH_HEAD if arguments.shell == "zsh" else "") + _bash(parsers), end="")
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield what help shows of a command, its sub-commands' included."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield action
            for sub in action.choices.values():
                yield from _actions(sub)
        elif action.help is not argparse.SUPPRESS:
            yield action


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    """Return every flag, and the choices of arguments without one."""
    words: dict[str, None] = {}
    for action in _actions(parser):
        named = [flag for flag in action.option_strings if flag.startswith("--")]
        words |= dict.fromkeys(named or [str(choice) for choice in action.choices or ()])
    return list(words)


def _bash(parsers: dict[str, CommandParser]) -> str:
    flags = [f'        {name}) COMPREPLY=($(compgen -W "{" ".join(_flags(parser))}" -- "$word"));;'
             for name, parser in parsers.items()]  # fmt: skip
    choices = [
        f'        "{name} {flag}") COMPREPLY=($(compgen -W "{_words(action)}" -- "$word")); return;;'
        for name, parser in parsers.items()
        for action in _actions(parser)
        for flag in action.option_strings
        if action.choices
    ]
    chooses = [name for name, parser in parsers.items() if any(not word.startswith("-") for word in _flags(parser))]
    return _BASH.format(
        chooses=" ".join(chooses), commands=" ".join(parsers), flags="\n".join(flags), choices="\n".join(choices)
    )


def _fish(parsers: dict[str, CommandParser]) -> Iterator[str]:
    yield f"complete -c choreai -n __fish_use_subcommand -f -a {shlex.quote(' '.join(parsers))}"
    for name, parser in parsers.items():
        at = f"complete -c choreai -n '__fish_seen_subcommand_from {name}'"
        for action in _actions(parser):
            choices = f" -x -a {shlex.quote(_words(action))}" if action.choices else ""
            for flag in action.option_strings:
                if flag.startswith("--"):
                    takes_value = "" if action.nargs == 0 or choices else " -r"
                    yield f"{at} -l {flag[2:]}{takes_value}{choices} -d {shlex.quote(_short(action.help))}"
            if not action.option_strings and choices:
                yield f"{at}{choices}"


def _words(action: argparse.Action) -> str:
    return " ".join(map(str, action.choices or ()))


def _short(text: str | None) -> str:
    return (text or "").replace("%%", "%").partition(";")[0][:60]
