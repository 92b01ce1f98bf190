"""Streams: one iterator on each of several Ray actors, read side by side by this process.

For one input that several GPUs share, where the answers are wanted in order and here. A catalog goes to the pool.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from choreai.cluster.deaths import cause_of_death
from choreai.cluster.limits import WORKER_ENVIRONMENT
from choreai.cluster.pool import WorkerResources
from choreai.errors import WorkerError

ItemT = TypeVar("ItemT")
AHEAD = 2
"""Items that a worker prepares before they are asked for."""


class StreamBody:
    """What runs as an actor: an iterator, begun with the first item that is asked for."""

    def __init__(self, open_stream: Callable[[int], Iterator[Any]], number: int) -> None:
        self._items = open_stream(number)

    def next_item(self) -> Any:
        """Return the next item; None at the end, and ever after."""
        return next(self._items, None)


@contextmanager
def open_streams(
    open_stream: Callable[[int], Iterator[ItemT]], *, num_workers: int, resources: WorkerResources
) -> Iterator[list[Iterator[ItemT]]]:
    """Run `open_stream(0)` to `open_stream(num_workers - 1)` on an actor each, and yield their items (never None).

    All begin at once. What one raises is raised where its items are read, WorkerError where its process dies.
    """
    # What the first worker raises is raised here; Ray would print what the others do, with a stack each.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    remote_class = ray.remote(
        num_cpus=resources.num_cpus,
        num_gpus=resources.num_gpus,
        max_restarts=0,
        runtime_env={"env_vars": WORKER_ENVIRONMENT},
    )(StreamBody)
    actors = [remote_class.remote(open_stream, number) for number in range(num_workers)]
    try:
        waiting = [deque(actor.next_item.remote() for _ in range(AHEAD)) for actor in actors]
        yield [_read(actor, calls, number) for number, (actor, calls) in enumerate(zip(actors, waiting, strict=True))]
    finally:
        for actor in actors:
            ray.kill(actor)


def _read(actor: Any, calls: "deque[Any]", number: int) -> Iterator[Any]:
    while (item := _answer(calls.popleft(), number)) is not None:
        calls.append(actor.next_item.remote())
        yield item


def _answer(call: Any, number: int) -> Any:
    try:
        return ray.get(call)
    except RayTaskError as exc:
        raise (exc.cause if isinstance(exc.cause, BaseException) else exc) from None
    except RayError as exc:
        raise WorkerError(f"worker {number} of this run died: {cause_of_death(exc)}; run the command again") from exc
