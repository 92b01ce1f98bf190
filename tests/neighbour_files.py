"""Files of keypoints as the neighbours write them: OpenPose, COCO, MMPose and others.

All hold the dance of `dance`: every point's place says which keypoint of whom it is, and when, so that a wrong
mapping, left for right or one frame late, is a wrong number.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.skeleton import KEYPOINT_NAMES

FRAMES_PER_SECOND = 25.0


def place(name: str, frame: int, person: int = 0) -> tuple[float, float]:
    """Where a keypoint is: the left of the body at larger x, as of somebody who faces the camera; head above feet."""
    side = {"l": 60.0, "r": -60.0}[name[0]] if name.startswith(("left_", "right_")) else 0.0
    height = {
        "nose": 100, "eye": 90, "ear": 95, "shoulder": 160, "elbow": 220, "wrist": 280, "hip": 300, "knee": 400,
        "ankle": 500, "neck": 160, "mid_hip": 300,
    }.get(name.removeprefix("left_").removeprefix("right_"), 550)  # fmt: skip
    return 300.0 + 400 * person + side + 2 * frame, height + 0.5 * frame


def score(name: str) -> float:
    """The score of a keypoint, exact in float32; another one for each of COCO's."""
    return (KEYPOINT_NAMES.index(name) + 30) / 64 if name in KEYPOINT_NAMES else 0.25


def coco(frame: int, person: int = 0) -> Float64Array:
    """(17, 3): x, y, score."""
    return np.array([(*place(name, frame, person), score(name)) for name in KEYPOINT_NAMES])


def flat(names: tuple[str, ...], frame: int, person: int = 0) -> list[float]:
    """x, y, score after another of a keypoint set."""
    return [value for name in names for value in (*place(name, frame, person), score(name))]


OPENPOSE_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip
"""https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md"""
OPENPOSE_18 = tuple(name for name in OPENPOSE_25[:19] if name != "mid_hip")


def openpose_person(keypoints: list[float]) -> dict[str, Any]:
    """A person as OpenPose 1.7 writes one that is not tracked."""
    empty: dict[str, Any] = {
        f"{part}_{dimensions}": []
        for dimensions in ("2d", "3d")
        for part in ("face_keypoints", "hand_left_keypoints", "hand_right_keypoints", "pose_keypoints")
    }
    return {"person_id": [-1], **empty, "pose_keypoints_2d": keypoints}


def openpose_folder(folder: Path, names: tuple[str, ...] = OPENPOSE_25, *, num_people: int = 1) -> str:
    """Frames 0 to 4; nobody in frame 2."""
    folder.mkdir()
    for frame in range(5):
        people = [openpose_person(flat(names, frame, person)) for person in range(num_people if frame != 2 else 0)]
        content = {"version": 1.3, "people": people}
        (folder / f"dance_{frame:012d}_keypoints.json").write_text(json.dumps(content))
    return str(folder)


def coco_annotations(path: Path, **changes: Any) -> str:
    """Two people in frames 7 and 8, as in `person_keypoints_val2017.json`, without their segmentations."""
    annotations: list[dict[str, Any]] = []
    for frame in (7, 8):
        for person in (0, 1):
            points = coco(frame, person)
            points[:, 2] = [2] * 15 + [1, 0]
            points[16, :2] = 0
            annotations.append(
                {
                    "segmentation": [],
                    "num_keypoints": 16,
                    "area": 47803.27955,
                    "iscrowd": 0,
                    "keypoints": points.ravel().tolist(),
                    "image_id": 100 + frame,
                    "bbox": [200.0 + 400 * person, 80.0, 220.0, 440.0],
                    "category_id": 1,
                    "id": 425226 + len(annotations),
                }
            )
    content = {
        "info": {"description": "COCO 2017 Dataset"},
        "licenses": [{"id": 1, "name": "CC"}],
        "images": [
            {"license": 1, "file_name": f"{frame:012d}.jpg", "height": 600, "width": 800, "id": 100 + frame}
            for frame in (7, 8)
        ],
        "annotations": annotations,
        "categories": [
            {
                "supercategory": "person",
                "id": 1,
                "name": "person",
                "keypoints": list(KEYPOINT_NAMES),
                "skeleton": [[16, 14]],
            }
        ],
    }
    path.write_text(json.dumps(content | changes))
    return str(path)


def coco_results(path: Path) -> str:
    """What is uploaded to COCO's server: two people in images 7 and 8."""
    people = [
        {"image_id": frame, "category_id": 1, "keypoints": coco(frame, person).ravel().tolist(), "score": 0.75}
        for frame in (7, 8)
        for person in (0, 1)
    ]
    path.write_text(json.dumps(people))
    return str(path)


def mmpose_instance(frame: int, person: int = 0) -> dict[str, Any]:
    points = coco(frame, person)
    return {
        "keypoints": points[:, :2].tolist(),
        "keypoint_scores": points[:, 2].tolist(),
        "bbox": [[200.0 + 400 * person, 80.0, 420.0 + 400 * person, 520.0]],
        "bbox_score": 0.875,
    }


def mmpose_video(path: Path, *, demo: bool = False) -> str:
    """A video of three frames; nobody in the second. `demo`: of topdown_demo_with_mmdet.py, not of the inferencer."""
    frames: list[dict[str, Any]] = [
        {"frame_id": frame + demo, "instances": [mmpose_instance(frame)] if frame != 1 else []} for frame in range(3)
    ]
    names = {str(number): name for number, name in enumerate(KEYPOINT_NAMES)}
    content: Any = {"meta_info": {"dataset_name": "coco", "keypoint_id2name": names}, "instance_info": frames}
    path.write_text(json.dumps(content if demo else frames))
    return str(path)


def yolo_line(frame: int, person: int = 0, *, dims: int = 3, behind: str = "") -> str:
    """A person as `Results.save_txt` of ultralytics 8.4 writes it, six digits of each share of 1000 x 800."""
    points = coco(frame, person)
    shares = np.column_stack([points[:, :2] / (1000, 800), points[:, 2]])[:, :dims]
    box = (0.31 + 0.4 * person, 0.375, 0.22, 0.55)
    return ("%g " * (5 + shares.size)).rstrip() % (0, *box, *shares.ravel()) + behind


def yolo_labels(folder: Path, *, dims: int = 3, behind: str = "") -> str:
    """Of frames 1 and 3 of a video; nobody was found in the others."""
    folder.mkdir()
    for frame in (1, 3):
        (folder / f"dance_{frame}.txt").write_text(yolo_line(frame, dims=dims, behind=behind) + "\n")
    return str(folder)


def yolo_result(frame: int, person: int = 0, **more: Any) -> dict[str, Any]:
    """A person as `Results.to_json` of ultralytics 8.4 has it."""
    points = coco(frame, person)
    x, y, visible = points.T.tolist()
    box = {"x1": 200.0 + 400 * person, "y1": 80.0, "x2": 420.0 + 400 * person, "y2": 520.0}
    keypoints = {"x": x, "y": y, "visible": visible}
    return {"name": "person", "class": 0, "confidence": 0.875, "box": box, **more, "keypoints": keypoints}


def yolo_results(path: Path) -> str:
    """The results of a video of two frames."""
    path.write_text(json.dumps([[yolo_result(0, track_id=4)], [yolo_result(1, track_id=4)]]))
    return str(path)


def yolo_csv(path: Path) -> str:
    """Two people of one picture, as `Results.to_csv` writes them."""
    rows = [yolo_result(0, person, track_id=person + 3) for person in (0, 1)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def keypoint_csv(path: Path) -> str:
    """As a script of somebody's writes it, without boxes and ids."""
    names = [f"{name}_{part}" for name in KEYPOINT_NAMES for part in ("x", "y", "confidence")]
    lines = [",".join(["frame", *names])]
    lines += [",".join(map(str, [frame, *coco(frame).ravel()])) for frame in (0, 1)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


BLAZEPOSE = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker"""


def blazepose(name: str, frame: int) -> list[float]:
    """x, y, z, visibility of a landmark: shares of a picture of 1024 x 512."""
    x, y = place(name, frame)
    return [(x + 0.5) / 1024, (y + 0.5) / 512, -0.25, score(name)]


def mediapipe_wide(
    path: Path, head: Callable[[int], str] = lambda k: f"x{k},y{k},z{k},v{k}", *, first: str = "frame"
) -> str:
    """A row a frame; nobody in frame 1."""
    lines = [",".join([*([first] if first else []), *(head(k) for k in range(33))])]
    for frame in (0, 1, 2):
        values = [v for name in BLAZEPOSE for v in blazepose(name, frame)] if frame != 1 else [""] * 132
        lines.append(",".join(map(str, [*([frame] if first else []), *values])))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def mediapipe_long(path: Path, *, by_name: bool) -> str:
    """A row a landmark."""
    lines = ["frame,landmark,x,y,z,visibility"]
    for frame in (0, 2):
        for k, name in enumerate(BLAZEPOSE):
            lines.append(",".join(map(str, [frame, name.upper() if by_name else k, *blazepose(name, frame)])))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


KINOVEA_TRACKS = tuple(name.replace("_", " ") for name in KEYPOINT_NAMES[5:])


def kinovea(
    path: Path, *, decimal_comma: bool = False, step: float = 40.0, tracks: tuple[str, ...] = KINOVEA_TRACKS
) -> str:
    """Three frames; the second track ends after two. y points upwards, from the lower left corner."""
    divider = ";" if decimal_comma else ","
    head = ["Time", *(f"{track}/0/{axis}" for track in tracks for axis in "XY")]
    rows = [divider.join(f'"{name}"' for name in head)]
    for frame in range(3):
        cells = [f"{frame * step:g}"]
        for index, track in enumerate(tracks):
            x, y = place(track.replace(" ", "_"), frame)
            cells += ["", ""] if index == 1 and frame == 2 else [f"{x:g}", f"{720 - y:g}"]
        cells = [cell.replace(".", ",") if decimal_comma else cell for cell in cells]
        rows.append(divider.join(f'"{cell}"' if cell else "" for cell in cells))
    path.write_text("\r\n".join(rows) + "\r\n")
    return str(path)
