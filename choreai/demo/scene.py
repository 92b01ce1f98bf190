"""The scene in which a dancer is filmed: camera, light, and a studio with a floor and a wall."""

import colorsys
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from choreai.arrays import Float64Array, ImageArray
from choreai.demo.look import Look

FLOORS = ((172, 128, 88), (150, 152, 158), (188, 176, 158), (112, 104, 104), (138, 96, 66))
"""RGB of boards, concrete, stone, dark vinyl, walnut."""
MIN_WALL_CONTRAST = 60.0
"""Least RGB distance of the wall from clothes and skin."""
WALL_KINDS = ("plain", "bricks", "panels", "windows")


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera; pixels x right, y down, pixel centres at integers."""

    position: Float64Array
    """(3,) world metres."""
    axes: Float64Array
    """(3, 3): rows are the image's right, down and viewing directions."""
    focal: float
    """Pixels."""
    size_wh: tuple[int, int]

    @classmethod
    def draw(cls, rng: np.random.Generator, size_wh: tuple[int, int], body_height: float) -> Self:
        """Return a camera in front of the origin; a dancer of `body_height` metres fills 50 to 60 % of its height.

        MediaPipe needs 40 % or more, and the rest leaves room for raised arms and jumps.
        """
        position = np.array([rng.uniform(-0.5, 0.5), rng.uniform(0.8, 1.6), rng.uniform(3.7, 4.8)])
        target = np.array([rng.uniform(-0.12, 0.12), rng.uniform(0.58, 0.64) * body_height, 0.0])
        distance = float(np.linalg.norm(target - position))
        forward = (target - position) / distance
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        focal = rng.uniform(0.50, 0.60) * size_wh[1] * distance / body_height
        return cls(position, np.stack([right, np.cross(forward, right), forward]), focal, size_wh)

    def view(self, xyz: npt.NDArray[Any]) -> Float64Array:
        """Return (..., 3) pixel x, pixel y and depth in metres of the world points `xyz` (..., 3)."""
        seen = np.einsum("ij,...j->...i", self.axes, xyz - self.position)
        centre = (np.array(self.size_wh) - 1) / 2
        return np.concatenate([seen[..., :2] / seen[..., 2:] * self.focal + centre, seen[..., 2:]], -1)

    def rays(self) -> Float64Array:
        """Return the (H, W, 3) world directions through the pixels' centres."""
        width, height = self.size_wh
        x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
        return np.einsum("ij,hwi->hwj", self.axes, np.stack([x, y, np.full_like(x, self.focal)], -1))


@dataclass(frozen=True, eq=False)
class Scene:
    """A studio and its light."""

    camera: Camera
    background: ImageArray
    """(H, W, 3) RGB, without the dancer."""
    light: Float64Array
    """(3,) unit vector towards the light, which is always in front of the dancer: an unlit face is not recognised."""
    ambient: float
    """Light from all sides, 1 = full."""

    @classmethod
    def draw(cls, rng: np.random.Generator, camera: Camera, look: Look) -> Self:
        """Return a studio seen by `camera`, whose wall contrasts with the clothes and skin of `look`."""
        light = np.array([rng.uniform(-0.7, 0.7), rng.uniform(0.7, 1.1), rng.uniform(0.6, 1.1)])
        ambient = rng.uniform(0.46, 0.58)
        background = _draw_background(rng, camera, look)
        return cls(camera, background, light / np.linalg.norm(light), ambient)


def _draw_background(rng: np.random.Generator, camera: Camera, look: Look) -> ImageArray:
    """Return (H, W, 3): each pixel's ray meets the floor y = 0 or the wall z = -depth, whichever comes first."""
    rays, (_, eye_y, eye_z) = camera.rays(), camera.position
    wall_z = -rng.uniform(1.2, 3.0)
    to_floor = np.where(rays[..., 1] < -1e-4, -eye_y / np.minimum(rays[..., 1], -1e-4), np.inf)
    to_wall = (wall_z - eye_z) / np.minimum(rays[..., 2], -1e-4)
    on_floor = (to_floor < to_wall)[..., None]
    points = camera.position + rays * np.minimum(to_floor, to_wall)[..., None]
    floor = _floor(rng, points, np.array(FLOORS[rng.integers(len(FLOORS))], np.float64))
    wall = _wall(rng, points, _draw_wall_colour(rng, look))
    lit = np.where(on_floor, floor, wall) * _lighting(rng, camera.size_wh)[..., None]
    blur = rng.uniform(0.5, 1.2) * camera.size_wh[1] / 720
    return cv2.GaussianBlur(np.clip(lit, 0, 255).astype(np.uint8), (0, 0), blur)


def _draw_wall_colour(rng: np.random.Generator, look: Look) -> Float64Array:
    worn = np.array([look.top, look.trousers, look.skin])
    while True:
        hsv = rng.random(), rng.uniform(0.05, 0.40), rng.uniform(0.4, 0.9)
        colour = np.array([255 * c for c in colorsys.hsv_to_rgb(*hsv)], np.float64)
        if np.linalg.norm(worn - colour, axis=1).min() > MIN_WALL_CONTRAST:
            return colour


def _speckle(cell: Float64Array) -> Float64Array:
    """Return a random-looking number in [0, 1) for each cell, computed without a table."""
    return (np.sin(cell * 12.9898) * 43758.5453) % 1


def _floor(rng: np.random.Generator, points: Float64Array, colour: Float64Array) -> Float64Array:
    """Return the colours of a floor of boards or tiles."""
    x, z = points[..., 0], points[..., 2]
    boards = rng.random() < 0.6
    cell = np.floor(x / 0.16) if boards else np.floor(x / 0.5) + 17 * np.floor(z / 0.5)
    return colour * (0.90 + 0.18 * _speckle(cell))[..., None]


def _wall(rng: np.random.Generator, points: Float64Array, colour: Float64Array) -> Float64Array:
    x, y = points[..., 0], points[..., 1]
    kind = WALL_KINDS[rng.integers(len(WALL_KINDS))]
    image = np.broadcast_to(colour, points.shape).copy()
    if kind == "bricks":
        row = np.floor(y / 0.085)
        along = x / 0.24 + 0.5 * (row % 2)
        image *= (0.80 + 0.30 * _speckle(np.floor(along) + 6.1 * row))[..., None]
        image[(along % 1 < 0.05) | (y / 0.085 % 1 < 0.12)] = 0.6 * colour + 60
    elif kind == "panels":
        image[x % 1.2 < 0.03] = 0.65 * colour
    elif kind == "windows":
        glass = (x % 1.8 > 0.4) & (x % 1.8 < 1.4) & (y > 1.1) & (y < 2.2)
        image[glass] = np.array([196, 218, 236]) * (0.75 + 0.12 * y[glass])[:, None]
    image[(y < 0.10) & (kind != "bricks")] = 0.5 * colour + 70  # skirting board
    return image


def _lighting(rng: np.random.Generator, size_wh: tuple[int, int]) -> Float64Array:
    """Return the (H, W) brightness: cloudy unevenness, and a soft spot that falls off to the sides."""
    width, height = size_wh
    clouds = np.zeros((height, width), np.float32)
    for octave in range(3):
        grid = rng.random((3 * 2**octave, 5 * 2**octave)).astype(np.float32)
        clouds += cv2.resize(grid, size_wh, interpolation=cv2.INTER_CUBIC) / 2**octave
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    away = np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.2, 0.5))
    return (0.92 + 0.10 * clouds) * (1.08 - 0.40 * away)
