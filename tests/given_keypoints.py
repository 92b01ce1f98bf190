"""Keypoints of `moving_skeletons` as somebody has them who never had choreai: files, a folder, labels."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from arms_model import arms_model
from moving_skeletons import STYLES, FloatArray, dancer_xy

from choreai.cluster.tag_worker import TagWorker
from choreai.formats.origin import Origin
from choreai.style.model import StyleModel

RATE = ("--frames-per-second", "10")


def with_scores(xy: FloatArray, *, seed: int = 0) -> FloatArray:
    """(N, 17, 3) with scores as an estimator gives them."""
    scores = np.random.default_rng(seed).uniform(0.7, 0.95, (*xy.shape[:2], 1))
    return np.concatenate([xy, scores], axis=2).astype(np.float32)


def write_alphapose(path: Path, keypoints: FloatArray) -> None:
    """One person in every frame, as AlphaPose writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    people = [
        {
            "image_id": f"{frame}.jpg",
            "category_id": 1,
            "keypoints": np.round(of_frame.astype(float), 3).ravel().tolist(),
            "score": 2.9,
            "idx": 1,
        }
        for frame, of_frame in enumerate(keypoints)
    ]
    path.write_text(json.dumps(people))


def write_folder(folder: Path, num_per_style: int, *, num_frames: int = 60) -> Path:
    """A results file a video, and labels that call them by their videos; return the labels."""
    lines = ["video_id,label,group"]
    for style in STYLES:
        for seed in range(num_per_style):
            xy = dancer_xy(style, seed=seed, num_frames=num_frames)
            write_alphapose(folder / f"{style}_{seed}.json", with_scores(xy, seed=seed))
            lines.append(f"{style}_{seed}.mp4,{style},{style}-{seed // 2}")
    labels = folder / "labels.csv"
    labels.write_text("\n".join(lines) + "\n")
    return labels


def write_text(folder: Path, name: str, styles: Sequence[str], *, num_lines: int = 100) -> tuple[Path, Path]:
    """Sequences of these styles in X_name.txt, their class numbers in Y_name.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    x, y = folder / f"X_{name}.txt", folder / f"Y_{name}.txt"
    blocks = [
        with_scores(dancer_xy(style, seed=seed, num_frames=num_lines)).reshape(num_lines, 51)
        for seed, style in enumerate(styles)
    ]
    np.savetxt(x, np.concatenate(blocks), fmt="%.3f", delimiter=",")
    y.write_text("".join(f"{STYLES.index(style) + 1}\n" for style in styles))
    return x, y


class GivenArmsWorker(TagWorker):
    """Tags with a model that was trained on AlphaPose's keypoints, as it says."""

    @staticmethod
    def load_model(uri: str) -> StyleModel:
        origin = Origin.of_files("alphapose", has_scores=True)
        model = arms_model()
        config = model.config.__class__(**{**vars(model.config), "pose_fingerprint": origin.pose_fingerprint})
        return model.__class__(model.networks, config, training={"keypoints": origin.to_json()})
