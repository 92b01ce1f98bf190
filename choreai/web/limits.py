"""Limits per client: a rate for requests, and slots for viewers and uploads."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from choreai.web.errors import WebProblem

UPLOAD_PATH = "/v1/classify"
"""The only path that takes a body of more than a few kB."""
MAX_CLIENTS_REMEMBERED = 10_000
BURST_SECONDS = 4.0


class RequestRate:
    """A token bucket per client, `BURST_SECONDS` of requests deep; keeps the most recent clients only."""

    def __init__(self, requests_per_second: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = requests_per_second, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> (tokens, when)

    def take(self, client: str) -> bool:
        """Count a request of the client; return whether it is within the limit."""
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
    """A limited number of slots, in total and per client; `what` names what takes them, in the plural."""

    def __init__(self, *, total: int, per_client: int, what: str) -> None:
        self._total, self._per_client, self._what = total, per_client, what
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._held.total()

    def take(self, client: str) -> None:
        """Take a slot, until `give_back`. Raises WebProblem if none is free."""
        if self._held[client] >= self._per_client:
            raise WebProblem(
                429, f"you already have {self._per_client} {self._what}, which is the limit", retry_after_seconds=10
            )
        if len(self) >= self._total:
            raise WebProblem(503, f"the server already has as many {self._what} as it can take", retry_after_seconds=10)
        self._held[client] += 1

    def give_back(self, client: str) -> None:
        """Free a slot that the client has taken."""
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    @contextmanager
    def held(self, client: str) -> Iterator[None]:
        """Hold a slot during the block. Raises WebProblem if none is free."""
        self.take(client)
        try:
            yield
        finally:
            self.give_back(client)
