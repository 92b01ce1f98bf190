"""Results of ultralytics (YOLO) as its `Results.to_json()` and `to_csv()` give them.

Each is one picture's: a list of people, or a row for each. Read are one picture, a folder with a file for each, and a
JSON list of such lists, which is a video.
"""

import ast
import json

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.delimited import read_rows
from choreai.formats.frame_names import frame_numbers
from choreai.formats.glimpse import Glimpse
from choreai.formats.json_stream import read_json_members
from choreai.formats.people import PeopleBuffer, files_in, track_id_in
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import abbreviate, numbers_in
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects

_CORNERS = ("x1", "y1", "x2", "y2")
MAX_CELL = 20_000
"""Characters of a cell that is read as keypoints; 17 of them have 700."""


def is_ultralytics_results(glimpse: Glimpse) -> bool:
    """Return whether people have their keypoints as x and y apart, or the CSV has such a column."""
    person = glimpse.first_element
    if isinstance(person, list) and person:
        person = person[0]
    if isinstance(person, dict):
        return isinstance(person.get("keypoints"), dict) and "x" in person["keypoints"]
    return {"class", "confidence", "box", "keypoints"} <= set(glimpse.head_cells)


def read_ultralytics_results(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table.

    frame_index: the number in the file's name; of a list of lists the place in it. Shares of the picture
    (`normalize=True`) need `settings.size_wh`. Raises TableError, which names file and person.
    """
    rate = settings.rate_of(uri)
    people, files = PeopleBuffer(uri), files_in(uri, ".json", ".csv")
    read = _read_csv if files[0].lower().endswith(".csv") or _is_csv(files[0]) else _read_json
    num_frames = [read(people, number, file, is_alone=len(files) == 1) for number, file in enumerate(files)]
    if people.are_shares():
        people.scale(settings.size_of(uri, why="its places are shares of the picture"))
    names = [file.rpartition("/")[2] for file in files]
    frame_index = frame_numbers(names) if num_frames == [0] * len(files) and len(files) > 1 else None
    return people.to_table(settings, frames_per_second=rate, frame_index=frame_index)


def _is_csv(file: str) -> bool:
    with objects.open_object(file) as opened:
        return not opened.read(64).lstrip().startswith((b"[", b"\xef\xbb\xbf["))


def _read_json(people: PeopleBuffer, number: int, file: str, *, is_alone: bool) -> int:
    """Add the people of a file; return how many frames it has if it is a list of frames."""
    num_frames = 0
    with objects.open_object(file) as opened:
        for _, index, element in read_json_members(opened, digest=people.digest, uri=file):
            if isinstance(element, list):
                if not is_alone:
                    raise TableError(f"{file}: a list of frames in a folder of such files; convert them one by one")
                for place, person in enumerate(element, start=1):
                    _add(people, index - 1, person, f"{file}: frame {index - 1}, person {place}")
                num_frames = index
            else:
                _add(people, number, element, f"{file}: person {index}")
    return num_frames


def _read_csv(people: PeopleBuffer, number: int, file: str, *, is_alone: bool) -> int:
    head: list[str] = []
    for line, row in read_rows(file, people):
        if not head:
            head = row
        else:
            person = {
                name: _literal(cell, f"{file}: line {line}, {name}")
                for name, cell in zip(head, row, strict=False)
                if name != "name" and cell
            }
            _add(people, number, person, f"{file}: line {line}")
    return 0


def _literal(cell: str, where: str) -> object:
    """Return the number or dict that a cell has, as Python or JSON writes it."""
    try:
        return json.loads(cell) if '"' in cell else ast.literal_eval(cell if len(cell) <= MAX_CELL else "")
    except (ValueError, SyntaxError, RecursionError, MemoryError) as exc:
        raise TableError(f"{where}: {abbreviate(cell)} is neither a number nor keypoints; export it again") from exc


def _add(people: PeopleBuffer, number: int, person: object, where: str) -> None:
    if not isinstance(person, dict):
        raise TableError(f"{where} is {abbreviate(person)}, not an object; is this what Results.to_json gave?")
    confidence = person.get("confidence")
    score = None if confidence is None else float(numbers_in([confidence], f"{where}: confidence")[0])
    people.add(
        number,
        _points(person.get("keypoints"), where),
        track_id=track_id_in(person.get("track_id"), f"{where}: track_id"),
        box_xyxy=_box(person.get("box"), where),
        box_score=score,
    )


def _points(keypoints: object, where: str) -> Float64Array:
    """Return (17, 3): x, y, score; a keypoint at 0, 0 is missing."""
    if not isinstance(keypoints, dict):
        raise TableError(f"{where} has no keypoints; predict with a pose model, such as yolo11n-pose.pt")
    x, y = (numbers_in(keypoints.get(part), f"{where}: keypoints {part}") for part in "xy")
    seen = keypoints.get("visible")
    scores = np.ones(len(x)) if seen is None else numbers_in(seen, f"{where}: keypoints visible")
    if not len(x) == len(y) == len(scores) == NUM_KEYPOINTS:
        raise TableError(f"{where} has {len(x)} x, {len(y)} y and {len(scores)} scores of keypoints; they must be 17")
    return np.column_stack([x, y, np.where((x == 0) & (y == 0), 0, scores)])


def _box(box: object, where: str) -> list[float] | None:
    if not isinstance(box, dict):
        return None
    return numbers_in([box.get(corner) for corner in _CORNERS], f"{where}: box").tolist()
