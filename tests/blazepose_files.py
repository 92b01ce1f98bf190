"""BlazePose's two files for tests: those of an installed mediapipe, else those that this user has fetched."""

import os
from pathlib import Path

import pytest

from choreai.errors import WeightsError
from choreai.pose.choice import settle
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.weights.cache import Cache, default_folder
from choreai.weights.resolve import weights_path

BLAZEPOSE = PoseSettings(estimator="blazepose")


def blazepose_settings() -> PoseSettings:
    """The settings, with their files; skips the test where they, or LiteRT, are not there."""
    pytest.importorskip("ai_edge_litert", reason="the litert extra is not installed")
    # Tests have an empty cache of their own (conftest.py); this is the user's.
    cache = Cache(default_folder({key: os.environ[key] for key in os.environ.keys() - {"CHOREAI_WEIGHTS"}}))
    names = {"detector_checkpoint": "blazepose-det", "checkpoint": "blazepose-full"}
    fetched = {setting: str(weights_path(name, cache=cache) or "") for setting, name in names.items()}
    try:
        return settle(BLAZEPOSE.with_files(fetched), read_file=objects.read_object)
    except WeightsError:
        pytest.skip("BlazePose's files are not here: `choreai weights fetch blazepose`, or the mediapipe extra")


def find_blazepose_files() -> tuple[Path, Path]:
    """The detector and the landmark network; skips the test where they, or LiteRT, are not there."""
    settings = blazepose_settings()
    return Path(settings.detector_checkpoint), Path(settings.checkpoint)
