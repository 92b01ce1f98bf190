"""Split work into batches that fit into GPU memory."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class AdaptiveBatcher:
    """Run work on up to `size` items at a time; when the GPU runs out of memory, halve `size` for good and go on."""

    def __init__(self, size: int, *, item_name: str) -> None:
        """`item_name` names the items in log lines."""
        if size < 1:
            raise ValueError(f"a batch of {item_name} must hold at least 1, got {size}")
        self.size = size
        self._item_name = item_name

    def run(self, num_items: int, work: Callable[[slice], Result]) -> list[Result]:
        """Return the result of `work` for each consecutive slice of `num_items` items.

        Raises torch.OutOfMemoryError if not even one item fits.
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
        # A power of two, so that batches keep to the bucket sizes that CUDA graphs are captured for.
        self.size = 1 << ((failed - 1).bit_length() - 1)
        logger.warning(
            "the GPU ran out of memory with %d %s; continuing with %d at a time", failed, self._item_name, self.size
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
