"""One file or folder of each format that keypoints are read from."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from keypoint_files import person as alphapose_person
from keypoint_files import random_samples, random_table, write_json, write_text_files
from motion_capture_files import body, bvh, c3d, deeplabcut_csv, joints_npz, trc
from neighbour_files import (
    coco_annotations,
    coco_results,
    keypoint_csv,
    kinovea,
    mediapipe_wide,
    mmpose_video,
    openpose_folder,
    yolo_labels,
    yolo_results,
)

from choreai.tables.space_schemas import POSES3D


def _parquet(path: Path) -> str:
    pq.write_table(random_table(), path)
    return str(path)


def _alphapose(path: Path) -> str:
    return write_json(path, [alphapose_person("0.jpg"), alphapose_person("1.jpg")])


def _report_text(path: Path) -> str:
    path.mkdir()
    return write_text_files(path, random_samples(), [1, 2, 3])[0]


def _poses3d(path: Path) -> str:
    frames, same = range(3), [0.0] * 3
    rows = {
        "video_id": ["dance"] * 3, "content_id": ["c"] * 3, "frame_index": frames, "pts_seconds": same,
        "track_id": [0] * 3, "piece": [0] * 3, "heading": same, "root_height": [0.9] * 3,
        "keypoints_xyz": [(body(frame) * (1, -1, -1) + (0, 0.95, 0)).ravel().tolist() for frame in frames],
        "scale_source": ["assumed"] * 3, "pose_fingerprint": ["f"] * 3, "lifter_version": ["lifter-0"] * 3,
        "shard_id": ["s"] * 3,
    }  # fmt: skip
    pq.write_table(pa.table(rows, schema=POSES3D), path)
    return str(path)


SAMPLES: dict[str, Callable[[Path], str]] = {
    "parquet": _parquet,
    "alphapose-json": _alphapose,
    "report-text": _report_text,
    "openpose": openpose_folder,
    "coco-json": coco_annotations,
    "coco-results": coco_results,
    "mmpose-json": mmpose_video,
    "ultralytics-labels": yolo_labels,
    "ultralytics-results": yolo_results,
    "csv": keypoint_csv,
    "mediapipe-csv": mediapipe_wide,
    "kinovea-csv": kinovea,
    "deeplabcut": deeplabcut_csv,
    "trc": trc,
    "c3d": lambda path: c3d(path.with_suffix(".c3d")),
    "bvh": bvh,
    "joints-npz": lambda path: joints_npz(path.with_suffix(".npz")),
    "poses3d": _poses3d,
}
