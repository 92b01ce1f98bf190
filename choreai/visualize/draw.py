"""Draw people and words on RGB frames, in place, for annotated videos and for inspecting results.

Every function works on (H, W, 3) uint8 RGB in C order and touches only the pixels it draws.
"""

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from choreai.arrays import BoolArray, FloatArray, ImageArray, Int32Array
from choreai.motion.keypoint_sets import keypoint_set
from choreai.motion.skeleton import EDGES, KEYPOINT_NAMES, NUM_KEYPOINTS

Color = tuple[int, int, int]

_OUTLINE: Color = (16, 16, 16)
_ONLOOKER: Color = (200, 200, 200)
_SHIFT_BITS = 4
_FAR = 1e6
"""Pixels; OpenCV's coordinates are 32 bits wide."""
_PLATE_LIGHT = 0.3
"""What is left of the picture under a label: over pure white, white text still has a contrast of 8 to 1."""
_SHEET_GREY = 32

_RIGHT = tuple(name.startswith("right_") for name in KEYPOINT_NAMES)


def track_color(track_id: int) -> Color:
    """Return the RGB colour of a track: neighbouring ids are far apart on the colour wheel (golden ratio), and the
    first one, green, is the colour of no skin and few clothes."""
    red, green, blue = colorsys.hsv_to_rgb((0.4 + track_id * 0.618034) % 1.0, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_people(
    image: ImageArray,
    *,
    keypoints_xy: FloatArray,
    keypoint_scores: FloatArray,
    track_ids: Sequence[int],
    min_score: float = 0.3,
) -> None:
    """Draw each person's skeleton into `image`: the track's colour, paler on the person's right side.

    keypoints_xy: (P, J, 2) pixels of `image`, COCO's 17 first; of those after them (feet, hands, face) the lines are
    thin, as `choreai.motion.keypoint_sets` has them for J. keypoint_scores: (P, J). Keypoints that are not finite or
    score below `min_score` are left out, and so are the edges they belong to.
    """
    if len(keypoints_xy) != len(track_ids):
        raise ValueError(f"keypoints_xy must be ({len(track_ids)}, J, 2), got {keypoints_xy.shape}")
    fixed, seen = _fixed_points(image, keypoints_xy, keypoint_scores, min_score)
    for person_points, person_seen, track_id in zip(fixed, seen, track_ids, strict=True):
        if len(person_points) > NUM_KEYPOINTS:
            _draw_others(image, person_points, person_seen, track_color(track_id))
        _draw_person(image, person_points, person_seen, track_color(track_id))


def _draw_others(image: ImageArray, points: Int32Array, seen: BoolArray, color: Color) -> None:
    """Draw one person's keypoints after COCO's 17, and the thin lines between them and to the body."""
    thickness = max(1, round(min(image.shape[:2]) / 450))
    skeleton = keypoint_set(len(points)).skeleton
    lines = [points[[a, b]] for a, b in skeleton if seen[a] and seen[b] and max(a, b) >= NUM_KEYPOINTS]
    if lines:
        cv2.polylines(image, lines, False, color, thickness, cv2.LINE_AA, _SHIFT_BITS)
    for x, y in points[NUM_KEYPOINTS:][seen[NUM_KEYPOINTS:]].tolist():
        cv2.circle(image, (x, y), thickness << _SHIFT_BITS, color, cv2.FILLED, cv2.LINE_AA, _SHIFT_BITS)


def draw_boxes(image: ImageArray, *, box_xyxy: FloatArray, track_ids: Sequence[int]) -> None:
    """Draw people's boxes (P, 4), in pixels, into `image` in their tracks' colours; those not finite are left out."""
    thickness = max(1, round(min(image.shape[:2]) / 300))
    for box, track_id in zip(box_xyxy, track_ids, strict=True):
        if np.isfinite(box).all():
            left, top, right, bottom = (int(value) for value in np.clip(box, -_FAR, _FAR).round())
            cv2.rectangle(image, (left, top), (right, bottom), track_color(track_id), thickness)


def draw_onlookers(
    image: ImageArray, *, keypoints_xy: FloatArray, keypoint_scores: FloatArray, min_score: float = 0.3
) -> None:
    """Draw the skeletons of people who do not dance into `image`, thin and grey; arguments as for `draw_people`."""
    fixed, seen = _fixed_points(image, keypoints_xy, keypoint_scores, min_score)
    thickness = max(1, round(min(image.shape[:2]) / 400))
    for points, is_seen in zip(fixed, seen, strict=True):
        lines = [points[[a, b]] for a, b in EDGES if is_seen[a] and is_seen[b]]
        for color, width in ((_OUTLINE, 3 * thickness), (_ONLOOKER, thickness)):
            if lines:
                cv2.polylines(image, lines, False, color, width, cv2.LINE_AA, _SHIFT_BITS)


def _fixed_points(
    image: ImageArray, keypoints_xy: FloatArray, keypoint_scores: FloatArray, min_score: float
) -> tuple[Int32Array, BoolArray]:
    """Return (P, J, 2) OpenCV's fixed-point coordinates, and (P, J) whether a keypoint is seen."""
    _check_image(image)
    num_people, num_keypoints = len(keypoints_xy), max(keypoints_xy.shape[1], NUM_KEYPOINTS)
    if keypoint_scores.shape != keypoints_xy.shape[:2] or keypoints_xy.shape[1:] != (num_keypoints, 2):
        raise ValueError(
            f"keypoints_xy must be {(num_people, num_keypoints, 2)} and keypoint_scores {(num_people, num_keypoints)}, "
            f"got {keypoints_xy.shape} and {keypoint_scores.shape}"
        )
    seen = np.isfinite(keypoints_xy).all(axis=2) & (keypoint_scores >= min_score)
    # A wild coordinate would overflow OpenCV's fixed-point numbers; far outside is as good as wild.
    reach = 4 * max(image.shape[:2])
    points = np.where(seen[:, :, None], keypoints_xy, 0).clip(-reach, reach)
    return np.rint(points * 2**_SHIFT_BITS).astype(np.int32), seen


def _draw_person(image: ImageArray, points: Int32Array, seen: BoolArray, color: Color) -> None:
    thickness = max(2, round(min(image.shape[:2]) / 200))
    pale = (color[0] // 3 + 170, color[1] // 3 + 170, color[2] // 3 + 170)
    edges = [(a, b) for a, b in EDGES if seen[a] and seen[b]]
    right = [points[[a, b]] for a, b in edges if _RIGHT[a] and _RIGHT[b]]
    other = [points[[a, b]] for a, b in edges if not (_RIGHT[a] and _RIGHT[b])]
    for lines, line_color, width in (
        (right + other, _OUTLINE, thickness + max(1, thickness // 2)),
        (right, pale, thickness),
        (other, color, thickness),
    ):
        if lines:
            cv2.polylines(image, lines, False, line_color, width, cv2.LINE_AA, _SHIFT_BITS)
    for index in np.flatnonzero(seen[:NUM_KEYPOINTS]).tolist():
        center = (int(points[index, 0]), int(points[index, 1]))
        dot_color = pale if _RIGHT[index] else color
        for radius, fill in ((thickness + 1, _OUTLINE), (thickness, dot_color)):
            cv2.circle(image, center, radius << _SHIFT_BITS, fill, cv2.FILLED, cv2.LINE_AA, _SHIFT_BITS)


def draw_label(
    image: ImageArray, text: str, *, xy: tuple[float, float] = (0, 0), text_height: int | None = None
) -> None:
    """Draw white `text` on a darkened plate whose top left corner is `xy`, moved to lie inside `image`.

    So `xy=(0, height)` is the bottom left corner. `text_height` is in pixels, by default a 30th of the image's shorter
    side and 11 at least. Lines too long for the image end in an ellipsis. Latin, Greek, Cyrillic, Arabic and Hebrew are
    drawn (DejaVu Sans, which comes with matplotlib); other scripts show as boxes.
    """
    _check_image(image)
    if text_height is None:
        text_height = max(11, round(min(image.shape[:2]) / 30))
    ink = _text_ink(text, text_height, image.shape[1])[: image.shape[0]]
    height, width = ink.shape[:2]
    left = int(np.clip(round(xy[0]), 0, image.shape[1] - width))
    top = int(np.clip(round(xy[1]), 0, image.shape[0] - height))
    region = image[top : top + height, left : left + width]
    plate = cv2.convertScaleAbs(region, alpha=_PLATE_LIGHT)
    region[:] = cv2.add(plate, cv2.multiply(255 - plate, ink, scale=1 / 255))


def contact_sheet(
    frames: Sequence[ImageArray],
    *,
    columns: int = 4,
    captions: Sequence[str] | None = None,
    cell_width: int = 320,
) -> ImageArray:
    """Return a new image with the frames row by row, each fitted into a cell of the first frame's proportions."""
    if not frames or columns < 1:
        raise ValueError(f"a sheet needs at least one frame and one column, got {len(frames)} and {columns}")
    if captions is not None and len(captions) != len(frames):
        raise ValueError(f"{len(frames)} frames need as many captions, got {len(captions)}")
    for frame in frames:
        _check_image(frame)
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    cell_height = max(1, round(cell_width * frames[0].shape[0] / frames[0].shape[1]))
    sheet = np.full((rows * cell_height, columns * cell_width, 3), _SHEET_GREY, np.uint8)
    for index, frame in enumerate(frames):
        cell = np.full((cell_height, cell_width, 3), _SHEET_GREY, np.uint8)
        _paste_fitted(cell, frame)
        if captions is not None:
            draw_label(cell, captions[index], xy=(0, cell_height))
        top, left = index // columns * cell_height, index % columns * cell_width
        sheet[top : top + cell_height, left : left + cell_width] = cell
    return sheet


def _paste_fitted(cell: ImageArray, frame: ImageArray) -> None:
    scale = min(cell.shape[0] / frame.shape[0], cell.shape[1] / frame.shape[1])
    height, width = max(1, round(frame.shape[0] * scale)), max(1, round(frame.shape[1] * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (cell.shape[0] - height) // 2, (cell.shape[1] - width) // 2
    cell[top : top + height, left : left + width] = cv2.resize(frame, (width, height), interpolation=interpolation)


@lru_cache(maxsize=256)
def _text_ink(text: str, text_height: int, max_width: int) -> ImageArray:
    """Return (H, W, 3) the coverage of the padded text, 0 to 255."""
    font = _font(text_height)
    padding = round(text_height * 0.35)
    room = max_width - 2 * padding
    lines = [_shorten(line, font, room) for line in _printable(text).split("\n")]
    ascent, descent = font.getmetrics()
    width = min(max_width, max(round(font.getlength(line) + 0.5) for line in lines) + 2 * padding)
    ink = Image.new("L", (max(1, width), (ascent + descent) * len(lines) + padding))
    pen = ImageDraw.Draw(ink)
    for number, line in enumerate(lines):
        pen.text((padding, padding // 2 + number * (ascent + descent)), line, fill=255, font=font)
    return np.repeat(np.asarray(ink, np.uint8)[:, :, None], 3, axis=2)


def _printable(text: str) -> str:
    """Return the text without characters that have no glyph: lone surrogates become "?", control characters spaces."""
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c == "\n" or c.isprintable() else " " for c in encodable)


def _shorten(line: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    if font.getlength(line) <= room:
        return line
    while line and font.getlength(line + "…") > room:
        line = line[:-1]
    return line + "…"


@lru_cache(maxsize=16)
def _font(text_height: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # for its fonts only, so not before a word is drawn

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(str(path), size=text_height)


def _check_image(image: ImageArray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if not (image.flags.c_contiguous and image.flags.writeable):
        raise ValueError("image must be writeable and in C order; draw on image.copy()")
