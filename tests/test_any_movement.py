"""Movement that is not dance: motion capture of actions goes the way of dance, from files to what tells them apart."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from choreai.config import KeypointSettings
from choreai.formats.keypoint_reader import GivenVideo
from choreai.lift.motions import read_mocap
from choreai.motion.skeleton3d import limb_variation
from choreai.motion.windows import WindowSettings, cut_windows
from choreai.pipeline.keypoints import look_at_keypoints
from choreai.tables.keypoints import sequence_of

MOCAP = Path(__file__).parents[2] / "shared" / "data" / "mocap"
SOME = {"02_01", "03_01", "07_01", "02_03", "09_01", "09_02", "60_02", "61_02", "60_03", "61_03"}
"""Walks of three subjects, runs and salsa of two."""
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not MOCAP.exists(), reason="no ../shared/data/mocap here"),
]


def labels() -> dict[str, tuple[str, str]]:
    """Label and subject of the chosen recordings."""
    with (MOCAP / "index.csv").open() as file:
        rows = {Path(row["file"]).stem: (row["label"], row["group"]) for row in csv.DictReader(file)}
    return {name: found for name, found in rows.items() if name in SOME}


def test_recordings_are_videos_of_keypoints_and_actions_of_other_subjects_are_told_apart() -> None:
    given = look_at_keypoints(KeypointSettings(source=str(MOCAP / "seq"), made_by="cmu"))
    assert given.files["60_02"].format == "joints-npz"
    told = labels()
    features, names = [], []
    for name in sorted(told):
        rows = given.reader.read(given.files[name], GivenVideo(name, "c"))
        windows = cut_windows(sequence_of(rows).between(0, 8), WindowSettings(stride_seconds=2.0))
        features.append(np.nan_to_num(windows.kinematic_features))
        names += [name] * len(windows)
    values, owners = np.concatenate(features), np.array(names)
    wanted = np.array([told[name][0] for name in owners])
    subject = np.array([told[name][1] for name in owners])
    right = []
    for group in sorted(set(subject)):
        train = subject != group
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500)).fit(
            values[train], wanted[train]
        )
        right += list(model.predict(values[~train]) == wanted[~train])
    assert np.mean(right) > 0.7


def test_motion_capture_is_read_for_training_with_subjects_and_labels_of_its_index() -> None:
    found = {motion.name: motion for motion in read_mocap(MOCAP)}
    assert {name: (found[name].label, found[name].group) for name in labels()} == labels()
    assert limb_variation(found["60_02"].xyz) < 0.05
