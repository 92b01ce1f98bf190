"""CUDA graphs: record a network's hundreds of kernel launches once per batch size, then launch them as one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

NUM_WARM_UPS = 3
"""Runs before recording, in which cuDNN chooses its algorithms and a compiler compiles: neither may be recorded."""


@dataclass(frozen=True, eq=False)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: torch.Tensor
    outputs: torch.Tensor


class CudaGraphs:
    """One recording of `work` for each batch size that occurs."""

    def __init__(self, work: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._work = work
        self._recordings: dict[int, _Recording] = {}

    def run(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the output of `work`; the next call with the same batch size overwrites it."""
        recording = self._recordings.get(len(inputs))
        if recording is None:
            recording = self._recordings[len(inputs)] = self._record(inputs)
        recording.inputs.copy_(inputs)
        recording.graph.replay()
        return recording.outputs

    @torch.inference_mode()
    def _record(self, example: torch.Tensor) -> _Recording:
        inputs = example.clone()
        side_stream = torch.cuda.Stream()
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(NUM_WARM_UPS):
                self._work(inputs)
        torch.cuda.current_stream().wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._work(inputs)
        return _Recording(graph, inputs, outputs)
