"""What the lifter's network reads: keypoints in the picture without the place and the size that they have there."""

import torch
from torch import Tensor
from torch.nn import functional

from choreai.lift.network import CONTEXT
from choreai.motion.skeleton import LEFT_HIP, RIGHT_HIP

MIN_SIZE = 1e-6


def network_inputs(xy_BTK2: Tensor, seen_BTK: Tensor) -> Tensor:
    """Return (B, T, NUM_INPUTS) of keypoints in pixels, or any other unit, and whether each was seen (bool).

    Origin is the frame's hip centre, held where a hip was not seen; the unit is the root mean square distance of the
    seen keypoints from it, over the frames within `CONTEXT`. Coordinates of unseen keypoints do not matter.
    """
    xy = torch.where(seen_BTK[..., None], xy_BTK2, 0.0)
    hips_seen = seen_BTK[..., LEFT_HIP] & seen_BTK[..., RIGHT_HIP]
    origin = _held((xy[..., LEFT_HIP, :] + xy[..., RIGHT_HIP, :]) / 2, hips_seen)
    away = torch.where(seen_BTK[..., None], xy - origin[..., None, :], 0.0)
    unit = _mean_size(away, seen_BTK)[..., None]
    step = torch.diff(origin, dim=1, prepend=origin[:, :1]) / unit
    keypoints = torch.cat([away / unit[..., None], seen_BTK[..., None].to(away.dtype)], -1).flatten(2)
    return torch.cat([keypoints, step.clamp(-1, 1), hips_seen[..., None].to(away.dtype)], -1)


def _held(points_BT2: Tensor, known_BT: Tensor) -> Tensor:
    """Return each frame's point, where it is not known the last one that was, before the first known that one."""
    index = torch.arange(points_BT2.shape[1], device=points_BT2.device).expand(known_BT.shape)
    last = torch.where(known_BT, index, -1).cummax(1).values
    first = known_BT.to(torch.int64).argmax(1, keepdim=True)
    return points_BT2.gather(1, torch.where(last >= 0, last, first)[..., None].expand_as(points_BT2))


def _mean_size(away_BTK2: Tensor, seen_BTK: Tensor) -> Tensor:
    """Return (B, T) the size of the person around each frame."""
    squares, counts = away_BTK2.square().sum((2, 3)), seen_BTK.sum(2).to(away_BTK2.dtype)
    sums = [
        functional.avg_pool1d(values[:, None], CONTEXT, 1, CONTEXT // 2, count_include_pad=True)[:, 0]
        for values in (squares, counts)
    ]
    return (sums[0] / sums[1].clamp_min(1e-6)).sqrt().clamp_min(MIN_SIZE)
