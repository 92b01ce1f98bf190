"""Networks of a few nodes as .onnx bytes, whose answers are known by hand."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, helper, numpy_helper

Dimension = int | str


def serialize(
    nodes: Sequence[object],
    inputs: dict[str, Sequence[Dimension]],
    outputs: dict[str, Sequence[Dimension]],
    constants: dict[str, np.ndarray],
    *,
    dtype: int = TensorProto.FLOAT,
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(name, dtype, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, list(shape)) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def heatmap_network(
    *, batch: Dimension = "N", size_hw: tuple[int, int] = (64, 48), channels_last: bool = False, dtype: int = 1
) -> bytes:
    """Three keypoints: the heatmaps are each colour's every fourth pixel."""
    height, width = size_hw
    shape: list[Dimension] = [batch, height, width, 3] if channels_last else [batch, 3, height, width]
    element = helper.tensor_dtype_to_np_dtype(dtype)
    turn = [helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2])] if channels_last else []
    conv = helper.make_node("Conv", [turn[0].output[0] if turn else "images", "weight"], ["heatmaps"], strides=[4, 4])
    return serialize(
        [*turn, conv],
        {"images": shape},
        {"heatmaps": [batch, 3, height // 4, width // 4]},
        {"weight": np.eye(3, dtype=element).reshape(3, 3, 1, 1)},
        dtype=dtype,
    )


def simcc_network(*, batch: Dimension = "N", size_hw: tuple[int, int] = (64, 48), split_ratio: int = 2) -> bytes:
    """Three keypoints: bin `split_ratio` * u of a colour's x is the maximum of its column u, and so for its rows."""
    height, width = size_hw

    def spread(pixels: int) -> np.ndarray:
        bins = np.zeros((pixels, split_ratio * pixels), np.float32)
        bins[np.arange(pixels), split_ratio * np.arange(pixels)] = 1
        return bins

    return serialize(
        [
            helper.make_node("ReduceMax", ["images"], ["columns"], axes=[2], keepdims=0),
            helper.make_node("ReduceMax", ["images"], ["rows"], axes=[3], keepdims=0),
            helper.make_node("MatMul", ["columns", "x_bins"], ["simcc_x"]),
            helper.make_node("MatMul", ["rows", "y_bins"], ["simcc_y"]),
        ],
        {"images": [batch, 3, height, width]},
        {"simcc_x": [batch, 3, split_ratio * width], "simcc_y": [batch, 3, split_ratio * height]},
        {"x_bins": spread(width), "y_bins": spread(height)},
    )


def constant_network(
    *answers: np.ndarray, size_hw: tuple[Dimension, Dimension] = (64, 64), num_inputs: int = 1
) -> bytes:
    """Answers the same for every image (a batch of one)."""
    shape = [1, 3, *size_hw]
    names = ["images", *(f"more{index}" for index in range(1, num_inputs))]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "mean"], ["zero"]),
    ]
    outputs = [f"answer{index}" for index in range(len(answers))]
    nodes += [helper.make_node("Add", [f"constant{index}", "zero"], [name]) for index, name in enumerate(outputs)]
    return serialize(
        nodes,
        dict.fromkeys(names, shape),
        {name: answer.shape for name, answer in zip(outputs, answers, strict=True)},
        {f"constant{index}": answer.astype(np.float32) for index, answer in enumerate(answers)},
    )
