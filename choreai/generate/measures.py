"""What a dance is measured by: how fast joints move, what shapes they make, whether feet slide, whether it keeps time.

Distances between sets of dances are Fréchet distances of Gaussians fitted to such measures, as the literature judges
generated dance (FID_k and FID_g; Li and others, "AI Choreographer", 2021). The measures here are our own, so that the
numbers compare with nothing but each other: always read them beside the distance of real dances to real dances.
"""

import numpy as np

from choreai.arrays import Float64Array
from choreai.generate.feet import LEGS
from choreai.generate.representation import heading

_SMALLEST = 1e-6
_TRENDS = 2
"""Slow movement that is not to the beat: a line and a curve are taken out."""


def kinetic(joints_xyz: Float64Array, *, frames_per_second: float) -> Float64Array:
    """Return (51,), on a log scale: each joint's mean speed along the floor and upwards, m/s, and the mean size of its
    acceleration, m/s²; of joints (F, 17, 3), F at least 3."""
    velocity = np.diff(joints_xyz, axis=0) * frames_per_second
    acceleration = np.diff(velocity, axis=0) * frames_per_second
    floor = np.linalg.norm(velocity[..., [0, 2]], axis=-1).mean(0)
    upward = np.abs(velocity[..., 1]).mean(0)
    return np.log(np.concatenate([floor, upward, np.linalg.norm(acceleration, axis=-1).mean(0)]) + 0.01)


def geometric(joints_xyz: Float64Array, *, standing_height: float) -> Float64Array:
    """Return (44,): mean and spread over time of 22 shapes the body makes, in heights of the hips of a standing body.

    Where hands, elbows, knees and feet are in the heading frame, how far apart they are, and how far limbs are bent.
    """
    joints = joints_xyz / standing_height
    root = joints[:, 11:13].mean(1)
    yaw = heading(joints)
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y, z = np.moveaxis(joints - root[:, None], -1, 0)
    local = np.stack([cos * x - sin * z, y, sin * x + cos * z], -1)
    places = local[:, [9, 10, 15, 16]].reshape(len(joints), 12)
    spans = [np.linalg.norm(local[:, a] - local[:, b], axis=1) for a, b in ((9, 10), (15, 16), (13, 14), (7, 8))]
    bends = [_bend(local, *limb) for limb in ((5, 7, 9), (6, 8, 10), *LEGS)]
    trunk = local[:, 5:7].mean(1)
    shapes = np.column_stack([places, *spans, *bends, trunk[:, 0], root[:, 1]])
    return np.concatenate([shapes.mean(0), np.log(shapes.std(0) + 0.01)])


def _bend(joints: Float64Array, start: int, middle: int, end: int) -> Float64Array:
    a, b = joints[:, start] - joints[:, middle], joints[:, end] - joints[:, middle]
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.arccos(np.clip(np.sum(a * b, axis=1) / np.maximum(size, _SMALLEST), -1, 1))


def foot_slide(joints_xyz: Float64Array, *, standing_height: float, frames_per_second: float) -> float:
    """Return the mean speed along the floor, m/s, of ankles at most 2.5 cm above `standing_height`; NaN if none is."""
    ankles = joints_xyz[:, [leg[2] for leg in LEGS]]
    speed = np.linalg.norm(np.diff(ankles, axis=0)[..., [0, 2]], axis=-1) * frames_per_second
    low = np.maximum(ankles[1:, :, 1], ankles[:-1, :, 1]) < standing_height + 0.025
    return float(speed[low].mean()) if low.any() else float("nan")


def beat_coherence(joints_xyz: Float64Array, beat: Float64Array) -> float:
    """Return the share, in [0, 1], of the joints' variance that repeats with the beat.

    It is the part that sines of half the beat's rate, the beat's and twice it explain, with `beat` (F,) the time in
    beats; slow trends are taken out first.
    """
    moves = (joints_xyz - joints_xyz[:, 11:13].mean(1, keepdims=True)).reshape(len(joints_xyz), -1)
    moves = np.column_stack([moves, joints_xyz[:, 11:13].mean(1)])
    phase = 2 * np.pi * np.outer(beat, [0.5, 1.0, 2.0])
    trend = np.vander(np.linspace(-1, 1, len(beat)), _TRENDS + 1)
    slow = trend @ np.linalg.lstsq(trend, moves, rcond=None)[0]
    left = moves - slow
    waves = np.column_stack([np.sin(phase), np.cos(phase), trend])
    explained = waves @ np.linalg.lstsq(waves, left, rcond=None)[0]
    return float(np.square(explained).sum() / max(np.square(left).sum(), _SMALLEST))


def frechet_distance(some: Float64Array, others: Float64Array) -> float:
    """Return the Fréchet distance of two sets of measures (N, D) and (M, D), each taken for a Gaussian.

    The formula is Dowson and Landau's (1982). Every measure counts in standard deviations of `others`. Raises
    ValueError for fewer than two in a set.
    """
    if min(len(some), len(others)) < 2:
        raise ValueError(f"two of each are needed, got {len(some)} and {len(others)}")
    centre, spread = others.mean(0), np.maximum(others.std(0), _SMALLEST)
    first, second = (some - centre) / spread, (others - centre) / spread
    between = _root(np.cov(first.T))
    both = np.linalg.eigvalsh(between @ np.cov(second.T) @ between)
    trace = np.trace(np.cov(first.T)) + np.trace(np.cov(second.T)) - 2 * np.sqrt(np.maximum(both, 0)).sum()
    return float(np.square(first.mean(0) - second.mean(0)).sum() + trace)


def _root(covariance: Float64Array) -> Float64Array:
    """Return the symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def mean_distance(measures: Float64Array) -> float:
    """Return the mean distance between any two of a set (N, D): how unlike each other they are."""
    apart = np.linalg.norm(measures[:, None] - measures[None], axis=-1)
    return float(apart[np.triu_indices(len(measures), 1)].mean())


def nearest_distance(windows: Float64Array, known: Float64Array) -> Float64Array:
    """Return, for each of `windows` (N, D), the distance to the nearest of `known` (M, D)."""
    square = np.square(windows).sum(1)[:, None] + np.square(known).sum(1)[None] - 2 * windows @ known.T
    return np.sqrt(np.maximum(square.min(1), 0))
