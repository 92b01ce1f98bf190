"""CVAT's XML 1.1, of images and of video, for people to correct keypoints: skeletons of 17 points called as COCO's.

The task must have the label `person`: paste `labels()` (examples/cvat-labels.json) into the Raw tab of its labels.
"""

from collections.abc import Iterator
from typing import TextIO
from xml.sax.saxutils import quoteattr

import numpy as np
import pyarrow as pa

from choreai.formats.frames import FramePerson, people_by_frame, people_by_track
from choreai.formats.glimpse import Glimpse
from choreai.formats.rows import one_video
from choreai.formats.settings import ConvertSettings
from choreai.formats.written import write_file
from choreai.motion.skeleton import EDGES, KEYPOINT_NAMES

LABEL = "person"
_UPRIGHT = (
    (50, 8), (54, 5), (46, 5), (60, 7), (40, 7), (65, 22), (35, 22), (72, 38), (28, 38), (76, 52), (24, 52), (58, 52),
    (42, 52), (60, 73), (40, 73), (61, 94), (39, 94),
)  # fmt: skip
"""Where each keypoint is in the drawing of the skeleton, in percent: somebody who faces the camera."""


def skeleton_svg() -> str:
    """Return the drawing by which CVAT knows a skeleton: lines, and points with their numbers and names."""
    lines = "".join(
        f'<line x1="{_UPRIGHT[a][0]}" y1="{_UPRIGHT[a][1]}" x2="{_UPRIGHT[b][0]}" y2="{_UPRIGHT[b][1]}" '
        f'data-type="edge" data-node-from="{a + 1}" data-node-to="{b + 1}"></line>'
        for a, b in EDGES
    )
    points = "".join(
        f'<circle r="0.75" cx="{x}" cy="{y}" data-type="element node" data-element-id="{k + 1}" data-node-id="{k + 1}" '
        f'data-label-name="{name}"></circle>'
        for k, (name, (x, y)) in enumerate(zip(KEYPOINT_NAMES, _UPRIGHT, strict=True))
    )
    return lines + points


def labels() -> list[dict[str, object]]:
    """Return the labels of a task, as the Raw tab takes them."""
    points = [{"name": name, "type": "points", "attributes": []} for name in KEYPOINT_NAMES]
    return [{"name": LABEL, "type": "skeleton", "attributes": [], "sublabels": points, "svg": skeleton_svg()}]


def is_cvat_xml(glimpse: Glimpse) -> bool:
    """Return whether it is XML with CVAT's annotations."""
    return "<annotations>" in glimpse.text[:1000]


def write_cvat_images(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write "CVAT for images 1.1": an image for each frame with people, named by `settings.image_names`.

    A missing keypoint is outside. Raises TableError if the table holds more than one video.
    """
    width, height = settings.size_of(uri, why="CVAT's images have a size")
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        _write_head(file, one_video(table, uri), "annotation", (width, height))
        for people in people_by_frame(table, uri):
            frame = people[0].frame_index
            name = quoteattr(settings.image_name(frame))
            file.write(f'  <image id="{frame}" name={name} width="{width}" height="{height}">\n')
            for person in people:
                file.write(f'    <skeleton label="{LABEL}" source="auto" z_order="0">\n')
                file.writelines(f"      <points {point}></points>\n" for point in _points(person, 'source="auto"'))
                file.write("    </skeleton>\n")
            file.write("  </image>\n")
        file.write("</annotations>\n")


def write_cvat_video(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write "CVAT for video 1.1": a track for each person, a keyframe for each row; CVAT fills in the frames between.

    Where a person is away longer than the sampling's step, all points are outside. Raises TableError if the table holds
    more than one video.
    """
    size = settings.size_of(uri, why="CVAT's tasks have a size")
    last = int(table["frame_index"].to_numpy().max(initial=0))
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        _write_head(file, one_video(table, uri), "interpolation", size)
        for track in people_by_track(table, uri):
            file.write(f'  <track id="{track[0].track_id}" label="{LABEL}" source="auto">\n')
            for person, is_end in _with_ends(track, last):
                frame = person.frame_index + is_end
                file.write(f'    <skeleton frame="{frame}" keyframe="1" z_order="0">\n')
                points = _points(person, 'keyframe="1"', all_outside=is_end)
                file.writelines(f"      <points {point}></points>\n" for point in points)
                file.write("    </skeleton>\n")
            file.write("  </track>\n")
        file.write("</annotations>\n")


def _with_ends(track: list[FramePerson], last: int) -> Iterator[tuple[FramePerson, bool]]:
    """Yield each row, and again, as an end, the rows behind which the person is away."""
    steps = np.diff([person.frame_index for person in track])
    step = int(np.median(steps)) if len(steps) else 1
    for number, person in enumerate(track):
        yield person, False
        is_away = steps[number] > step if number < len(steps) else person.frame_index < last
        if is_away:
            yield person, True


def _points(person: FramePerson, attribute: str, *, all_outside: bool = False) -> Iterator[str]:
    middle = (person.box_xyxy[:2] + person.box_xyxy[2:]) / 2
    for name, (x, y, score) in zip(KEYPOINT_NAMES, person.keypoints, strict=True):
        x, y = (x, y) if score > 0 else middle
        outside = int(all_outside or score <= 0)
        yield f'label="{name}" {attribute} outside="{outside}" occluded="0" points="{x:.2f},{y:.2f}"'


def _write_head(file: TextIO, video: str, mode: str, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    sub_labels = "".join(
        f"<label><name>{name}</name><type>points</type><attributes></attributes><parent>{LABEL}</parent></label>"
        for name in KEYPOINT_NAMES
    )
    svg = skeleton_svg().replace("<", "&lt;").replace(">", "&gt;")
    file.write(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>'
        f"<name>{video.replace('&', '&amp;').replace('<', '&lt;')}</name><mode>{mode}</mode><labels>"
        f"<label><name>{LABEL}</name><type>skeleton</type><attributes></attributes><svg>{svg}</svg></label>{sub_labels}"
        f"</labels><original_size><width>{width}</width><height>{height}</height></original_size></task>\n  </meta>\n"
    )
