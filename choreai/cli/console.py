"""What a job shows a person: log lines, a progress bar with rate and time left, and the summary table.

On a terminal the bar moves; in a log file (`ray job logs`) a line is written now and then instead.
"""

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
    """The exit code of a job: its own, 2 for wrong input, 1 for what else went wrong, 130 for Ctrl-C."""
    start_logging()
    try:
        return run(arguments)
    except WRONG_INPUT as exc:
        logger.error("%s", exc)
        return 2
    except ChoreaiError as exc:
        logger.error("%s", exc)
        logger.error("stopped; run the same command again to resume: what is done stays done")
        return 1
    except KeyboardInterrupt:
        logger.error("interrupted; run the same command again to resume: what is done stays done")
        return 130
    except Exception:
        # The one broad net, at the top: what nobody foresaw is shown whole, and is no success.
        logger.exception("stopped by an error of choreai's own; what is done stays done")
        return 1
    finally:
        disconnect()


def start_logging() -> None:
    """Our log lines on standard error; other libraries' from warnings up."""
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
    """Our own warnings as log lines, without the place in the code; other libraries' are for developers."""
    if issubclass(category, ChoreaiWarning):
        logger.warning("%s", message)


def print_table(title: str, rows: Sequence[Sequence[str]], *, header: tuple[str, ...] = ()) -> None:
    """One table on standard output, right of the first column aligned to the right."""
    table = Table(title=title, title_justify="left", show_header=bool(header))
    width = len(rows[0]) if rows else len(header)
    for index in range(width):
        table.add_column(header[index] if header else "", justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: a title from a catalog is not markup
    Console(width=None if sys.stdout.isatty() else 110).print(table)
