"""Pose labels of ultralytics (YOLO): a folder of text, a file a picture, a line a person.

`class cx cy width height x1 y1 v1 ... [confidence] [id]`, all places in shares of the picture: what is trained on, and
what `yolo predict save_txt=True` and `yolo track` write (`save_conf=True` adds the confidence). Without visibilities a
keypoint has two numbers.
"""

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.frame_names import frame_numbers
from choreai.formats.glimpse import Glimpse
from choreai.formats.people import PeopleBuffer, files_in, read_files, track_id_in
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import abbreviate, number_in
from choreai.motion.skeleton import NUM_KEYPOINTS

NUM_BEFORE = 5
_WITH_VISIBILITY = NUM_BEFORE + 3 * NUM_KEYPOINTS
_WITHOUT = NUM_BEFORE + 2 * NUM_KEYPOINTS
MAX_BEHIND = 2
"""Confidence and id."""
_SCORE_OF_VISIBILITY = np.array([0.0, 0.5, 1.0])


def is_ultralytics_labels(glimpse: Glimpse) -> bool:
    """Return whether the first line has as many blank-separated numbers as a person has."""
    words = next((line.split() for line in glimpse.lines if line.strip()), [])
    return glimpse.suffix == ".txt" and "," not in "".join(words) and _keypoint_columns(len(words)) > 0


def read_ultralytics_labels(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of a folder of labels, or of one file.

    frame_index: the number in the file's name. Scores: the visibilities predicted; of labels made by hand, where all
    are 0, 1 or 2, these count as 0, 0.5 and 1. Classes are not told apart. Raises TableError, which names file and
    line.
    """
    rate, size = settings.rate_of(uri), settings.size_of(uri, why="YOLO's labels are shares of the picture")
    people, files = PeopleBuffer(uri), files_in(uri, ".txt")
    for number, file, data in read_files(people, files):
        for index, line in enumerate(data.decode("utf-8-sig", errors="replace").splitlines(), start=1):
            if line.strip():
                _add(people, number, line.split(), f"{file}: line {index}")
    people.scale(size)
    names = [file.rpartition("/")[2] for file in files]
    return people.to_table(settings, frames_per_second=rate, frame_index=frame_numbers(names))


def _keypoint_columns(num_columns: int) -> int:
    """Return how many of a line's columns are keypoints; 0 if it is no such line."""
    for whole in (_WITH_VISIBILITY, _WITHOUT):
        if whole <= num_columns <= whole + MAX_BEHIND:
            return whole - NUM_BEFORE
    return 0


def _add(people: PeopleBuffer, number: int, words: list[str], where: str) -> None:
    width = _keypoint_columns(len(words))
    if not width:
        raise TableError(
            f"{where} has {len(words)} columns; a person of {NUM_KEYPOINTS} keypoints has {_WITHOUT} or "
            f"{_WITH_VISIBILITY}, and up to {MAX_BEHIND} more"
        )
    values = np.array([number_in(word, f"{where}, column {column}") for column, word in enumerate(words, start=1)])
    if not np.isfinite(values).all():
        raise TableError(f"{where}: {abbreviate(words[int(np.flatnonzero(~np.isfinite(values))[0])])} is not a number")
    centre, size, behind = values[1:3], values[3:5], values[NUM_BEFORE + width :].tolist()
    confidence, track = _what_is_behind(behind)
    people.add(
        number,
        _points(values[NUM_BEFORE : NUM_BEFORE + width], 1.0 if confidence is None else confidence),
        track_id=track_id_in(track, f"{where}: id"),
        box_xyxy=[*(centre - size / 2).tolist(), *(centre + size / 2).tolist()],
        box_score=confidence,
    )


def _what_is_behind(behind: list[float]) -> tuple[float | None, float | None]:
    """Return confidence and id; a number that stands alone is an id if it is whole and not the share 1."""
    if len(behind) == MAX_BEHIND:
        return behind[0], behind[1]
    if not behind:
        return None, None
    return (None, behind[0]) if behind[0].is_integer() and behind[0] != 1 else (behind[0], None)


def _points(values: Float64Array, confidence: float) -> Float64Array:
    """Return (17, 3): x, y, score; a keypoint at 0, 0 is missing."""
    if len(values) == 2 * NUM_KEYPOINTS:
        xy = values.reshape(NUM_KEYPOINTS, 2)
        return np.column_stack([xy, np.where((xy == 0).all(axis=1), 0, confidence)])
    points = values.reshape(NUM_KEYPOINTS, 3).copy()
    if np.isin(points[:, 2], (0, 1, 2)).all():
        points[:, 2] = _SCORE_OF_VISIBILITY[points[:, 2].astype(np.int64)]
    points[(points[:, :2] == 0).all(axis=1), 2] = 0
    return points
