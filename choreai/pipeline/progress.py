"""Progress of long work: a moving bar on a terminal, a line every so often in a log file (`ray job logs`)."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from choreai.pipeline.pace import Pace, in_words

logger = logging.getLogger(__name__)
console = Console(stderr=True)
LOG_EVERY_SECONDS = 15.0
"""In the first MANY_LINES_SECONDS; later twice that."""
MANY_LINES_SECONDS = 600.0
FIRST_LINE_SECONDS = 5.0
MAX_PARTS = 4
"""Items in the works that are shown one by one; the names of more say nothing."""
MAX_NAME = 20


@dataclass(frozen=True)
class State:
    """How far a piece of work is."""

    done: float
    """Of its items; those in the works count by their share."""
    count: str = ""
    """What is done, in words: "3 of 5 videos"."""
    amount: str = ""
    """What that comes to: "412 frames"."""
    rate: str = ""
    """ "33 frames/s"; empty while it is not settled."""
    seconds_left: float | None = None
    """None while there is no telling."""
    is_bound: bool = False
    """Whether `seconds_left` is the most it can take, and not a guess."""
    parts: tuple[tuple[str, float], ...] = ()
    """(name, share done) of the items in the works."""

    @property
    def left(self) -> str:
        """The time left, in words."""
        if self.seconds_left is None:
            return ""
        return f"{'at most' if self.is_bound else 'about'} {in_words(self.seconds_left)} left"

    @property
    def text(self) -> str:
        """All of it, in one line."""
        at = ", ".join(f"{_short(name)} {100 * share:.0f} %" for name, share in self.shown_parts)
        return ", ".join(part for part in (self.count, self.amount, self.rate, self.left) if part) + (
            f" ({at})" if at else ""
        )

    @property
    def shown_parts(self) -> tuple[tuple[str, float], ...]:
        return self.parts if len(self.parts) <= MAX_PARTS else ()


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME // 2 - 1]}…{name[-MAX_NAME // 2 :]}"


@contextmanager
def show_progress(title: str, total: float) -> Iterator[Callable[[State], None]]:
    """Show the progress of `total` items under `title` while the block runs. Yields what takes each new state."""
    if console.is_terminal:
        with _bar() as bar:
            yield _Bars(bar, title, total).show
        return
    lines = _Lines(title)
    with lines.written_in_time():
        yield lines.show


def _bar() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=None),
               TextColumn("{task.fields[words]}", markup=False))  # fmt: skip
    return Progress(*columns, console=console, expand=True)


class _Bars:
    """A bar for the whole, and one for each of a few items in the works."""

    def __init__(self, bar: Progress, title: str, total: float) -> None:
        self._bar = bar
        self._whole = bar.add_task(title, total=total, words="starting")
        self._parts: list[TaskID] = []

    def show(self, state: State) -> None:
        """Show how far the work is."""
        words = ", ".join(part for part in (state.count, state.left, state.rate) if part)
        self._bar.update(self._whole, completed=state.done, words=words)
        while len(self._parts) < len(state.shown_parts):
            self._parts.append(self._bar.add_task("", total=1.0, words=""))
        for number, task in enumerate(self._parts):
            is_used = number < len(state.shown_parts)
            name, share = state.shown_parts[number] if is_used else ("", 0.0)
            words = f"{100 * share:.0f} %" if is_used else ""
            self._bar.update(task, completed=share, description=f"  {_short(name)}", words=words, visible=is_used)


class _Lines:
    """Lines in a log, every so often whatever happens: whoever reads it must see that the work is alive."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._last_line = self._started - max(0.0, LOG_EVERY_SECONDS - FIRST_LINE_SECONDS)
        self._state: State | None = None
        self._lock = threading.Lock()

    def show(self, state: State) -> None:
        """Write how far the work is, if a line is due."""
        self._state = state
        self._write_if_due()

    def _write_if_due(self) -> None:
        with self._lock:
            now = time.monotonic()
            every = LOG_EVERY_SECONDS * (1 if now - self._started < MANY_LINES_SECONDS else 2)
            if now - self._last_line < every:
                return
            self._last_line = now
            text = f"starting, {now - self._started:.0f} s so far" if self._state is None else self._state.text
            logger.info("%s: %s", self._title, text)

    @contextmanager
    def written_in_time(self) -> Iterator[None]:
        """Write lines from a thread too: the work may say nothing for long, or wait for its first item."""
        is_over = threading.Event()

        def write() -> None:
            while not is_over.wait(1.0):
                self._write_if_due()

        thread = threading.Thread(target=write, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


@dataclass
class Steps:
    """Counts the finished items of one long piece of work."""

    title: str
    total: int
    _show: Callable[[State], None]
    done: int = 0
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        self.pace.note(0)

    def advance(self, count: int = 1) -> None:
        """Count `count` more items as finished."""
        self.done += count
        self.pace.note(self.done)
        rate = self.pace.rate
        left = None if rate is None else max(0, self.total - self.done) / rate
        words = "" if rate is None else f"{60 * rate:.1f}/min"
        self._show(State(self.done, f"{self.done} of {self.total}", rate=words, seconds_left=left))


@contextmanager
def progress(title: str, total: int) -> Iterator[Steps]:
    """Show the progress of `total` items under `title` while the block runs."""
    with show_progress(title, total) as show:
        yield Steps(title, total, show)
