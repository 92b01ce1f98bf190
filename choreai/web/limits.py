"""How much of the server one client may use: requests over time, and slots for what lasts."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from choreai.web.errors import WebProblem

MAX_CLIENTS_REMEMBERED = 10_000
BURST_SECONDS = 4.0


class RequestRate:
    """A token bucket per client, of `BURST_SECONDS` worth of requests; remembers the latest clients only."""

    def __init__(self, requests_per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = requests_per_second, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> (tokens, when)

    def take(self, client: str) -> bool:
        """Whether the client may make a request now."""
        now = self._clock()
        full = self._rate * BURST_SECONDS
        tokens, then = self._buckets.pop(client, (full, now))
        tokens = min(full, tokens + (now - then) * self._rate)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        while len(self._buckets) > MAX_CLIENTS_REMEMBERED:
            self._buckets.popitem(last=False)
        return allowed


class Slots:
    """So many places in all and so many for each client, held while something lasts."""

    def __init__(self, *, total: int, per_client: int, what: str) -> None:
        self._total, self._per_client, self._what = total, per_client, what
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._held.total()

    def take(self, client: str) -> None:
        """Nothing; holds a place until `give_back`. Raises WebProblem if there is none."""
        if self._held[client] >= self._per_client:
            raise WebProblem(
                429, f"you have {self._per_client} {self._what} already, which is the limit", retry_after_seconds=10
            )
        if len(self) >= self._total:
            raise WebProblem(503, f"the server has as many {self._what} as it can serve", retry_after_seconds=10)
        self._held[client] += 1

    def give_back(self, client: str) -> None:
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    @contextmanager
    def held(self, client: str) -> Iterator[None]:
        """A place, held for the block. Raises WebProblem if there is none."""
        self.take(client)
        try:
            yield
        finally:
            self.give_back(client)
