"""The parser of every command: help that wraps to the terminal, and an answer to typing mistakes."""

import argparse
import difflib
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

MAX_WIDTH = 100
"""Longer lines are hard to read, however wide the terminal is."""
_TWO_COLUMNS = re.compile(r"( +\S.*?\s{2,})(\S.*)")


class HelpFormatter(argparse.HelpFormatter):
    """Wraps prose to the terminal, and keeps indented lines, which are examples and lists, as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=help_width())

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return wrap(text, width)


def help_width() -> int:
    """Return the columns that help may use."""
    return max(40, min(MAX_WIDTH, shutil.get_terminal_size().columns))


def wrap(text: str, width: int) -> str:
    """Return `text` wrapped: its paragraphs, and the second column of its indented lists."""
    return "\n\n".join(_wrap_paragraph(paragraph, width) for paragraph in text.split("\n\n"))


def _wrap_paragraph(paragraph: str, width: int) -> str:
    lines = paragraph.strip("\n").split("\n")
    if not any(line.startswith(" ") for line in lines):
        return textwrap.fill(" ".join(lines), width, break_on_hyphens=False)
    return "\n".join(_wrap_item(line, width) for line in lines)


def _wrap_item(line: str, width: int) -> str:
    columns = _TWO_COLUMNS.fullmatch(line)
    if len(line) <= width or columns is None:
        return line
    return textwrap.fill(columns[2], width, initial_indent=columns[1], subsequent_indent=" " * len(columns[1]))


class CommandParser(argparse.ArgumentParser):
    """An argument parser of choreai."""

    def __init__(self, *, formatter_class: Any = HelpFormatter, **options: Any) -> None:
        super().__init__(formatter_class=formatter_class, **options)

    def add_result_flags(self, *, json: bool = True) -> "CommandParser":
        """Add the flags that say how much is printed, and in what form; return this parser."""
        if json:
            self.add_argument("--json", action="store_true", help="print the result as JSON")
        self.add_argument("--quiet", action="store_true", help="print results, warnings and errors only")
        return self

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the parsed words; several positional arguments may stand before, between and after flags."""
        several = any(action.nargs in ("*", "+") for action in self._actions if not action.option_strings)
        return self.parse_intermixed_args(words) if several else self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Exit with 2; say what is wrong, what was perhaps meant, and where help is."""
        meant = self._meant(message)
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        said = f"{self.prog}: error: {message}{hint}"
        if sys.stderr.isatty():
            said = textwrap.fill(said, help_width(), break_on_hyphens=False)
        self.exit(2, f"{said}\n`{self.prog} --help` explains what it takes\n")

    def _meant(self, message: str) -> list[str]:
        """Return what is most like the words that an error names."""
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice:
            return closest(choice[1], re.findall(r"[\w-]+", choice[2]))
        if message.startswith("unrecognized arguments: "):
            known = [flag for action in self._actions for flag in action.option_strings]
            wrong = [word.partition("=")[0] for word in message.split()[2:] if word.startswith("-")]
            return list(dict.fromkeys(found for word in wrong for found in closest(word, known)))
        return []


def closest(word: str, known: Sequence[str]) -> list[str]:
    """Return the one of `known` that is most like `word`, if any is."""
    return difflib.get_close_matches(word, known, n=1, cutoff=0.6)
