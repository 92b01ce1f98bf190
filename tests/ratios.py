"""Ratios against a peer of the same run, from pairs: the median, its noise, and whether a goal is missed by more."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

NUM_PAIRS = 3


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as its peer something is, once for each pair."""

    values: tuple[float, ...]
    wanted: float

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def noise(self) -> float:
        """Half of what lies between the least and the greatest."""
        return (max(self.values) - min(self.values)) / 2

    @property
    def falls_short(self) -> bool:
        return self.median + self.noise < self.wanted

    def __str__(self) -> str:
        verdict = "  FALLS SHORT" if self.falls_short else ""
        return f"{self.median:.2f} ± {self.noise:.2f} (wanted: {self.wanted:g}){verdict}"


@dataclass
class Ratios:
    """The ratios of a benchmark, printed as they are measured."""

    short: list[str] = field(default_factory=list)
    """Names of those that fall short."""

    def add(self, name: str, values: list[float], *, wanted: float, of: str) -> Ratio:
        """Print a ratio, and remember it if it falls short."""
        ratio = Ratio(tuple(values), wanted)
        print(f"{name:32} x {of:<20} {ratio}", flush=True)
        if ratio.falls_short:
            self.short.append(name)
        return ratio

    def measure(
        self,
        name: str,
        ours: Callable[[], float],
        peer: Callable[[], float],
        *,
        wanted: float,
        of: str,
        num_pairs: int = NUM_PAIRS,
    ) -> Ratio:
        """Measure pairs of seconds, in turns as to which comes first, and add peer / ours."""
        values = []
        for pair in range(num_pairs):
            first, second = (ours, peer) if pair % 2 else (peer, ours)
            a, b = first(), second()
            values.append(a / b if first is peer else b / a)
        return self.add(name, values, wanted=wanted, of=of)

    def exit_code(self) -> int:
        """Say which ratios fall short; return 1 if any does, else 0."""
        if self.short:
            print(f"fall short of their goal by more than the noise: {', '.join(self.short)}")
        return int(bool(self.short))
