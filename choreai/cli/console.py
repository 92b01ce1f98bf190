"""Running a command: its logging on standard error, its exit code, and its results on standard output."""

import argparse
import json
import logging
import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from choreai.cli.streams import forgiving_output
from choreai.errors import (
    CatalogError,
    ChoreaiError,
    ChoreaiWarning,
    ConfigError,
    MediaError,
    NoCredentialsError,
    ObjectMissingError,
    TableError,
    WeightsError,
)
from choreai.pipeline.progress import console
from choreai.storage.scratch import is_no_room, no_room_error, sweep_scratch

logger = logging.getLogger(__name__)
WORDS = ("why", "reason", "settings", "how")
"""Headers of columns that hold sentences: aligned left, and wrapped where there is no room."""
NAMES = ("style", "tag")
"""Headers of columns that hold names: aligned left."""
MIN_NAME_WIDTH = 16
MAX_BOXED = 4
MAX_MESSAGE = 4000
WRONG_INPUT = (
    ConfigError, CatalogError, MediaError, TableError, WeightsError, NoCredentialsError, ObjectMissingError,
)  # fmt: skip
RESUME = "run the same command again to resume, finished work is kept"


def run_command(
    run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace, *, resumes: bool = True
) -> int:
    """Run a command, and return its exit code: its own, 2 for wrong input, 1 for other errors, 130 if interrupted.

    `resumes`: whether the command, run again, goes on where it was stopped; the messages say so. A standard output
    that is closed, full or no longer read does not stop the run; where it was full, the exit code is not 0.
    """
    with forgiving_output() as output:
        code = _run(run, arguments, resumes=resumes)
    return code or int(output.has_failed)


def _run(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace, *, resumes: bool) -> int:
    advice = f"; {RESUME}" if resumes else ""
    start_logging(quiet=getattr(arguments, "quiet", False))
    _take_sigterm_as_interrupt()
    sweep_scratch()
    try:
        _check_folder()
        return run(arguments)
    except WRONG_INPUT as exc:
        logger.error("%s", _cut(exc))
        return 2
    except ChoreaiError as exc:
        logger.error("%s", _cut(exc))
        if resumes:
            logger.error("stopped; %s", RESUME)
        return 1
    except KeyboardInterrupt:
        logger.error("interrupted%s", advice)
        return 130
    except Exception as exc:
        if is_no_room(exc):
            logger.error("%s%s", no_room_error(exc), advice)
            return 1
        # The only broad handler, at the top: an unforeseen error is shown in full and is no success.
        logger.exception("stopped by a bug in choreai%s", "; finished work is kept" if resumes else "")
        return 1
    finally:
        if "ray" in sys.modules:
            from choreai.cluster.session import disconnect

            disconnect()


def _check_folder() -> None:
    """Raise ConfigError if the current folder is gone: Ray and relative paths need one."""
    try:
        os.getcwd()
    except FileNotFoundError as exc:
        raise ConfigError("the current folder was deleted; go to one that is there, as with `cd ~`") from exc


def _cut(exc: Exception) -> str:
    """Return the message, without the middle of one that repeats a huge value."""
    text = str(exc)
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE // 2]} ... {text[-MAX_MESSAGE // 2 :]}"


def _take_sigterm_as_interrupt() -> None:
    """Let SIGTERM, by which schedulers stop a job, end it like Ctrl-C: one line and exit code 130."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def start_logging(*, quiet: bool = False) -> None:
    """Log our lines to standard error, and other libraries' from warnings up; quiet: ours from warnings up too."""
    console.quiet = quiet
    for stream in (sys.stdout, sys.stderr):  # a Latin-1 or ASCII terminal must not fail a run
        reconfigure = getattr(stream, "reconfigure", None)  # what a notebook puts there has none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if console.is_terminal:
        own = Console(stderr=True) if quiet else console
        handler: logging.Handler = RichHandler(console=own, show_path=False, show_level=False, markup=False)
        handler.setFormatter(logging.Formatter("%(message)s", datefmt="%X"))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    warnings.showwarning = _log_warning
    for name in ("choreai", "jobs", "__main__"):
        logging.getLogger(name).setLevel(logging.WARNING if quiet else logging.INFO)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log our own warnings, without their place in the code; other libraries' are for developers."""
    if issubclass(category, ChoreaiWarning):
        logger.warning("%s", message)


def print_table(title: str, rows: Sequence[Sequence[str]], *, header: tuple[str, ...] = ()) -> None:
    """Print a table on standard output; columns after the first are right-aligned, but for those of `WORDS`.

    On a terminal, names in the first column are shortened in the middle to what the others leave; elsewhere nothing is
    ever broken.
    """
    narrow = len(header) > MAX_BOXED  # lines between many columns would take a quarter of 80
    table = Table(title=title, title_justify="left", title_style="bold", show_header=bool(header), pad_edge=not narrow,
                  box=box.SIMPLE_HEAD if narrow else box.HEAVY_HEAD, show_edge=not narrow)  # fmt: skip
    output = Console(width=None if sys.stdout.isatty() else 10_000)
    width = len(rows[0]) if rows else len(header)
    names = header or ("",) * width
    room = _room_for_names(output.width, rows, names)
    may_break = room < min(MIN_NAME_WIDTH, max((cell_len(row[0]) for row in rows), default=0))
    for index, name in enumerate(names):
        is_words = name in WORDS
        table.add_column(name, justify="left" if index == 0 or is_words or name in NAMES else "right", overflow="fold",
                         no_wrap=bool(header) and not is_words and not may_break)  # fmt: skip
    for row in rows:
        cells = [shorten(row[0], max(room, MIN_NAME_WIDTH)), *row[1:]] if header and names[0] not in WORDS else row
        table.add_row(*(Text(cell) for cell in cells))  # Text: names from a catalog are not markup
    output.print(table)
    if narrow:
        output.print()


def _room_for_names(width: int, rows: Sequence[Sequence[str]], header: Sequence[str]) -> int:
    """Return the cells that the other columns leave to the first, sentences wrapped if they must be."""
    taken = 0
    for index, name in enumerate(header[1:], start=1):
        longest = max((cell_len(row[index]) for row in rows), default=0)
        taken += 3 + max(cell_len(name), min(longest, width // 3) if name in WORDS else longest)
    return width - taken - 4


def shorten(text: str, width: int) -> str:
    """Return `text` with its middle left out where it is longer than `width` cells."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def print_json(result: object) -> None:
    """Print a result as JSON on standard output: dataclasses by field, NaN as null."""
    print(json.dumps(_plain(result), indent=1, ensure_ascii=False, allow_nan=False))


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value
