"""Skeletons of people who do not dance: they walk past, walk towards the camera, stand and wait."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
FRAMES_PER_SECOND = 10.0
TORSO_PIXELS = 60.0


def everyday_xy(kind: str, *, seed: int, num_seconds: float = 8.0) -> FloatArray:
    """(N, 17, 2) pixels at 10 frames a second: `kind` is "past", "towards" or "standing".

    Limbs in torso lengths (Drillis and Contini's ratios, roughly); gait as in textbooks: thighs swing 25 degrees
    each way, knees bend up to 60, arms swing against the legs, about 1.7 steps a second at 2.6 torso lengths a second.
    """
    rng = np.random.default_rng([seed, len(kind)])
    seconds = np.arange(round(num_seconds * FRAMES_PER_SECOND)) / FRAMES_PER_SECOND
    if kind == "standing":
        body = _standing(seconds, rng)
    else:
        body = _walking(seconds, rng, from_side=kind == "past")
    pixels = body * TORSO_PIXELS + rng.uniform(200, 400, 2)
    return (pixels + rng.normal(0, 1.0, pixels.shape)).astype(np.float32)


def _walking(seconds: npt.NDArray[np.float64], rng: np.random.Generator, *, from_side: bool) -> npt.NDArray[np.float64]:
    steps_per_second, swing = rng.uniform(1.5, 1.9), np.radians(rng.uniform(20, 28))
    phase = np.pi * steps_per_second * seconds + rng.uniform(0, 2 * np.pi)
    heading = rng.choice([-1.0, 1.0])
    xy = np.zeros((len(seconds), 17, 2))
    half_hips, half_shoulders = (0.03, 0.04) if from_side else (0.2, 0.36)
    for side, (shoulder, elbow, wrist, hip, knee, ankle) in enumerate([(5, 7, 9, 11, 13, 15), (6, 8, 10, 12, 14, 16)]):
        out = (1 - 2 * side) * 1.0
        leg = swing * np.sin(phase + np.pi * side)
        bend = np.radians(10) + np.radians(50) * np.maximum(0, np.sin(phase + np.pi * side + 1.2)) ** 2
        arm = -0.8 * leg
        along = heading if from_side else 0.0
        xy[:, hip] = [out * half_hips, 0]
        xy[:, knee] = xy[:, hip] + 0.85 * np.stack([along * np.sin(leg), np.cos(leg)], 1)
        xy[:, ankle] = xy[:, knee] + 0.85 * np.stack([along * np.sin(leg - bend), np.cos(leg - bend)], 1)
        xy[:, shoulder] = [out * half_shoulders, -1.0]
        xy[:, elbow] = xy[:, shoulder] + 0.58 * np.stack([along * np.sin(arm), np.cos(arm)], 1)
        forearm = arm + np.radians(25)
        xy[:, wrist] = xy[:, elbow] + 0.5 * np.stack([along * np.sin(forearm), np.cos(forearm)], 1)
    xy[:, :5] = [0.1 * heading * from_side, -1.5]
    xy[:, 1:5] += np.array([[0.04, -0.05], [-0.04, -0.05], [0.1, 0], [-0.1, 0]]) * (0.3 if from_side else 1.0)
    xy[..., 1] += 0.04 * np.cos(2 * phase)[:, None]
    if from_side:
        xy[..., 0] += heading * 1.53 * steps_per_second * seconds[:, None]
        return xy
    return xy * (1 + 0.06 * seconds)[:, None, None]  # coming closer


def _standing(seconds: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    xy = np.zeros((len(seconds), 17, 2))
    xy[:, :5] = [(0, -1.5), (0.04, -1.55), (-0.04, -1.55), (0.1, -1.5), (-0.1, -1.5)]
    xy[:, 5:11] = [(0.36, -1), (-0.36, -1), (0.42, -0.42), (-0.42, -0.42), (0.4, 0.08), (-0.4, 0.08)]
    xy[:, 11:] = [(0.2, 0), (-0.2, 0), (0.22, 0.85), (-0.22, 0.85), (0.22, 1.7), (-0.22, 1.7)]
    sway = 0.03 * np.sin(2 * np.pi * rng.uniform(0.1, 0.3) * seconds + rng.uniform(0, 6))
    return xy + sway[:, None, None] * np.linspace(1, 0, 17)[None, :, None] * [1, 0]
