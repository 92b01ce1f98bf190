"""Portraits: a picture of each of a video's people, cut out around them, for a reviewer who is asked who dances."""

import io
from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image

from choreai.arrays import ImageArray
from choreai.catalog.pictures import open_source
from choreai.motion.named_dancers import person_boxes
from choreai.motion.sequence import KeypointSequence
from choreai.video.pictures import open_reader
from choreai.visualize.draw import draw_label, draw_onlookers, draw_people, track_color

HEIGHT = 240
"""Pixels of a portrait."""
MARGIN = 0.35
"""Of the box's longer side, left around it: who a person is, others beside them tell."""
ASPECT = 0.8
"""Width over height."""
TOLERANCE_SECONDS = 1 / 16
JPEG_QUALITY = 75


def draw_portraits(uri: str, rows: KeypointSequence, moments: Mapping[int, float]) -> dict[int, bytes]:
    """Return a JPEG of each person at their moment, both by track id; people who are not seen then have none.

    The person's skeleton is in colour, the others' grey. Raises MediaError or StorageError where the video cannot be
    read.
    """
    waiting = sorted((seconds, track_id) for track_id, seconds in moments.items())
    found: dict[int, bytes] = {}
    with open_source(uri) as file, open_reader(file, uri=uri) as reader:
        for frame in reader.frames():
            while waiting and frame.pts_seconds >= waiting[0][0] - 1e-3:
                track_id = waiting.pop(0)[1]
                picture = _portrait(
                    frame.image, rows.at(frame.pts_seconds, tolerance_seconds=TOLERANCE_SECONDS), track_id
                )
                if picture is not None:
                    found[track_id] = _jpeg(picture)
            if not waiting:
                break
    return found


def _portrait(image: ImageArray, people: KeypointSequence, track_id: int) -> ImageArray | None:
    """Return the surroundings of one of the people in `image`; None where the person is not among them."""
    box = person_boxes(people.track(track_id))
    if not len(box) or not np.isfinite(box[0]).all():
        return None
    left, top, right, bottom = _surroundings(box[0].tolist(), image.shape[1], image.shape[0])
    cut = np.ascontiguousarray(image[top:bottom, left:right])
    scale = HEIGHT / cut.shape[0]
    size_wh = (max(1, round(cut.shape[1] * scale)), HEIGHT)
    cut = cv2.resize(cut, size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC).astype(np.uint8)
    xy = ((people.keypoints_xy + 0.5 - np.array([left, top])) * scale - 0.5).astype(np.float32)
    is_meant = people.track_id == track_id
    draw_onlookers(cut, keypoints_xy=xy[~is_meant], keypoint_scores=people.keypoint_scores[~is_meant])
    draw_people(cut, keypoints_xy=xy[is_meant], keypoint_scores=people.keypoint_scores[is_meant], track_ids=[track_id])
    cv2.rectangle(cut, (0, 0), (cut.shape[1] - 1, cut.shape[0] - 1), track_color(track_id), 3)
    draw_label(cut, str(track_id), xy=(4, 4), text_height=20)
    return cut


def _surroundings(box: list[float], width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the picture's part around a box, of ASPECT where the picture has room."""
    left, top, right, bottom = box
    tall = max((bottom - top), (right - left) / ASPECT) * (1 + 2 * MARGIN)
    tall = min(max(tall, height / 6), height)
    wide = min(tall * ASPECT, width)
    x = float(np.clip((left + right - wide) / 2, 0, width - wide))
    y = float(np.clip((top + bottom - tall) / 2, 0, height - tall))
    return int(x), int(y), max(int(x + wide), int(x) + 1), max(int(y + tall), int(y) + 1)


def _jpeg(image: ImageArray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image, "RGB").save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
