"""Batches of frames worked on by several threads at once, and their results in order.

On a CPU each of the threads runs the networks on one core. That keeps cores busier than one batch whose every operation
is divided among them: most operations on a few crops are too small to be worth dividing.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from choreai.pose.stages import stage
from choreai.video.frame import Frame

MAX_CONCURRENT = 8
"""With more cores than that each thread has several: what the networks make of eight batches is memory enough."""
MAX_BYTES_IN_FLIGHT = 512 * 2**20
"""Limit on the pixels of all batches in work, of which there is always one."""

ResultT = TypeVar("ResultT")
Batch = Sequence[Frame]


def share_threads(num_threads: int) -> tuple[int, int]:
    """Return how many batches are worked on at the same time by `num_threads` CPU threads, and the threads of each."""
    each = -(-num_threads // MAX_CONCURRENT)
    return num_threads // each, each


def concurrently(
    work: Callable[[Batch], ResultT], batches: Iterable[Batch], *, num_concurrent: int
) -> Generator[tuple[Batch, ResultT], None, None]:
    """Yield each batch with the result of `work`, in order; `num_concurrent` threads work, this one alone if it is 1.

    An exception, of `work` or of `batches`, is raised after everything before it has been yielded. Exhaust or close the
    generator: its threads end only then.
    """
    if num_concurrent == 1:
        for batch in batches:
            yield batch, work(batch)
        return
    threads = ThreadPoolExecutor(num_concurrent, thread_name_prefix="estimate")
    queue: deque[tuple[Batch, Future[ResultT]]] = deque()
    upcoming = _Upcoming(batches)
    try:
        for batch in upcoming:
            # One more than there are threads, so that none waits for this one to look.
            while queue and (len(queue) > num_concurrent or not _fits(queue, batch)):
                yield _finished(queue)
            queue.append((batch, threads.submit(copy_context().run, work, batch)))
        while queue:
            yield _finished(queue)
        upcoming.raise_failure()
    finally:
        threads.shutdown(cancel_futures=True)


class _Upcoming:
    """Batches until there are no more, or until one cannot be had: `raise_failure` says why."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self._batches = batches
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[Batch]:
        try:
            yield from self._batches
        except Exception as exc:  # raised again by `raise_failure`
            self._failure = exc

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _finished(queue: "deque[tuple[Batch, Future[ResultT]]]") -> tuple[Batch, ResultT]:
    batch, future = queue.popleft()
    with stage("wait"):
        return batch, future.result()


def _fits(queue: "deque[tuple[Batch, Future[ResultT]]]", batch: Batch) -> bool:
    num_bytes = sum(frame.image.nbytes for queued, _ in queue for frame in queued)
    return num_bytes + sum(frame.image.nbytes for frame in batch) <= MAX_BYTES_IN_FLIGHT
