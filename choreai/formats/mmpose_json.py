"""MMPose's predictions: what `MMPoseInferencer` writes into `pred_out_dir`, and its demos with `--save-predictions`.

The inferencer's file of a video is a list of frames, `{"frame_id": 0, "instances": [...]}`; of a picture a list of
people. The demos put the same below `instance_info`, beside `meta_info` with the keypoints' names, and count frames
from 1. RTMLib has no file of its own; what is dumped of it in this form (`keypoints`, `keypoint_scores`) is read too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.frame_names import frame_numbers
from choreai.formats.glimpse import Glimpse
from choreai.formats.json_stream import read_json_members
from choreai.formats.keypoint_sets import COCO_FIRST, names_of_set, others_of_set, pick_coco
from choreai.formats.people import PeopleBuffer, files_in, track_id_in
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import abbreviate, join_alternatives, numbers_in
from choreai.motion.skeleton import KEYPOINT_NAMES
from choreai.storage import objects


def is_mmpose_json(glimpse: Glimpse) -> bool:
    """Return whether it is one of MMPose's files, or a folder of them."""
    first = glimpse.first_element
    in_list = isinstance(first, dict) and bool({"instances", "keypoint_scores"} & first.keys())
    return in_list or glimpse.has_key("instance_info", "meta_info")


def read_mmpose_json(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of a video's file, or of a folder with a file for each picture.

    frame_index: `frame_id`, from 0; the number in the file's name if each file is a picture. Raises TableError, which
    names file and person.
    """
    rate = settings.rate_of(uri)
    read = _Predictions(PeopleBuffer(uri))
    files = files_in(uri, ".json")
    for number, file in enumerate(files):
        read.start(number)
        with objects.open_object(file) as opened:
            for key, index, value in read_json_members(opened, digest=read.people.digest, uri=file):
                read.add(key, value, f"{file}: {key or 'element'} {index}")
    read.count_from_zero()
    names = [file.rpartition("/")[2] for file in files]
    frame_index = frame_numbers(names) if len(files) > 1 and not read.has_frames else None
    if read.has_frames and len(files) > 1:
        raise TableError(f"{uri}: {len(files)} files of videos in this folder; convert them one by one")
    return read.people.to_table(settings, frames_per_second=rate, frame_index=frame_index)


@dataclass(eq=False)
class _Predictions:
    people: PeopleBuffer
    number: int = 0
    names: Sequence[str] | None = None
    has_frames: bool = False
    counts_from_one: bool = False

    def start(self, number: int) -> None:
        """Begin with a file."""
        self.number, self.names = number, None

    def add(self, key: str, value: object, where: str) -> None:
        if key == "meta_info":
            self.names = _names_in(value) or self.names
        elif key in ("", "instance_info"):
            self.counts_from_one |= key == "instance_info"
            self._add_element(value, where)

    def count_from_zero(self) -> None:
        """Count frames from 0 where the demos counted them from 1."""
        if self.has_frames and self.counts_from_one and self.people.frames and min(self.people.frames) >= 1:
            for index in range(len(self.people.frames)):
                self.people.frames[index] -= 1

    def _add_element(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise TableError(f"{where} is {abbreviate(value)}, neither a frame nor a person; is this MMPose's?")
        if "instances" not in value:
            self._add_person(self.number, value, where)
            return
        self.has_frames = True
        frame_id = track_id_in(value.get("frame_id"), f"{where}: frame_id")
        if frame_id is None:
            raise TableError(f"{where} has no frame_id; is this MMPose's?")
        instances = value["instances"]
        if not isinstance(instances, list):
            raise TableError(f"{where}: instances is {abbreviate(instances)}; it must be a list of people")
        for index, person in enumerate(instances, start=1):
            self._add_person(frame_id, person, f"{where}, frame_id {frame_id}, person {index}")

    def _add_person(self, frame: int, person: object, where: str) -> None:
        if not isinstance(person, dict):
            raise TableError(f"{where} is {abbreviate(person)}, not an object; is this MMPose's?")
        points = _points(person, where)
        self.people.add(
            frame,
            pick_coco(points, self._names_for(len(points), where)),
            track_id=track_id_in(person.get("track_id"), f"{where}: track_id"),
            box_xyxy=_box(person.get("bbox"), where),
            box_score=_box_score(person.get("bbox_score"), where),
            others=others_of_set(points),
        )

    def _names_for(self, num_keypoints: int, where: str) -> Sequence[str]:
        known = self.names if self.names and len(self.names) == num_keypoints else names_of_set(num_keypoints)
        if known is None or not set(known) & set(KEYPOINT_NAMES):
            raise TableError(
                f"{where} has {num_keypoints} keypoints, and nothing names COCO's among them; without names they must "
                f"be {join_alternatives(COCO_FIRST)}"
            )
        return known


def _names_in(meta_info: object) -> Sequence[str] | None:
    names = meta_info.get("keypoint_id2name") if isinstance(meta_info, dict) else None
    if not isinstance(names, dict) or not all(str(number) in names for number in range(len(names))):
        return None
    return [str(names[str(number)]).lower() for number in range(len(names))]


def _points(person: dict[str, object], where: str) -> Float64Array:
    """Return (J, 3): x, y, score."""
    keypoints = person.get("keypoints")
    scores = numbers_in(person.get("keypoint_scores"), f"{where}: keypoint_scores")
    if not isinstance(keypoints, list) or len(keypoints) != len(scores):
        raise TableError(f"{where}: keypoints are {abbreviate(keypoints)}, for {len(scores)} keypoint_scores")
    if not all(isinstance(point, list) and len(point) == 2 for point in keypoints):
        raise TableError(
            f"{where}: its keypoints are not x, y; 3D predictions have no place in the picture, so "
            "convert those of the 2D network"
        )
    xy = numbers_in([value for point in keypoints for value in point], f"{where}: keypoints")
    return np.column_stack([xy.reshape(-1, 2), scores])


def _box(value: object, where: str) -> list[float] | None:
    """Return the corners of `[[x1, y1, x2, y2]]`, or of it without the outer list."""
    inner = value[0] if isinstance(value, list) and value and isinstance(value[0], list) else value
    if inner is None or inner == []:
        return None
    numbers = numbers_in(inner, f"{where}: bbox")
    if len(numbers) < 4:
        raise TableError(f"{where}: bbox is {abbreviate(value)}; it must be [x1, y1, x2, y2]")
    return numbers[:4].tolist()


def _box_score(value: object, where: str) -> float | None:
    inner = value[0] if isinstance(value, list) and value else value
    return None if inner is None or inner == [] else float(numbers_in([inner], f"{where}: bbox_score")[0])
