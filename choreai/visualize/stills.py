"""Stills: a few frames of a video with the skeletons that the model saw, for a report."""

import io
from collections.abc import Collection

import numpy as np
from PIL import Image

from choreai.arrays import BoolArray, ImageArray
from choreai.catalog.pictures import open_source
from choreai.motion.prominence import dancing_rows
from choreai.motion.sequence import KeypointSequence
from choreai.video.pictures import open_reader
from choreai.visualize.draw import contact_sheet, draw_onlookers, draw_people

NUM_STILLS = 4
STILL_WIDTH = 240
MAX_SECONDS = 60.0
"""Stills are from a video's first minute, so that a long one costs no more to decode."""
TOLERANCE_SECONDS = 1 / 16
JPEG_QUALITY = 70


def annotated_stills(uri: str, rows: KeypointSequence, *, named: Collection[int] | None = None) -> bytes | None:
    """Return a JPEG of NUM_STILLS frames side by side, evenly over the time in which somebody is in view.

    Who dances is in colour, by choreai's choice or the ids `named` by a person; others are grey.
    None where nobody is in the first MAX_SECONDS. Raises MediaError or StorageError where the video cannot be read.
    """
    times = np.unique(rows.pts_seconds[rows.pts_seconds < MAX_SECONDS])
    if not len(times):
        return None
    wanted = times[np.linspace(0, len(times) - 1, NUM_STILLS).round().astype(int)]
    stills: list[ImageArray] = []
    dances = dancing_rows(rows, named)
    with open_source(uri) as file, open_reader(file, uri=uri) as reader:
        for frame in reader.frames():
            if frame.pts_seconds >= wanted[len(stills)] - 1e-3:
                stills.append(draw_people_at(frame.image, rows, dances, seconds=frame.pts_seconds))
            if len(stills) == NUM_STILLS:
                break
    return _jpeg(contact_sheet(stills, columns=NUM_STILLS, cell_width=STILL_WIDTH)) if stills else None


def draw_people_at(image: ImageArray, rows: KeypointSequence, dances: BoolArray, *, seconds: float) -> ImageArray:
    """Return a copy with everybody who was seen within TOLERANCE_SECONDS of `seconds`; `dances` (N,) says of each of
    `rows` whether the person dances, and is in colour."""
    drawn = image.copy()
    onlookers, dancers = (
        rows.take(dances == is_dancer).at(seconds, tolerance_seconds=TOLERANCE_SECONDS) for is_dancer in (False, True)
    )
    draw_onlookers(drawn, keypoints_xy=onlookers.keypoints_xy, keypoint_scores=onlookers.keypoint_scores)
    draw_people(
        drawn,
        keypoints_xy=dancers.all_keypoints_xy,
        keypoint_scores=dancers.all_keypoint_scores,
        track_ids=dancers.track_ids,
    )
    return drawn


def _jpeg(image: ImageArray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image, "RGB").save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
