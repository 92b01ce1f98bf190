"""A top-down estimator from the files that the settings name."""

from pathlib import Path

import pytest
import torch

from choreai.errors import ConfigError, WeightsError
from choreai.pose.build import build_estimator
from choreai.pose.settings import PoseSettings
from choreai.storage import objects

# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"estimator": "alphapose"}, "needs a checkpoint"),
        ({"estimator": "mediapipe", "checkpoint": "a.pth"}, "does not apply to MediaPipe"),
        ({"checkpoint": "a.pth"}, 'set estimator = "alphapose"'),
        ({"config": "a.yaml"}, "config applies to AlphaPose"),
        ({"estimator": "alphapose", "checkpoint": "a.onnx", "precision": "bf16"}, "precision applies to AlphaPose"),
        ({"estimator": "alphapose", "checkpoint": "a.onnx", "flip": True}, "flip applies to AlphaPose"),
        ({"min_box_score": 1.5}, "min_box_score"),
        ({"min_box_area": -1.0}, "min_box_area"),
        ({"pose_batch": -1}, "pose_batch"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong, message) -> None:
    with pytest.raises(ValueError, match=message):
        PoseSettings(**wrong)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    settings = PoseSettings(estimator="alphapose", checkpoint=str(tmp_path / "gone.pth"), device="cpu")
    with pytest.raises(WeightsError, match=r"checkpoint: .*gone\.pth: there is nothing here"):
        build_estimator(settings, read_file=objects.read_object)


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    settings = PoseSettings(estimator="alphapose", checkpoint=str(tmp_path / "cut.pth"), device="cpu")
    with pytest.raises(WeightsError, match=r"cut\.pth: the checkpoint of"):
        build_estimator(settings, read_file=objects.read_object)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_gpu_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    settings = PoseSettings(estimator="alphapose", checkpoint="a.pth", device="cuda")
    with pytest.raises(ConfigError, match="sees no GPU"):
        build_estimator(settings, read_file=objects.read_object)
