"""Run networks in .onnx files with onnxruntime, in whatever layout and batch size they were exported."""

import hashlib
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from choreai.arrays import FloatArray
from choreai.errors import ConfigError, WeightsError
from choreai.pose.weights import read_weights

Input = npt.NDArray[np.float32] | npt.NDArray[np.float16]
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNetwork:
    """A network with one image input, ready to run; `size_hw` is its input size, `sha256` the hash of its file."""

    def __init__(
        self,
        model: bytes | Path | BinaryIO,
        *,
        num_threads: int,
        device: Literal["cpu", "cuda"] = "cpu",
        free_size_hw: tuple[int, int] | None = None,
    ) -> None:
        """Open the file and run one black image, so that a network that cannot run fails here.

        A network of any height and width is run at `free_size_hw`; None refuses it.

        Raises WeightsError for a file that is not a complete ONNX network with its weights inside, and for inputs
        other than one (N, 3, H, W) or (N, H, W, 3) of fixed H and W; ConfigError if onnxruntime is missing or cannot
        use the device.
        """
        data = read_weights(model)
        self._session = _open_session(data, num_threads=num_threads, device=device)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        """What whoever made the file wrote into it, by name."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = [f"{one.name} {one.shape}" for one in inputs]
            raise WeightsError(f"the ONNX network must have one input, images; this one has {len(inputs)}: {names}")
        self._name = inputs[0].name
        if inputs[0].type not in DTYPES:
            raise WeightsError(f"the ONNX network's input must be {' or '.join(DTYPES)}, got {inputs[0].type}")
        self._dtype = DTYPES[inputs[0].type]
        self._fixed_batch, self._channels_last, self.size_hw = _read_input_shape(inputs[0].shape, free_size_hw)
        self._output_names: list[str] = [one.name for one in self._session.get_outputs()]
        outputs = self.run(np.zeros((1, 3, *self.size_hw), np.float32))
        self.output_shapes: dict[str, tuple[int, ...]] = {
            name: output.shape[1:] for name, output in zip(self._output_names, outputs, strict=True)
        }
        """Output shapes for one image (without the batch dimension) by name, in order."""

    def run(self, images_N3HW: FloatArray) -> list[FloatArray]:
        """Return the outputs, each (N, ...) float32; a network of fixed batch size is run as often as necessary."""
        num_images = len(images_N3HW)
        size = self._fixed_batch or max(num_images, 1)
        parts = [self._run_once(images_N3HW[first : first + size]) for first in range(0, num_images, size)]
        if not parts:
            return [np.zeros((0, *shape), np.float32) for shape in self.output_shapes.values()]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def feed(self, images_N3HW: FloatArray) -> dict[str, Input]:
        """Return the network's input by name, in its layout and type, filled up to a fixed batch size."""
        missing = (self._fixed_batch or len(images_N3HW)) - len(images_N3HW)
        inputs = np.pad(images_N3HW, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else images_N3HW
        inputs = inputs.transpose(0, 2, 3, 1) if self._channels_last else inputs
        return {self._name: np.ascontiguousarray(inputs, self._dtype)}

    def _run_once(self, images_N3HW: FloatArray) -> list[FloatArray]:
        num_images = len(images_N3HW)
        feed = self.feed(images_N3HW)
        inputs = feed[self._name]
        try:
            outputs = self._session.run(None, feed)
        except _onnxruntime_errors() as exc:
            raise WeightsError(
                f"the ONNX network fails on {feed[self._name].shape} images: {_first_line(exc)}"
            ) from exc
        for name, output in zip(self._output_names, outputs, strict=True):
            if not isinstance(output, np.ndarray) or output.ndim < 1 or len(output) != len(inputs):
                found = getattr(output, "shape", type(output).__name__)
                raise WeightsError(f"the ONNX network outputs {found} as {name} for {len(inputs)} images")
        return [output[:num_images].astype(np.float32, copy=False) for output in outputs]


def _open_session(data: bytes, *, num_threads: int, device: Literal["cpu", "cuda"]) -> Any:  # onnxruntime is untyped
    try:
        import onnxruntime
    except ImportError as exc:
        raise ConfigError(
            f'networks in .onnx files need onnxruntime ({exc}); install it with `pip install "choreai[onnx]"`'
        ) from exc

    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise ConfigError(
            f"this onnxruntime has no {provider}; install onnxruntime-gpu in place of onnxruntime, or run .onnx "
            "networks on the CPU"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    # A thread that spins while waiting takes CPU time from the decoder and from other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors only; unused initialisers do not matter here
    try:
        session = onnxruntime.InferenceSession(data, options, providers=[provider])
    except _onnxruntime_errors() as exc:
        raise WeightsError(
            f"the file of {len(data)} bytes is not an ONNX network that can be run ({_first_line(exc)}); it may be "
            "truncated, keep its weights in a second file, or need a newer onnxruntime"
        ) from exc
    if session.get_providers()[0] != provider:
        raise ConfigError(f"onnxruntime could not start {provider}: check the CUDA and cuDNN it was built for")
    return session


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Return all of onnxruntime's exception classes, which share no base class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)


def _read_input_shape(
    shape: list[int | str | None], free_size_hw: tuple[int, int] | None
) -> tuple[int | None, bool, tuple[int, int]]:
    """Return the batch size (None: any), whether channels come last, and height and width."""
    advice = "export it with input (N, 3, height, width) or (N, height, width, 3) and a fixed height and width"
    if len(shape) != 4:
        raise WeightsError(f"the ONNX network's input is {shape}, not a batch of images; {advice}")
    channels_last = shape[3] == 3 and shape[1] != 3
    height, width = shape[1:3] if channels_last else shape[2:]
    channels = shape[3] if channels_last else shape[1]
    if free_size_hw and not isinstance(height, int) and not isinstance(width, int):
        height, width = free_size_hw
    if channels != 3 or not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 1:
        raise WeightsError(f"the ONNX network's input is {shape}; {advice}")
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
    return batch, channels_last, (height, width)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
