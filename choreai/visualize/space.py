"""People in space, drawn from any side: a sheet of moments, as the camera sees them and from elsewhere."""

import cv2
import numpy as np

from choreai.arrays import Float64Array, FloatArray, ImageArray
from choreai.errors import ConfigError
from choreai.motion.skeleton import EDGES
from choreai.motion.skeleton3d import turn_about_vertical

SIDES = {"front": 0.0, "side": 90.0, "back": 180.0, "other-side": -90.0}
"""Degrees by which the viewer walks around the person, clockwise as seen from above: `side` is from what was the
picture's left, which is the right side of somebody who faces the camera."""
CELL_WIDTH, CELL_HEIGHT, PIXELS_PER_METRE = 200, 250, 100.0
CAPTION_HEIGHT, MARGIN = 22, 20
_PAPER, _INK, _FLOOR = (250, 250, 250), (60, 66, 76), (205, 210, 217)
_LEFT, _RIGHT, _MIDDLE = (0, 114, 178), (213, 94, 0), (90, 96, 106)
"""Blue is the person's left, orange the right: Okabe and Ito's colours, which everybody tells apart."""
_TORSO = [5, 6, 12, 11]
_FADE = 0.45
"""Of what is half a metre further away than the hips, so much of the colour is left."""
_SHIFT_BITS = 4


def angle_of(view: str) -> float:
    """Return the degrees of `--view`: a word of SIDES, or a number. Raises ConfigError."""
    if view in SIDES:
        return SIDES[view]
    try:
        angle = float(view)
    except ValueError:
        angle = float("nan")
    if not abs(angle) <= 360:
        raise ConfigError(f"--view {view!r}: give {', '.join(SIDES)}, or degrees from -360 to 360")
    return angle


def draw_space_sheet(xyz: FloatArray, root_height: FloatArray, *, angle: float, captions: list[str]) -> ImageArray:
    """Return a sheet of the poses (N, 17, 3), hip-centred in camera axes: above from the camera, below from `angle`
    degrees around the person, each with its floor and caption."""
    seen = turn_about_vertical(xyz, np.radians(angle))
    rows = [_row(np.asarray(xyz, np.float64), root_height, captions), _row(seen, root_height, [""] * len(captions))]
    titles = ["from the camera", f"from {angle:g} degrees around the person"]
    return np.concatenate(
        [np.concatenate([_title(text, row.shape[1]), row]) for text, row in zip(titles, rows, strict=True)]
    )


def _row(xyz: Float64Array, root_height: FloatArray, captions: list[str]) -> ImageArray:
    cells = [_cell(pose, float(height), text) for pose, height, text in zip(xyz, root_height, captions, strict=True)]
    return np.concatenate(cells, axis=1)


def _title(text: str, width: int) -> ImageArray:
    strip = np.full((CAPTION_HEIGHT, width, 3), _PAPER, np.uint8)
    cv2.putText(strip, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return strip


def _cell(pose: Float64Array, root_height: float, caption: str) -> ImageArray:
    image = np.full((CELL_HEIGHT, CELL_WIDTH, 3), _PAPER, np.uint8)
    floor = CELL_HEIGHT - MARGIN
    cv2.line(image, (0, floor), (CELL_WIDTH, floor), _FLOOR, 2, cv2.LINE_AA)
    points = pose[:, :2] * PIXELS_PER_METRE + (CELL_WIDTH / 2, floor - root_height * PIXELS_PER_METRE)
    fixed = np.round(points * 2**_SHIFT_BITS).astype(np.int32)
    parts = [(pose[[a, b], 2].mean(), (a, b)) for a, b in EDGES]
    cv2.fillConvexPoly(image, fixed[_TORSO], (226, 229, 234), cv2.LINE_AA, _SHIFT_BITS)
    for depth, (a, b) in sorted(parts, reverse=True):
        color = _LEFT if a % 2 and b % 2 else _RIGHT if not (a % 2 or b % 2) and a else _MIDDLE
        cv2.line(image, fixed[a].tolist(), fixed[b].tolist(), _faded(color, float(depth)), 4, cv2.LINE_AA, _SHIFT_BITS)
    cv2.putText(image, caption, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    return image


def _faded(color: tuple[int, int, int], depth: float) -> tuple[int, int, int]:
    """Return the colour of what is `depth` metres beyond the hips: paler the further away."""
    kept = float(np.clip(1 - (depth + 0.3) * (1 - _FADE) / 0.8, _FADE, 1.0))
    red, green, blue = (round(kept * own + (1 - kept) * paper) for own, paper in zip(color, _PAPER, strict=True))
    return red, green, blue
