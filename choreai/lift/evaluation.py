"""How far lifted poses are from the truth: on movement held out of training, through virtual cameras.

MPJPE is the mean distance of the joints, hips on hips; PA is what is left of it after the best turn, scale and shift.
Bodies are of standard size, so that neither has a share of an unknown height.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from choreai.arrays import Float64Array, FloatArray
from choreai.lift.motions import Motion
from choreai.lift.network import LifterNetwork
from choreai.lift.views import draw_view
from choreai.motion.skeleton3d import aligned_error, joint_error, limb_variation, steady_limbs

MAX_FRAMES = 300
"""Of each recording: twenty seconds from its middle."""
NUM_VIEWS = 4


@dataclass(frozen=True)
class LiftErrors:
    """Errors over recordings, millimetres: means over the frames of a recording, then over recordings."""

    num_recordings: int
    joint_mm: float
    """MPJPE."""
    aligned_mm: float
    """PA-MPJPE."""
    limb_variation: float
    """The largest of a track."""


def errors_of(poses: Sequence[FloatArray], truths: Sequence[FloatArray | Float64Array]) -> LiftErrors:
    """Return the errors of tracks of poses (F, 17, 3), metres, hip-centred. Raises ValueError where there are none."""
    if not poses:
        raise ValueError("errors_of needs one recording or more")
    pairs = list(zip(poses, truths, strict=True))
    return LiftErrors(
        num_recordings=len(pairs),
        joint_mm=1000 * float(np.mean([joint_error(xyz, truth).mean() for xyz, truth in pairs])),
        aligned_mm=1000 * float(np.mean([aligned_error(xyz, truth).mean() for xyz, truth in pairs])),
        limb_variation=max(limb_variation(xyz) for xyz in poses),
    )


def judge(network: LifterNetwork, motions: Sequence[Motion], *, seed: int = 0) -> dict[str, LiftErrors]:
    """Return the errors on movement that the network was not trained on, by label, each from some random cameras
    through the noise of training."""
    random = torch.Generator().manual_seed(seed)
    poses, truths = defaultdict[str, list[FloatArray]](list), defaultdict[str, list[FloatArray]](list)
    network.eval()
    for motion in motions:
        middle = len(motion.xyz) // 2
        cut = motion.xyz[max(middle - MAX_FRAMES // 2, 0) : middle + MAX_FRAMES // 2]
        sequences = torch.from_numpy(np.repeat(cut[None].astype(np.float32), NUM_VIEWS, axis=0))
        view = draw_view(sequences, random)
        with torch.inference_mode():
            found = network(view.inputs).numpy()
        poses[motion.label] += [steady_limbs(each) for each in found]
        truths[motion.label] += list(view.poses.numpy())
    return {label: errors_of(poses[label], truths[label]) for label in sorted(poses)}


def split_motions(motions: Sequence[Motion], held_out: Collection[str]) -> tuple[list[Motion], list[Motion]]:
    """Return the motion to train on, and that to judge by: of the groups or labels in `held_out`, of every fourth
    group where there are none."""
    groups = sorted({motion.group for motion in motions})
    chosen = set(held_out) or set(groups[3::4])
    judged = [motion for motion in motions if {motion.group, motion.label} & chosen]
    return [motion for motion in motions if not {motion.group, motion.label} & chosen], judged
