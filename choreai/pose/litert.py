"""Run networks in .tflite files with LiteRT, one image at a time, computing no more than is asked for."""

import hashlib
from collections.abc import Collection
from typing import Any

import numpy as np

from choreai.arrays import FloatArray
from choreai.errors import ConfigError, WeightsError
from choreai.pose.chatter import without_chatter

_ERRORS = (ValueError, RuntimeError)
"""What LiteRT raises for files that it cannot run."""


class LiteRtNetwork:
    """A network with one image input; the counterpart of `OnnxNetwork` for .tflite files."""

    def __init__(self, data: bytes, *, num_threads: int, unwanted: Collection[tuple[int, ...]] = ()) -> None:
        """Open the file. Outputs of the shapes `unwanted` (without the batch dimension) are neither computed nor given.

        Raises WeightsError for a file that LiteRT cannot run, and for other inputs than one of float (1, H, W, 3)
        images; ConfigError if LiteRT is missing.
        """
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._interpreter = _open(data, num_threads=num_threads)
        if any(tuple(output["shape"][1:]) in unwanted for output in self._interpreter.get_output_details()):
            self._interpreter = _open(_without_outputs(data, unwanted), num_threads=num_threads)
        inputs, self._outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        shapes = [tuple(one["shape"]) for one in inputs]
        if len(inputs) != 1 or len(shapes[0]) != 4 or shapes[0][::3] != (1, 3) or inputs[0]["dtype"] != np.float32:
            raise WeightsError(f"the .tflite network must take one float image (1, height, width, 3), not {shapes}")
        self._input: int = inputs[0]["index"]
        self.size_hw: tuple[int, int] = shapes[0][1:3]
        self.output_shapes: dict[str, tuple[int, ...]] = {
            output["name"]: tuple(int(size) for size in output["shape"][1:]) for output in self._outputs
        }
        """Output shapes for one image (without the batch dimension) by name, in order."""

    def run(self, images_N3HW: FloatArray) -> list[FloatArray]:
        """Return the outputs, each (N, ...) float32."""
        answers = [self._run_one(image) for image in images_N3HW]
        if not answers:
            return [np.zeros((0, *shape), np.float32) for shape in self.output_shapes.values()]
        return [np.concatenate(outputs) for outputs in zip(*answers, strict=True)]

    def _run_one(self, image_3HW: FloatArray) -> list[FloatArray]:
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(image_3HW.transpose(1, 2, 0)[None]))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output["index"]) for output in self._outputs]


def _open(data: bytes, *, num_threads: int) -> Any:  # LiteRT is untyped
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as exc:
        raise ConfigError(
            f'networks in .tflite files need LiteRT ({exc}); install it with `pip install "choreai[litert]"`'
        ) from exc
    try:
        with without_chatter():
            interpreter = Interpreter(model_content=data, num_threads=num_threads)
            interpreter.allocate_tensors()
    except _ERRORS as exc:
        first_line = (str(exc).strip().splitlines() or [type(exc).__name__])[0][:200]
        raise WeightsError(
            f"the file of {len(data)} bytes is not a .tflite network that can be run ({first_line}); it may be "
            "truncated"
        ) from exc
    return interpreter


def _without_outputs(data: bytes, unwanted: Collection[tuple[int, ...]]) -> bytes:
    """Return the network without the outputs of these shapes, and without the operators that only they need."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(data), 0))
    graph = model.subgraphs[0]
    graph.outputs = [index for index in graph.outputs if tuple(graph.tensors[index].shape[1:]) not in unwanted]
    needed, operators = set(graph.outputs), []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            needed.update(operator.inputs)
            operators.append(operator)
    graph.operators = operators[::-1]
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
