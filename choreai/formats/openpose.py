"""OpenPose's folder of JSON, one file a frame: `NAME_000000000012_keypoints.json`.

Also what Pose2Sim, Sports2D (from RTMLib) and AlphaPose (`--format open`) write in that form. `people` is empty where
nobody is in view, `person_id` [-1] where nobody was tracked.
"""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.frame_names import frame_numbers
from choreai.formats.glimpse import Glimpse
from choreai.formats.keypoint_sets import BODY_25, COCO_FIRST, OPENPOSE_18, names_of_set, others_of_set, pick_coco
from choreai.formats.people import PeopleBuffer, files_in, read_files, track_id_in
from choreai.formats.rows import all_keypoints_of, one_video, without_missing
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import abbreviate, join_alternatives, json_in, numbers_in
from choreai.formats.written import write_folder
from choreai.motion.keypoint_sets import keypoint_set
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

_SETS = {len(names): names for names in (OPENPOSE_18, BODY_25)}
_MIDDLES = {"neck": (LEFT_SHOULDER, RIGHT_SHOULDER), "mid_hip": (LEFT_HIP, RIGHT_HIP)}


def is_openpose(glimpse: Glimpse) -> bool:
    """Return whether it is a folder of OpenPose's frames, or one of them."""
    return '"pose_keypoints_2d"' in glimpse.text or glimpse.has_key("people")


def read_openpose(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of a folder of frames.

    BODY_25, COCO's 18, and sets that begin with COCO's 17 (17, 26, 68, 133 or 136 keypoints). frame_index: the number
    in the file's name. Coordinates between 0 and 1 (`--keypoint_scale 3`) need `settings.size_wh`. Raises TableError,
    which names file and person.
    """
    rate = settings.rate_of(uri)
    people = PeopleBuffer(uri)
    files = files_in(uri, ".json")
    for number, file, data in read_files(people, files):
        for index, person in enumerate(_people_in(json_in(data, file), file), start=1):
            _add(people, number, person, f"{file}: person {index}")
    if people.are_shares():
        people.scale(settings.size_of(uri, why="its coordinates are shares of the picture"))
    names = [file.rpartition("/")[2] for file in files]
    return people.to_table(settings, frames_per_second=rate, frame_index=frame_numbers(names))


def write_openpose(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write a folder of BODY_25, a file for each frame with people in it.

    Neck and middle of the hips are between shoulders and hips; feet are there if the table's set has them. `person_id`
    is the track id. Raises TableError if the table holds more than one video.
    """
    video = one_video(table, uri)
    table = table.sort_by([("frame_index", "ascending"), ("track_id", "ascending")])
    frames, starts = np.unique(table["frame_index"].to_numpy(), return_index=True)
    with write_folder(uri) as folder:
        for frame, start, stop in zip(frames, starts, [*starts[1:], len(table)], strict=True):
            people = _to_people(table.slice(start, stop - start))
            text = json.dumps({"version": 1.3, "people": people}, allow_nan=False)
            (folder / f"{video}_{frame:012d}_keypoints.json").write_text(text)


def _people_in(content: object, file: str) -> list[object]:
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise TableError(f"{file}: no list of people, which every frame of OpenPose has; remove the file")
    return people


def _add(people: PeopleBuffer, number: int, person: object, where: str) -> None:
    if not isinstance(person, dict):
        raise TableError(f"{where} is {abbreviate(person)}, not an object; is this OpenPose's?")
    numbers = numbers_in(person.get("pose_keypoints_2d"), f"{where}: pose_keypoints_2d")
    if not len(numbers):  # hands or a face without a body
        return
    points, names = _points(numbers, where)
    coco, others = pick_coco(points, names), others_of_set(points)
    people.add(number, coco, track_id=_person_id(person, where), others=others)


def _points(numbers: Float64Array, where: str) -> tuple[Float64Array, Sequence[str]]:
    """Return (J, 3) x, y, score, and the J names."""
    names = _SETS.get(len(numbers) // 3) or names_of_set(len(numbers) // 3)
    if len(numbers) % 3 or names is None:
        raise TableError(
            f"{where} has {len(numbers)} keypoint numbers; it needs 3 x "
            f"{join_alternatives(sorted([*_SETS, *COCO_FIRST]))} (--model_pose BODY_25 or COCO)"
        )
    return numbers.reshape(-1, 3), names


def _person_id(person: dict[str, object], where: str) -> int | None:
    value = person.get("person_id")
    return track_id_in(value[0] if isinstance(value, list) and value else None, f"{where}: person_id")


def _to_people(rows: pa.Table) -> list[dict[str, object]]:
    keypoints = [without_missing(person).astype(np.float64) for person in all_keypoints_of(rows)]
    return [
        {"person_id": [track_id], "pose_keypoints_2d": _to_body_25(person).ravel().tolist()} | _OTHERS
        for track_id, person in zip(rows["track_id"].to_pylist(), keypoints, strict=True)
    ]


_OTHERS: dict[str, object] = {
    f"{part}_keypoints_{dimensions}": []
    for dimensions in ("2d", "3d")
    for part in ("face", "hand_left", "hand_right", "pose")
    if (part, dimensions) != ("pose", "2d")
}


def _to_body_25(person: Float64Array) -> Float64Array:
    """Return (25, 3) of (J, 3) keypoints of a set that begins with COCO's 17: x, y, score."""
    names = keypoint_set(len(person)).keypoints
    body = np.zeros((len(BODY_25), 3))
    for k, name in enumerate(BODY_25):
        if name in names:
            body[k] = person[names.index(name)]
        elif name in _MIDDLES and (person[list(_MIDDLES[name]), 2] > 0).all():
            body[k] = person[list(_MIDDLES[name])].mean(axis=0)
    return body
