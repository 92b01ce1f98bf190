"""Where the time of videos goes: seconds by stage, measured where the work is done, in whatever thread.

    clock = StageClock()
    with clock.running():
        with stage("pose"):
            ...
    clock.seconds.shares(wall_seconds)

A stage inside another is taken out of it, so that no second of a thread counts twice. Threads that work at the same
time count each, so shares of wall time may add up to more than 1. On a GPU, which works by itself, the time is in the
stage that waits for its answer.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import wraps
from types import TracebackType
from typing import Literal, ParamSpec, TypeVar

Stage = Literal["decode", "detect", "crop", "pose", "heatmaps", "track", "write", "wait"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class StageSeconds:
    """The seconds of one video, one shard or one run, by stage."""

    decode: float = 0.0
    """Reading the file, decoding, and conversion to RGB; opening it too."""
    detect: float = 0.0
    """The person detector, where there is one apart."""
    crop: float = 0.0
    pose: float = 0.0
    """The pose network, and what an estimator does besides; all of one that has no other stages."""
    heatmaps: float = 0.0
    """Finding the keypoints in the pose network's answer."""
    track: float = 0.0
    write: float = 0.0
    """Collecting rows, writing the shard's tables and committing them."""
    wait: float = 0.0
    """The estimator without a frame to work on, or the tracker without a pose."""

    def __sub__(self, earlier: "StageSeconds") -> "StageSeconds":
        return StageSeconds(**{name: seconds - getattr(earlier, name) for name, seconds in asdict(self).items()})

    def __add__(self, other: "StageSeconds") -> "StageSeconds":
        return StageSeconds(**{name: seconds + getattr(other, name) for name, seconds in asdict(self).items()})

    def shares(self, wall_seconds: float) -> dict[Stage, float]:
        """Return the share of `wall_seconds` that each stage was at work, in the order of the walk; all 0 if none has
        passed."""
        seconds: dict[Stage, float] = asdict(self)  # type: ignore[assignment]  # the names of the fields
        return {name: spent / wall_seconds if wall_seconds > 0 else 0.0 for name, spent in seconds.items()}


class StageClock:
    """Sums up the seconds of stages, of any number of threads."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {}
        self._lock = threading.Lock()

    @property
    def seconds(self) -> StageSeconds:
        """The sums so far."""
        with self._lock:
            return StageSeconds(**self._seconds)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have this thread's stages counted here, or here again: not by what may be running already."""
        before = _clock.set(self)
        try:
            yield
        finally:
            _clock.reset(before)

    def add(self, name: Stage, seconds: float) -> None:
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds


_clock: ContextVar[StageClock | None] = ContextVar("stage_clock", default=None)
_innermost: ContextVar["stage | None"] = ContextVar("innermost_stage", default=None)


def running_clock() -> StageClock | None:
    """Return the clock that counts this thread's stages, for a thread that works for it."""
    return _clock.get()


class stage:
    """A context manager: what it encloses is counted as the stage `name`, if a clock is running."""

    def __init__(self, name: Stage) -> None:
        self._name: Stage = name

    def __enter__(self) -> None:
        self._clock = _clock.get()
        if self._clock is None:
            return
        self._inside, self._outer = 0.0, _innermost.get()
        self._before = _innermost.set(self)
        self._started = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._clock is None:
            return
        seconds = time.perf_counter() - self._started
        _innermost.reset(self._before)
        if self._outer is not None:
            self._outer._inside += seconds
        self._clock.add(self._name, seconds - self._inside)


def counted_as(name: Stage) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function whose time is counted as the stage `name`."""

    def decorate(work: Callable[P, T]) -> Callable[P, T]:
        @wraps(work)
        def counted(*args: P.args, **options: P.kwargs) -> T:
            with stage(name):
                return work(*args, **options)

        return counted

    return decorate


def each_counted_as(name: Stage, items: Iterator[T], clock: StageClock | None) -> Generator[T, None, None]:
    """Yield the same items, the time for each counted by `clock`, whichever thread asks for them."""
    with _closing(items):
        while True:
            with clock.running() if clock is not None else nullcontext(), stage(name):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


def _closing(items: Iterator[T]) -> AbstractContextManager[object]:
    return closing(items) if isinstance(items, Generator) else nullcontext()
