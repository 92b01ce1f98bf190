"""Work cut into batches that fit the GPU's memory."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Batches:
    """Runs work on up to `size` items at a time. A GPU out of memory halves the size, for good, and goes on."""

    def __init__(self, size: int, *, of: str) -> None:
        """`of` names the items in log lines."""
        if size < 1:
            raise ValueError(f"a batch of {of} must hold at least 1, got {size}")
        self.size = size
        self._of = of

    def run(self, num_items: int, work: Callable[[slice], Result]) -> list[Result]:
        """What `work` answers for each consecutive slice of `num_items` items.

        Raises torch.OutOfMemoryError where not even one item fits.
        """
        results: list[Result] = []
        start = 0
        while start < num_items:
            stop = min(start + self.size, num_items)
            try:
                results.append(work(slice(start, stop)))
            except torch.OutOfMemoryError:
                if stop - start == 1:
                    raise
                self._halve(stop - start)
                continue
            start = stop
        return results

    def _halve(self, failed: int) -> None:
        # To a power of two, so that the buckets that networks are captured for stay those that there are.
        self.size = 1 << ((failed - 1).bit_length() - 1)
        logger.warning("the GPU is out of memory with %d %s; going on with %d at once", failed, self._of, self.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
