"""A video of any movement in space: a shaded body in a studio, with the music's sound under it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from choreai.arrays import Float64Array
from choreai.demo.joints import body_of_joints, skeleton_of_joints
from choreai.demo.look import Look
from choreai.demo.mesh import build_mesh
from choreai.demo.render import render_frames
from choreai.demo.scene import Camera, Scene
from choreai.video.encode import VideoWriter
from choreai.video.sound import Sound

SIZE_WH = (640, 360)
FRAMES_PER_SECOND = 30
FRAMED = 0.80
"""Share of the picture, across and up, that the dance may fill."""
_RISE = 0.9
"""Height of the camera over that of the body's middle, in metres of a body of 1.7."""


def film(
    path: Path,
    joints_xyz: Float64Array,
    *,
    frames_per_second: float,
    seed: int,
    comment: str,
    sound: Sound | None = None,
    size_wh: tuple[int, int] = SIZE_WH,
    view_yaw: float = 0.0,
    on_frame: Callable[[], None] = lambda: None,
) -> str:
    """Write joints (F, 17, 3), world metres with y up and the floor at y = 0, as an MP4 of a body.

    Return why there is no sound although there should be; "" if there is, or should be none.

    The seed decides how the dancer and the studio look; `view_yaw`, radians, walks the camera around the dancer, to the
    dancer's left. Raises StorageError if the file cannot be written.
    """
    joints = resample(joints_xyz, frames_per_second, FRAMES_PER_SECOND)
    joints = _turned(joints, -view_yaw)
    rng = np.random.default_rng(seed)
    look, body = Look.draw(rng), body_of_joints(joints, rng)
    scene = Scene.draw(rng, camera_for(joints, size_wh), look)
    frames = render_frames(build_mesh(body, look), skeleton_of_joints(body, joints), scene)
    with VideoWriter(path, comment=comment) as writer:
        writer.sound = sound
        for number, image in enumerate(frames):
            writer.write(image, number / FRAMES_PER_SECOND)
            on_frame()
    return writer.sound_problem


def resample(joints_xyz: Float64Array, before: float, after: float) -> Float64Array:
    """Return the joints (F, ...) at `before` frames a second at `after`, along smooth curves."""
    times = np.arange(len(joints_xyz)) / before
    wanted = np.arange(int(times[-1] * after + 1e-6) + 1) / after
    return np.asarray(CubicSpline(times, joints_xyz, axis=0)(wanted), np.float64)


def camera_for(joints_xyz: Float64Array, size_wh: tuple[int, int]) -> Camera:
    """Return a camera in front of the dance that has all of it, and stands still."""
    low, high = joints_xyz.min((0, 1)), joints_xyz.max((0, 1))
    middle = (low + high) / 2
    position = np.array([middle[0], middle[1] + 0.5 * _RISE, high[2] + 4.2])
    forward = (middle - position) / np.linalg.norm(middle - position)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward])
    seen = Camera(position, axes, 1.0, size_wh).view(joints_xyz)[..., :2] - (np.array(size_wh) - 1) / 2
    focal = FRAMED / 2 * np.array(size_wh) / np.maximum(np.abs(seen).max((0, 1)), 1e-6)
    return Camera(position, axes, float(focal.min()), size_wh)


def _turned(joints: Float64Array, yaw: float) -> Float64Array:
    """Return the joints turned about the vertical through their middle."""
    middle = joints[:, 11:13].mean((0, 1)) * np.array([1.0, 0.0, 1.0])
    cos, sin = np.cos(yaw), np.sin(yaw)
    return (joints - middle) @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]).T + middle
