"""Progress of long work: a moving bar on a terminal, a line every so often in a log file (`ray job logs`)."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

logger = logging.getLogger(__name__)
console = Console(stderr=True)
LOG_EVERY_SECONDS = 15.0


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed * 60:.1f}/min" if task.speed else "")


@dataclass
class Steps:
    """Counts the finished items of one long piece of work."""

    title: str
    total: int
    _on_advance: Callable[[int], None]
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1) -> None:
        """Count `count` more items as finished."""
        self.done += count
        self._on_advance(count)


@contextmanager
def progress(title: str, total: int) -> Iterator[Steps]:
    """Show the progress of `total` items under `title` while the block runs."""
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, speed_estimate_period=120.0) as bar:
            task = bar.add_task(title, total=total)
            yield Steps(title, total, lambda count: bar.advance(task, count))
        return
    last_line = time.monotonic()

    def log_if_due(_count: int) -> None:
        nonlocal last_line
        if time.monotonic() - last_line >= LOG_EVERY_SECONDS:
            last_line = time.monotonic()
            rate = steps.done / max(last_line - steps.started, 1e-9)
            left = (steps.total - steps.done) / max(rate, 1e-9)
            logger.info("%s: %d of %d, %.1f/min, %.0f s left", title, steps.done, total, rate * 60, left)

    steps = Steps(title, total, log_if_due)
    yield steps
