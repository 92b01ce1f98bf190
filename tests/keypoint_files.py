"""Files of keypoints as other programs write them, and tables to write them from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from choreai.formats.rows import ConvertedRows


def person(image_id: object = "0.jpg", *, x: float = 100.0, num_keypoints: int = 17, **more: Any) -> dict[str, Any]:
    """One person as AlphaPose writes them; a value of `...` leaves the key out."""
    keypoints = [v for k in range(num_keypoints) for v in (x + k, 50.0 + 2 * k, 0.5 + k / 100)]
    fields = {
        "image_id": image_id,
        "category_id": 1,
        "keypoints": keypoints,
        "score": 2.5,
        "box": [x, 40.0, 30.0, 60.0],
        "idx": 0,
    }
    return {key: value for key, value in (fields | more).items() if value is not ...}


def write_json(path: Path, people: object) -> str:
    path.write_text(json.dumps(people))
    return str(path)


def random_table(seed: int = 0, *, videos: Sequence[str] = ("dance",), num_frames: int = 30) -> pa.Table:
    """Two people in every frame of every video, with float32 values of every size."""
    rng = np.random.default_rng(seed)
    num_rows = len(videos) * num_frames * 2
    corners = rng.normal(300, 900, (num_rows, 2)).astype(np.float32)
    return ConvertedRows(
        video_ids=list(videos),
        content_ids=[f"sha256-{video}" for video in videos],
        video=np.repeat(np.arange(len(videos)), num_frames * 2),
        track_id=np.tile([0, 1], len(videos) * num_frames),
        frame_index=np.tile(np.repeat(np.arange(num_frames) * 3, 2), len(videos)),
        box_xyxy=np.concatenate([corners, corners + rng.uniform(1, 400, (num_rows, 2))], axis=1).astype(np.float32),
        box_score=rng.uniform(0, 4, num_rows).astype(np.float32),
        keypoints=rng.normal(300, 900, (num_rows, 17, 3)).astype(np.float32),
    ).to_table(frames_per_second=30.0)


def write_text_files(folder: Path, samples: np.ndarray[Any, Any], labels: Sequence[object]) -> tuple[str, str]:
    """The two files of the keypoint text format: (N, 51) samples, and a label for every 100 of them."""
    x, y = folder / "X.txt", folder / "Y.txt"
    x.write_text("".join(",".join(repr(float(v)) for v in row) + "\n" for row in samples))
    y.write_text("".join(f"{label}\n" for label in labels))
    return str(x), str(y)


def random_samples() -> np.ndarray[Any, Any]:
    """(300, 51): three sequences."""
    return np.random.default_rng(0).uniform(0, 900, (300, 51)).astype(np.float32)
