"""Run an AlphaPose network for the top-down estimator: in a few batch sizes and, on request, compiled or in lower
precision, provided that keypoints do not move."""

import logging
import threading
from typing import Literal

import torch
from torch import nn

from choreai.errors import ConfigError, WeightsError
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.alphapose.checkpoint import PoseNetwork
from choreai.pose.alphapose.cuda_graphs import CudaGraphs
from choreai.pose.alphapose.inference import predict_heatmaps, prepare
from choreai.pose.alphapose.keypoints import mirror_order_of_kept
from choreai.pose.crop_keypoints import CropKeypoints
from choreai.pose.crops import ALPHAPOSE_CROPS
from choreai.pose.heatmaps import decode_heatmaps, decoding_for
from choreai.pose.nms import constants_for

logger = logging.getLogger(__name__)

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

MAX_MEAN_DISTANCE = 0.5
"""How far a faster network's keypoints may be off, in crop pixels (a heatmap pixel is 4, a standing person about 200
high)."""
MIN_COMPARED = 200
"""Number of keypoints to compare before a faster network is trusted."""


class AlphaPoseNetwork:
    """A `CropPoseNetwork` of an AlphaPose checkpoint.

    With `precision` other than fp32, or `compiled`, the first crops also go through the plain network: raises
    ConfigError if the mean distance of its confident keypoints exceeds `MAX_MEAN_DISTANCE`.
    """

    crop_settings = ALPHAPOSE_CROPS

    def __init__(
        self,
        network: PoseNetwork,
        *,
        device: torch.device,
        largest_batch: int,
        precision: Precision = "fp32",
        compiled: bool = False,
        flip: bool = False,
    ) -> None:
        """Prepare the network. Batches are padded to powers of two, up to `largest_batch`. `flip` turns on the flip
        test, which averages the heatmaps of each crop and its mirror image and takes twice the time."""
        self._decoding = decoding_for(network.architecture.num_keypoints, network.loss)
        self.num_keypoints = self._decoding.num_keypoints
        if network.architecture.num_keypoints == 21 or self.num_keypoints < NUM_KEYPOINTS:
            raise WeightsError(
                f"the checkpoint has {network.architecture.num_keypoints} keypoints, which do not begin with the 17 "
                "of COCO (21 are one hand's); give one with 17, 26, 68, 133 or 136"
            )
        self.constants = constants_for(network.loss)
        self._largest_batch = largest_batch
        self._mirror = self._mirror_for(network.architecture.num_keypoints) if flip else None
        self._settings: dict[str, str | int | float | bool] = {
            "pose_network": network.architecture.type,
            "pose_network_sha256": network.sha256,
            "loss": network.loss,
            "flip": flip,
            "precision": precision,
        }
        self._network = prepare(network.module, device=device, dtype=DTYPES[precision], to_compile=compiled)
        self._comparison: _Comparison | None = None
        if precision != "fp32" or compiled:
            exact = prepare(network.module, device=device)
            self._comparison = _Comparison(exact, sure_score=self.constants.score_threshold)
        if compiled:
            self._network = _Compiled(self._network)
        self._is_padded = compiled or device.type == "cuda"
        self._graphs = CudaGraphs(self._heatmaps) if device.type == "cuda" else None

    def settings(self) -> dict[str, str | int | float | bool]:
        return self._settings

    def _mirror_for(self, num_heatmaps: int) -> tuple[int, ...]:
        """Return the order of mirrored heatmaps. Raises ConfigError for keypoints whose mirror images nobody knows."""
        try:
            return mirror_order_of_kept(num_heatmaps, num_kept=self.num_keypoints)
        except ValueError as exc:
            raise ConfigError(f"flip: {exc}; leave it out") from exc

    def find_keypoints(self, crops_P3HW: torch.Tensor) -> CropKeypoints:
        num_people = len(crops_P3HW)
        crops = _pad(crops_P3HW, bucket_for(num_people, largest=self._largest_batch)) if self._is_padded else crops_P3HW
        heatmaps = self._graphs.run(crops) if self._graphs is not None and num_people else self._heatmaps(crops)
        found = self._decode(heatmaps[:num_people])
        comparison = self._comparison
        if comparison is not None:
            exact = self._decode(predict_heatmaps(comparison.exact, crops_P3HW, mirror=self._mirror))
            if comparison.add(found, exact):
                self._comparison = None  # and the exact network with it
        return found

    def _heatmaps(self, crops: torch.Tensor) -> torch.Tensor:
        return predict_heatmaps(self._network, crops, mirror=self._mirror)

    def _decode(self, heatmaps: torch.Tensor) -> CropKeypoints:
        height, width = self.crop_settings.size_hw
        # With the crop itself as the box, "frame" pixels are the crop's.
        whole_crop = torch.tensor([[0, 0, width, height]], dtype=torch.float32).expand(len(heatmaps), 4).numpy()
        found = decode_heatmaps(heatmaps, whole_crop, decoding=self._decoding)
        return CropKeypoints(found.xy, found.scores)


def bucket_for(num_people: int, *, largest: int) -> int:
    """Return the batch size that crops are padded to: the next power of two, at most `largest` if they fit."""
    if num_people < 1:
        return num_people
    return max(num_people, min(1 << (num_people - 1).bit_length(), largest))


def _pad(crops: torch.Tensor, bucket: int) -> torch.Tensor:
    if bucket == len(crops):
        return crops
    return torch.cat((crops, crops.new_zeros(bucket - len(crops), *crops.shape[1:])))


class _Compiled(nn.Module):
    """A network that is compiled for each batch size when it first occurs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        # Freezing makes the weights constants, whose layout oneDNN then optimises beforehand.
        self._compiled = torch.compile(network, dynamic=False, options={"freezing": True})

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        from torch._dynamo.exc import BackendCompilerFailed

        try:
            return self._compiled(crops)
        except BackendCompilerFailed as exc:
            reason = str(exc).strip().splitlines()[0]
            raise ConfigError(f"the pose network cannot be compiled ({reason}); set compile = false") from exc


class _Comparison:
    """Compares a faster network's keypoints with the exact one's, until enough were seen, of whatever threads."""

    def __init__(self, exact: nn.Module, *, sure_score: float) -> None:
        self.exact = exact
        self._sure_score = sure_score
        self._distances = torch.zeros(0)
        self._lock = threading.Lock()

    def add(self, found: CropKeypoints, exact: CropKeypoints) -> bool:
        """Compare a batch; return whether enough keypoints have been compared by now, and were close enough.

        Raises ConfigError if they are not close enough. Keypoints that the exact network scores below `sure_score` are
        left out, because their peaks are noise.
        """
        of_batch = (found.xy - exact.xy).norm(dim=-1)[exact.scores >= self._sure_score]
        with self._lock:
            self._distances = distances = torch.cat((self._distances, of_batch.cpu()))
        if len(distances) < MIN_COMPARED:
            return False
        mean, share_moved = float(distances.mean()), float((distances > 4).float().mean())
        figures = (
            f"{len(distances)} keypoints lie {mean:.3f} crop pixels from the exact network's on average "
            f"(allowed: {MAX_MEAN_DISTANCE:g}), {100 * share_moved:.1f} % of them more than 4"
        )
        if not mean <= MAX_MEAN_DISTANCE:
            raise ConfigError(f'precision or compile: {figures}; set precision = "fp32" and compile = false')
        logger.info("the faster pose network passed the check: %s", figures)
        return True
