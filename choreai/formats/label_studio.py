"""Label Studio's tasks in JSON, with the keypoints as predictions for people to correct.

The project's labeling interface must have the tags of `INTERFACE` (examples/label-studio.xml).
"""

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from choreai.formats.frames import FramePerson, people_by_frame
from choreai.formats.glimpse import Glimpse
from choreai.formats.settings import ConvertSettings
from choreai.formats.written import write_file
from choreai.motion.skeleton import KEYPOINT_NAMES

_LABELS = "".join(f'    <Label value="{name}"/>\n' for name in KEYPOINT_NAMES)
INTERFACE = f"""\
<View>
  <Image name="image" value="$image" zoom="true"/>
  <RectangleLabels name="person" toName="image">
    <Label value="person"/>
  </RectangleLabels>
  <KeyPointLabels name="keypoint" toName="image" strokeWidth="3">
{_LABELS}  </KeyPointLabels>
</View>
"""
POINT_WIDTH = 0.5
"""In percent of the picture's width."""


def is_label_studio(glimpse: Glimpse) -> bool:
    """Return whether it is a list of tasks with predictions or annotations."""
    task = glimpse.first_element
    return isinstance(task, dict) and "data" in task and bool({"predictions", "annotations"} & task.keys())


def write_label_studio(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write a task for each frame with people; places are percent of the picture.

    `data.image` is the name that `settings.image_names` makes: an address, or /data/local-files/?d=frames/%06d.jpg.
    Each person is a box with its keypoints as children; missing ones are left out. Raises TableError if the table
    holds more than one video.
    """
    size = settings.size_of(uri, why="Label Studio's places are percent of the picture")
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        separator = "["
        for people in people_by_frame(table, uri):
            frame = people[0].frame_index
            result = [region for person in people for region in _regions(person, size)]
            scores = [person.box_score for person in people]
            task = {
                "data": {"image": settings.image_name(frame), "frame_index": frame},
                "predictions": [{"model_version": "choreai", "score": min(scores), "result": result}],
            }
            file.write(separator + json.dumps(task, allow_nan=False))
            separator = ",\n"
        file.write("[]" if separator == "[" else "]")


def _regions(person: FramePerson, size_wh: tuple[int, int]) -> Iterator[dict[str, object]]:
    width, height = size_wh
    to_percent = np.array([100 / width, 100 / height])
    box_id = f"frame{person.frame_index}track{person.track_id}"
    common = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "image"}
    low, high = person.box_xyxy[:2] * to_percent, person.box_xyxy[2:] * to_percent
    place = dict(zip(("x", "y", "width", "height"), [*low.tolist(), *(high - low).tolist()], strict=True))
    box = {**place, "rotation": 0, "rectanglelabels": ["person"]}
    meta = {"text": [f"track {person.track_id}"]}
    yield {
        "id": box_id, "from_name": "person", "type": "rectanglelabels", "value": box, "score": person.box_score,
        "meta": meta, **common,
    }  # fmt: skip
    for name, (x, y, score) in zip(KEYPOINT_NAMES, person.keypoints, strict=True):
        if score > 0:
            value = {"x": x * to_percent[0], "y": y * to_percent[1], "width": POINT_WIDTH, "keypointlabels": [name]}
            yield {
                "id": f"{box_id}{name}", "parentID": box_id, "from_name": "keypoint", "type": "keypointlabels",
                "value": value, "score": score, **common,
            }  # fmt: skip
