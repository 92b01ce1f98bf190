"""Style models that read more than COCO's keypoints: feet, hands and faces."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_skeletons import FINGERPRINT

from choreai.catalog.catalog import Video
from choreai.catalog.shards import TagShard
from choreai.cluster.tag_worker import TagWorker
from choreai.errors import TableError
from choreai.motion.keypoint_sets import HALPE_26, KEYPOINT_SETS
from choreai.motion.sequence import FramePeople, KeypointSequence
from choreai.motion.windows import WindowSettings, cut_windows
from choreai.style.examples import Inputs, read_windows
from choreai.style.model import StyleModel, StyleModelConfig, load_model, save_model
from choreai.style.networks import build_network
from choreai.style.training import augment
from choreai.tables.pose_parts import PosePartWriter, VideoRows

STYLES = ("heel", "toe")
TOES = [HALPE_26.keypoints.index(f"{side}_big_toe") for side in ("left", "right")]
HALPE_WINDOWS = WindowSettings(keypoint_set="halpe-26")


def frames_of(style: str, *, seed: int, num_keypoints: int = 26, num_frames: int = 60) -> list[FramePeople]:
    """Somebody who stands still and taps: only the toes of one style move."""
    rng = np.random.default_rng(seed)
    pose = rng.normal((0, 0), 4, (num_keypoints, 2)) + np.array([320, 180])
    pose[[5, 6]] += (0, -60)
    frames = []
    for index in range(num_frames):
        xy = pose + rng.normal(0, 0.2, pose.shape)
        if style == "toe" and num_keypoints > 17:
            xy[TOES, 1] -= 15 * (1 + np.sin(index / 2))
        points = xy[None].astype(np.float32)
        scores = np.full((1, num_keypoints), 0.9, np.float32)
        others = (points[:, 17:], scores[:, 17:]) if num_keypoints > 17 else (None, None)
        box = np.array([[300, 100, 340, 260]], np.float32)
        people = FramePeople(index, index / 15, np.zeros(1, np.int32), points[:, :17], scores[:, :17], None, box,
                             np.ones(1, np.float32), *others)  # fmt: skip
        frames.append(people)
    return frames


def inputs_of(style: str, num_videos: int, *, settings: WindowSettings = HALPE_WINDOWS) -> Inputs:
    sequences = (KeypointSequence.from_frames(frames_of(style, seed=seed)) for seed in range(num_videos))
    return Inputs.concat([Inputs.from_windows(cut_windows(sequence, settings)) for sequence in sequences])


def model_of(settings: WindowSettings, *, kind="style") -> StyleModel:
    torch.manual_seed(0)
    network = build_network(kind, num_labels=2, hidden_size=8, dropout=0.0, num_keypoints=settings.num_keypoints)
    return StyleModel((network,), StyleModelConfig(STYLES, FINGERPRINT, settings, kind, hidden_size=8, num_members=1))


def write_part(root: Path, num_keypoints: int) -> None:
    with PosePartWriter(str(root), shard_id="k", pose_fingerprint=FINGERPRINT, trace={}) as writer:
        for name in STYLES:
            rows = VideoRows(writer.scratch, video_id=name, content_id="c")
            for people in frames_of(name, seed=1, num_keypoints=num_keypoints):
                rows.add_people(people)
            writer.add_video({"video_id": name}, rows)
        writer._videos.clear()
        writer.commit()


def test_a_window_has_all_keypoints_around_the_same_hips_in_the_same_unit() -> None:
    sequence = KeypointSequence.from_frames(frames_of("toe", seed=0))
    coco, all_of_them = cut_windows(sequence, WindowSettings()), cut_windows(sequence, HALPE_WINDOWS)
    assert all_of_them.steps.shape == (*coco.steps.shape[:2], 78)
    assert all_of_them.xyz.shape == coco.xyz.shape
    np.testing.assert_array_equal(all_of_them.steps[..., :51], coco.steps)
    assert all_of_them.steps[:, :, 3 * TOES[0] + 1].std() > 5 * coco.steps[:, :, 3 * 15 + 1].std()


@pytest.mark.parametrize("kind", ["style", "report"])
def test_every_network_reads_the_other_keypoints(kind) -> None:
    inputs = inputs_of("toe", 1)
    torch.manual_seed(0)
    network = build_network(kind, num_labels=2, hidden_size=8, dropout=0.0, num_keypoints=26).standardise(inputs)
    steps = torch.from_numpy(inputs.steps).requires_grad_()
    network(steps, torch.from_numpy(inputs.xyz), torch.from_numpy(inputs.kinematic_features))[:, 0].sum().backward()
    assert steps.grad is not None
    assert (steps.grad.abs().sum(dim=(0, 1)).reshape(26, 3)[:, :2] > 0).all()  # scores only say what was seen


def test_a_style_network_learns_what_only_the_toes_tell() -> None:
    heel, toe = (inputs_of(style, 8) for style in STYLES)
    inputs = Inputs.concat([heel, toe])
    labels = torch.tensor([0] * len(heel) + [1] * len(toe))
    torch.manual_seed(0)
    network = build_network("style", num_labels=2, hidden_size=8, dropout=0.0, num_keypoints=26).standardise(inputs)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    batch = [torch.from_numpy(array) for array in (inputs.steps, inputs.xyz, inputs.kinematic_features)]
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(*batch), labels).backward()
        optimizer.step()
    unseen = [inputs_of(style, 10).take(slice(-4, None)) for style in STYLES]
    with torch.inference_mode():
        for label, other in enumerate(unseen):
            arrays = (torch.from_numpy(array) for array in (other.steps, other.xyz, other.kinematic_features))
            assert (network(*arrays).argmax(dim=1) == label).all()


@pytest.mark.parametrize("num_keypoints", [26, 68, 133, 136])
def test_variations_mirror_and_hide_the_other_keypoints_with_the_body(num_keypoints: int, monkeypatch) -> None:
    for name in ("MAX_STRETCH", "MAX_SCALE"):
        monkeypatch.setattr(augment, name, 1.0)
    for name in ("MAX_ROLL_DEGREES", "MAX_TILT_DEGREES", "MAX_TURN_DEGREES", "NOISE", "NOISY_SHARE"):
        monkeypatch.setattr(augment, name, 0.0)
    known = KEYPOINT_SETS[num_keypoints]
    points = np.full((40, 5, num_keypoints, 3), 0.5, np.float32)
    points[..., 0] = 1 + np.arange(num_keypoints)
    steps = points.reshape(40, 5, -1)
    inputs = Inputs(steps, steps[:, :, :51].copy(), inputs_of("toe", 1).kinematic_features[[0] * 40])
    monkeypatch.setattr(augment, "MIRROR_SHARE", 1.0)
    monkeypatch.setattr(augment, "HIDDEN_SHARE", 0.0)
    found = augment.vary(inputs, np.random.default_rng(0)).steps.reshape(points.shape)
    np.testing.assert_array_equal(found[0, 0, :, 0], -points[0, 0, list(known.mirror), 0])
    monkeypatch.setattr(augment, "HIDDEN_SHARE", 1.0)
    hidden = augment.vary(inputs, np.random.default_rng(0)).steps.reshape(points.shape)[:, 0, :, 2] == 0
    ankle, heel = known.keypoints.index("left_ankle"), known.keypoints.index("left_heel")
    np.testing.assert_array_equal(hidden[:, ankle], hidden[:, heel])
    assert 0 < hidden[:, heel].sum() < 40


def test_a_model_comes_back_with_its_set_and_one_of_coco_is_described_as_before(tmp_path: Path) -> None:
    model = model_of(HALPE_WINDOWS)
    save_model(str(tmp_path / "m"), model)
    back = load_model(str(tmp_path / "m"))
    assert back.config.windows == HALPE_WINDOWS
    inputs = inputs_of("toe", 1)
    np.testing.assert_array_equal(back.window_log_scores(inputs), model.window_log_scores(inputs))
    save_model(str(tmp_path / "coco"), model_of(WindowSettings()))
    described = json.loads((tmp_path / "coco" / "model.json").read_text())
    assert "keypoint_set" not in described["config"]["windows"]


def test_an_unknown_set_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="keypoint_set must be one of coco-17, halpe-26"):
        WindowSettings(keypoint_set="all")


def test_tables_with_all_keypoints_are_tagged_and_those_without_are_refused_in_words(tmp_path: Path) -> None:
    for num_keypoints in (26, 17):
        write_part(tmp_path / str(num_keypoints), num_keypoints)
    model = model_of(HALPE_WINDOWS)

    class FixedTagWorker(TagWorker):
        @staticmethod
        def load_model(uri: str) -> StyleModel:
            return model

    shard = TagShard("shard", "k", tuple(Video(name, f"{name}.mp4", "c") for name in STYLES))
    for num_keypoints, words in ((26, ""), (17, "reads the 26 keypoints of halpe-26, and these are the 17 of coco-17")):
        worker = FixedTagWorker(str(tmp_path / str(num_keypoints)), model_uri="any", pose_fingerprint=FINGERPRINT,
                                run_id="run")  # fmt: skip
        worker.setup()
        if words:
            with pytest.raises(TableError, match=words):
                worker.process(shard)
        else:
            assert worker.process(shard).num_rows == 2


def test_training_reads_all_keypoints_of_the_tables(tmp_path: Path) -> None:
    write_part(tmp_path, 26)
    videos = [Video(name, f"{name}.mp4", "c") for name in STYLES]
    found = read_windows(str(tmp_path), FINGERPRINT, videos, HALPE_WINDOWS)
    assert {windows.steps.shape[2] for windows in found.windows.values()} == {78}
    coco = read_windows(str(tmp_path), FINGERPRINT, videos, replace(HALPE_WINDOWS, keypoint_set="coco-17"))
    assert {windows.steps.shape[2] for windows in coco.windows.values()} == {51}
