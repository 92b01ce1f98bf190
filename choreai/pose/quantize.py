"""Make int8 networks of .onnx files by onnxruntime's static quantization: 8-bit weights for each channel, 8-bit
activations whose ranges come from calibration images."""

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreai.arrays import FloatArray
from choreai.errors import ConfigError, WeightsError
from choreai.pose.int8_record import KEY, Int8Record
from choreai.pose.onnx_session import Input, OnnxNetwork

OPSET = 17
"""Weights have one scale a channel from opset 13 on; older files are converted."""
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_OPERATORS = ["Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "MaxPool", "Concat", "Resize"]
"""Gates (sigmoid, product) stay in float32: they cost little, and what they scale is sensitive to them."""


@dataclass(frozen=True)
class Recipe:
    """Which layers compute in float32 still."""

    num_first: int
    """Number of convolutions, from the input on."""
    num_last: int
    """Levels of convolutions, from the outputs back: 1 are those that no other follows."""
    depthwise: bool = False
    """Grouped convolutions too, whose channels differ so much in range that they hardly share one."""

    def __str__(self) -> str:
        ends = f"first {self.num_first}, last {self.num_last}" if self.num_first or self.num_last else "none"
        return f"{ends}, depthwise" if self.depthwise else ends


RECIPES = (Recipe(0, 0), Recipe(1, 1), Recipe(1, 3, depthwise=True), Recipe(3, 6, depthwise=True))
"""From the fastest on."""


class Quantizer:
    """A float32 network, its batch norms folded, ready to be made int8 by several recipes."""

    def __init__(self, model: bytes, network: OnnxNetwork, images: Sequence[FloatArray]) -> None:
        """Calibrate with `images`, each (1, 3, H, W) as `network` (that of `model`) takes them. Raises ConfigError
        without the onnx package, WeightsError for a network that cannot be converted."""
        check_onnx()
        self._network, self._images = network, images
        self._model = _folded(model)

    def quantize(self, recipe: Recipe) -> bytes:
        """Return the int8 network as the bytes of an .onnx file."""
        from onnxruntime import quantization

        with tempfile.TemporaryDirectory(prefix="choreai-int8-") as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source, output = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
            source.write_bytes(self._model.SerializeToString())
            quantization.quantize_static(
                source,
                output,
                _reader(self._network.feed(image) for image in self._images),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_OPERATORS,
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                activation_type=quantization.QuantType.QUInt8,
                nodes_to_exclude=self._kept(recipe),
            )
            return output.read_bytes()

    def _kept(self, recipe: Recipe) -> list[str]:
        """What follows the last convolutions is kept too: answers of many kinds side by side share no range."""
        convolutions = [node.name for node in self._model.graph.node if node.op_type in _CONVOLUTIONS]
        levels = _levels(self._model.graph)
        last = [name for name, level in levels.items() if level <= recipe.num_last]
        depthwise = [node.name for node in self._model.graph.node if _is_depthwise(node)] if recipe.depthwise else []
        return [*convolutions[: recipe.num_first], *last, *depthwise]


def _is_depthwise(node: Any) -> bool:
    return node.op_type == "Conv" and any(entry.name == "group" and entry.i > 1 for entry in node.attribute)


def _levels(graph: Any) -> dict[str, int]:
    """Return for each node how many convolutions lie on the longest way from it to an output, itself included."""
    following: dict[str, int] = {}
    levels: dict[str, int] = {}
    for node in reversed(graph.node):
        after = max((following.get(name, 0) for name in node.output), default=0)
        levels[node.name] = after + (node.op_type in _CONVOLUTIONS)
        for name in node.input:
            following[name] = max(following.get(name, 0), levels[node.name])
    return levels


def with_record(model: bytes, record: Int8Record) -> bytes:
    """Return an .onnx file with the record in its metadata."""
    import onnx

    found = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(found, {KEY: record.to_json()})
    return bytes(found.SerializeToString())


def check_onnx() -> None:
    """Raise ConfigError where the package that writes .onnx files is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime.quantization  # noqa: F401
    except ImportError as exc:
        raise ConfigError(f'int8 needs onnx ({exc}); install it with `pip install "choreai[int8]"`') from exc


def _folded(model: bytes) -> Any:  # an onnx.ModelProto
    """Return the network with batch norms folded and nothing but images as its input, at least of opset 13."""
    import onnx
    import onnx.version_converter
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="choreai-int8-") as folder:
        path = Path(folder) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        folded = onnx.load_model(path)
    folded.ir_version = max(folded.ir_version, 8)  # from 4 on weights need not be inputs too
    (version,) = [entry.version for entry in folded.opset_import if entry.domain in ("", "ai.onnx")]
    if version < 13:
        try:
            folded = onnx.version_converter.convert_version(folded, OPSET)
        except (RuntimeError, IndexError) as exc:
            raise WeightsError(
                f"the ONNX network of opset {version} cannot be converted to {OPSET}, which int8 needs "
                f"({str(exc)[:200]}); export it again"
            ) from exc
    onnx.helper.set_model_props(
        folded, {"onnx.quant.pre_process": "onnxruntime.quant"}
    )  # else it warns that it was not
    return _without_weights_as_inputs(folded)


def _without_weights_as_inputs(model: Any) -> Any:
    """A weight that is an input too could be replaced, so onnxruntime would not fuse it."""
    weights = {weight.name for weight in model.graph.initializer}
    for entry in [entry for entry in model.graph.input if entry.name in weights]:
        model.graph.input.remove(entry)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    return model


def _reader(feeds: Iterator[dict[str, Input]]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def get_next(self) -> dict[str, Input] | None:
            return next(feeds, None)

    return Reader()
