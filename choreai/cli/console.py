"""Running a command: its logging, its exit code and its tables on standard output."""

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TextIO

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from choreai.cluster.session import disconnect
from choreai.errors import CatalogError, ChoreaiError, ChoreaiWarning, ConfigError, MediaError, TableError, WeightsError
from choreai.pipeline.progress import console

logger = logging.getLogger(__name__)
WRONG_INPUT = (ConfigError, CatalogError, MediaError, TableError, WeightsError)


def run_command(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Run a command, and return its exit code: its own, 2 for wrong input, 1 for other errors, 130 for Ctrl-C."""
    start_logging()
    try:
        return run(arguments)
    except WRONG_INPUT as exc:
        logger.error("%s", exc)
        return 2
    except ChoreaiError as exc:
        logger.error("%s", exc)
        logger.error("stopped; run the same command again to resume, finished work is kept")
        return 1
    except KeyboardInterrupt:
        logger.error("interrupted; run the same command again to resume, finished work is kept")
        return 130
    except Exception:
        # The only broad handler, at the top: an unforeseen error is shown in full and is no success.
        logger.exception("stopped by a bug in choreai; finished work is kept")
        return 1
    finally:
        disconnect()


def start_logging() -> None:
    """Log our lines to standard error, and other libraries' from warnings up."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, show_level=False, markup=False)
        handler.setFormatter(logging.Formatter("%(message)s", datefmt="%X"))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    warnings.showwarning = _log_warning
    for name in ("choreai", "jobs", "__main__"):
        logging.getLogger(name).setLevel(logging.INFO)


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
    """Print a table on standard output; columns after the first are right-aligned."""
    table = Table(title=title, title_justify="left", show_header=bool(header))
    width = len(rows[0]) if rows else len(header)
    for index in range(width):
        table.add_column(header[index] if header else "", justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: names from a catalog are not markup
    Console(width=None if sys.stdout.isatty() else 110).print(table)
