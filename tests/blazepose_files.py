"""BlazePose's two files for tests: those that were fetched, else those of an installed mediapipe."""

from pathlib import Path

import pytest

from choreai.pose.choice import with_blazepose_files
from choreai.pose.settings import PoseSettings

BLAZEPOSE = PoseSettings(estimator="blazepose")


def find_blazepose_files() -> tuple[Path, Path]:
    """The detector and the landmark network; skips the test where they, or LiteRT, are not there."""
    pytest.importorskip("ai_edge_litert", reason="the litert extra is not installed")
    named = with_blazepose_files(BLAZEPOSE)
    files = Path(named.detector_checkpoint), Path(named.checkpoint)
    if not all(file.exists() for file in files):
        pytest.skip("BlazePose's files are not here: `choreai weights fetch blazepose`, or the mediapipe extra")
    return files
