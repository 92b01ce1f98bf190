"""Write an AlphaPose network as an .onnx file, for onnxruntime."""

import copy
import tempfile
import warnings
from pathlib import Path

import torch

from choreai.errors import WeightsError
from choreai.pose.alphapose.checkpoint import PoseNetwork
from choreai.pose.alphapose.inference import fold_batch_norms
from choreai.pose.crops import ALPHAPOSE_CROPS

OPSET = 17


def export_onnx(network: PoseNetwork) -> bytes:
    """Return the network, batch norms folded, as the bytes of an .onnx file that takes any number of crops.

    Raises WeightsError for heatmaps that are decoded other than by their peak, and for deformable convolutions.
    """
    if network.loss != "MSELoss":
        raise WeightsError(
            f"the network was trained with {network.loss}; only heatmaps that are decoded by their peak (MSELoss) can "
            "be written as .onnx"
        )
    if network.architecture.deformable:
        raise WeightsError("deformable convolutions (DCN) cannot be written as .onnx; give a checkpoint without them")
    module = copy.deepcopy(network.module)
    fold_batch_norms(module)
    height, width = ALPHAPOSE_CROPS.size_hw
    with tempfile.TemporaryDirectory(prefix="choreai-onnx-") as folder, warnings.catch_warnings():
        path = Path(folder) / "network.onnx"
        # The newer exporter needs one more package, and writes the same operators.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(2, 3, height, width),),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=["crops"],
            output_names=["heatmaps"],
            dynamic_axes={"crops": {0: "N"}, "heatmaps": {0: "N"}},
        )
        return path.read_bytes()
