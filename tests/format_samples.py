"""One file or folder of each format that keypoints are read from."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from keypoint_files import person as alphapose_person
from keypoint_files import random_samples, random_table, write_json, write_text_files
from motion_capture_files import bvh, c3d, deeplabcut_csv, trc
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


def _parquet(path: Path) -> str:
    pq.write_table(random_table(), path)
    return str(path)


def _alphapose(path: Path) -> str:
    return write_json(path, [alphapose_person("0.jpg"), alphapose_person("1.jpg")])


def _report_text(path: Path) -> str:
    path.mkdir()
    return write_text_files(path, random_samples(), [1, 2, 3])[0]


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
}
