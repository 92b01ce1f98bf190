"""A style model that needs no training: it tells the styles of `moving_skeletons` by how the arms turn."""

from typing import Any

import numpy as np
import numpy.typing as npt
from moving_skeletons import FINGERPRINT, STYLES, dancer_xy
from torch import nn

from choreai.motion.kinematics import FEATURES
from choreai.motion.reasons import StyleReference
from choreai.motion.sequence import KeypointSequence
from choreai.motion.windows import WindowSettings, cut_windows
from choreai.style.examples import Inputs
from choreai.style.model import StyleModel, StyleModelConfig
from choreai.style.tagging import mean_kinematics

FloatArray = npt.NDArray[np.float32]
WINDOWS = WindowSettings(num_steps=24, window_seconds=2.0, stride_seconds=1.0, min_seconds=1.5, context_seconds=4.0)
_TURNS = np.array([(1, 1), (-1, -1), (1, -1)])  # of the left and the right wrist, by style
_WRISTS = (9, 10)


class ArmsModel(StyleModel):
    """Sure of a style as far as both wrists turn its way; wrists that do not turn leave it in doubt."""

    def window_log_scores(self, inputs: Inputs) -> FloatArray:
        sides = []
        for wrist in _WRISTS:
            xy = inputs.steps[:, :, [3 * wrist, 3 * wrist + 1]]
            xy = xy - xy.mean(axis=1, keepdims=True)
            before, after = xy[:, :-1], xy[:, 1:]
            turn = (before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0]).sum(axis=1)
            sides.append(turn / ((xy**2).sum(axis=(1, 2)) + 1e-3))
        logits = 20 * np.stack(sides, axis=1) @ _TURNS.T
        return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def arms_model(**config: Any) -> ArmsModel:
    settings = {"unknown_below": 0.6, **config}
    return ArmsModel(
        networks=(nn.Identity(),),
        config=StyleModelConfig(
            labels=STYLES,
            pose_fingerprint=FINGERPRINT,
            windows=WINDOWS,
            network="style",
            hidden_size=1,
            num_members=1,
            **settings,
        ),
    )


def rows_of(*tracks: FloatArray, starts: tuple[float, ...] = ()) -> KeypointSequence:
    """The rows of a video, 10 frames a second: a track for each (N, 17, 2), from its start on."""
    begins = starts or (0.0,) * len(tracks)
    counts = [len(xy) for xy in tracks]
    seconds = [begin + np.arange(n) / 10 for begin, n in zip(begins, counts, strict=True)]
    return KeypointSequence(
        frame_index=np.rint(np.concatenate(seconds) * 10).astype(np.int32),
        pts_seconds=np.concatenate(seconds).astype(np.float32),
        track_id=np.repeat(np.arange(len(tracks), dtype=np.int32), counts),
        keypoints_xy=np.concatenate(tracks).astype(np.float32),
        keypoint_scores=np.full((sum(counts), 17), 0.9, np.float32),
        keypoints_xyz=None,
    )


def still_xy(num_frames: int = 60) -> np.ndarray:
    """Someone whose arms hang: what the model has no opinion of."""
    return np.repeat(dancer_xy("clockwise", seed=1)[:1], num_frames, axis=0)


def references(**offsets: float) -> dict[str, StyleReference]:
    """What the styles measure: this dancer's features, those of the hands' speed further on by style."""
    rows = rows_of(dancer_xy("clockwise", seed=3))
    own = mean_kinematics(cut_windows(rows, WINDOWS).kinematic_features)
    known = {name: value for name in FEATURES if np.isfinite(value := getattr(own, name))}
    return {
        style: StyleReference(
            median={n: v + (offset if n == "hands_speed_mean" else 0) for n, v in known.items()},
            spread={n: 0.2 for n in known},
            num_videos=9,
        )
        for style, offset in offsets.items()
    }
