"""FiftyOne's JSON of a dataset, for `fiftyone.Dataset.from_json("dance.json", rel_dir="frames")`."""

import json
import math

import numpy as np
import pyarrow as pa

from choreai.formats.frames import FramePerson, people_by_frame
from choreai.formats.glimpse import Glimpse
from choreai.formats.rows import one_video
from choreai.formats.settings import ConvertSettings
from choreai.formats.written import write_file
from choreai.motion.skeleton import EDGES, KEYPOINT_NAMES

FIELD = "people"
_MISSING = [math.nan, math.nan]
"""A point that is not there, as FiftyOne has it. It writes {"$numberDouble": "NaN"}, but does not read that back; the
token NaN, which is no JSON, it does read."""


def is_fiftyone_json(glimpse: Glimpse) -> bool:
    """Return whether it is a dataset that FiftyOne or we wrote."""
    return glimpse.has_key("samples") or (
        '"sample_fields"' in glimpse.text[:5000] and '"media_type"' in glimpse.text[:5000]
    )


def write_fiftyone_json(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write a sample for each frame with people, its keypoints in the field `people`, with COCO's skeleton.

    `index` is the track id, `confidence` the keypoint scores; places are shares of the picture, NaN where missing.
    Raises TableError if the table holds more than one video.
    """
    width, height = settings.size_of(uri, why="FiftyOne's places are shares of the picture")
    head = {
        "name": one_video(table, uri),
        "media_type": "image",
        "sample_fields": _SAMPLE_FIELDS,
        "info": {},
        "default_skeleton": {"labels": list(KEYPOINT_NAMES), "edges": [list(edge) for edge in EDGES]},
    }
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head)[:-1] + ', "samples": ')
        separator = "["
        for people in people_by_frame(table, uri):
            frame = people[0].frame_index
            sample = {
                "filepath": settings.image_name(frame),
                "tags": [],
                "metadata": {"_cls": "ImageMetadata", "width": width, "height": height},
                "_media_type": "image",
                "frame_index": frame,
                FIELD: {"_cls": "Keypoints", "keypoints": [_keypoint(person, (width, height)) for person in people]},
            }
            file.write(separator + json.dumps(sample))
            separator = ",\n"
        file.write(("[]" if separator == "[" else "]") + "}")


_FIELDS = "fiftyone.core.fields"
_SAMPLE_FIELDS = {
    "filepath": f"{_FIELDS}.StringField",
    "tags": f"{_FIELDS}.ListField({_FIELDS}.StringField)",
    "metadata": f"{_FIELDS}.EmbeddedDocumentField(fiftyone.core.metadata.ImageMetadata)",
    "frame_index": f"{_FIELDS}.IntField",
    FIELD: f"{_FIELDS}.EmbeddedDocumentField(fiftyone.core.labels.Keypoints)",
}


def _keypoint(person: FramePerson, size_wh: tuple[int, int]) -> dict[str, object]:
    shares = person.keypoints[:, :2] / np.array(size_wh)
    seen = person.keypoints[:, 2] > 0
    return {
        "_cls": "Keypoint",
        "label": "person",
        "index": person.track_id,
        "points": [share if is_there else _MISSING for share, is_there in zip(shares.tolist(), seen, strict=True)],
        "confidence": person.keypoints[:, 2].tolist(),
        "attributes": {},
        "tags": [],
    }
