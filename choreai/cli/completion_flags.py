"""The flags of `choreai completion`."""

from choreai.cli.parser import CommandParser

SHELLS = ("bash", "zsh", "fish")
COMPLETION = """\
Print a script that lets the shell complete commands, flags and their choices.

  bash   choreai completion bash > ~/.local/share/bash-completion/completions/choreai
  zsh    choreai completion zsh > ~/.choreai-completion; in ~/.zshrc:
         source ~/.choreai-completion
  fish   choreai completion fish > ~/.config/fish/completions/choreai.fish"""


def completion_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=COMPLETION)
    parser.add_argument("shell", choices=SHELLS, help="bash, zsh or fish")
    return parser.add_result_flags(json=False)
