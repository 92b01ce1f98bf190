"""Re-ID from crops to track ids: the whole top-down path with OSNet in it, on dancers in plain colours."""

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from clips import write_clip
from onnx import helper
from test_osnet import filled_state
from tiny_onnx import constant_network, serialize

from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.catalog.shards import pending_videos, plan_shards
from choreai.cli import pose as pose_command
from choreai.cli.pose import pose_parser
from choreai.cluster.pose_worker import PoseWorker
from choreai.errors import ConfigError, WeightsError
from choreai.pose import build_topdown as topdown_build
from choreai.pose.build import fingerprint_settings
from choreai.pose.build_topdown import build_topdown
from choreai.pose.crops import CropSettings, crop_people, pad_boxes
from choreai.pose.detectors.detector import Boxes
from choreai.pose.osnet import OSNet
from choreai.pose.pipeline import TrackedPoses, estimate_and_track
from choreai.pose.reid import ReidSettings
from choreai.pose.settings import PoseSettings
from choreai.pose.topdown import TopDownEstimator
from choreai.storage import objects
from choreai.tables import schemas
from choreai.tables.parts import read_table
from choreai.video.frame import Frame

RED, GREEN, BLUE = (230, 30, 30), (30, 200, 60), (40, 40, 230)
PLACES = {RED: 60, GREEN: 105, BLUE: 240}
LEAVING, RETURNING, NUM_FRAMES = 4, 24, 26
IDS = [[0, 1, 2]] * LEAVING + [[2]] * (RETURNING - LEAVING) + [[1, 0, 2]] * (NUM_FRAMES - RETURNING)
"""Of `dance`, from the left to the right."""
CROPS = CropSettings(size_hw=(64, 48), mean_rgb=(0.0, 0.0, 0.0))
Color = tuple[int, int, int]


class ColorDetector:
    """Boxes whoever is in a plain colour of its own, from the left to the right; `doubles` boxes everybody twice."""

    batch_size = 4

    def __init__(self, *, doubles: bool = False) -> None:
        self._doubles = doubles

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"detector": "colors"}

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        return [self._detect(image.numpy().astype(int)) for image in images]

    def _detect(self, image: np.ndarray) -> Boxes:
        boxes = []
        for color in PLACES:
            rows, columns = np.nonzero(np.abs(image - color).max(axis=2) < 40)
            if len(rows):
                boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        boxes.sort()
        if self._doubles:
            boxes = [box for one in boxes for box in (one, (one[0] + 1, *one[1:]))]
        return Boxes(np.array(boxes, np.float32).reshape(-1, 4), np.linspace(0.9, 0.8, len(boxes), dtype=np.float32))


def painted(people: dict[Color, int]) -> np.ndarray:
    """A grey stage with an upright person, 30 x 60 pixels, at each x."""
    image = np.full((120, 320, 3), 128, np.uint8)
    for color, x in people.items():
        image[30:90, x - 15 : x + 15] = color
    return image


def dance(number: int) -> dict[Color, int]:
    """Three people sway; red and green leave for two and a half seconds and return having changed places."""
    sway = 3 * (number % 2)
    if number < LEAVING:
        return {color: x + sway for color, x in PLACES.items()}
    if number < RETURNING:
        return {BLUE: PLACES[BLUE] + sway}
    return {GREEN: PLACES[RED] + sway, RED: PLACES[GREEN] + sway, BLUE: PLACES[BLUE] + sway}


def frames_of(num_frames: int = NUM_FRAMES) -> list[Frame]:
    return [Frame(painted(dance(number)), number, number / 8) for number in range(num_frames)]


def discerning_state() -> dict[str, torch.Tensor]:
    """Weights by the golden's rule, whose last norm makes the most of how the three people differ: as they are, weights
    without training find everybody alike."""
    state = filled_state()
    network = OSNet().eval()
    network.load_state_dict(state)
    seen: list[torch.Tensor] = []
    network.fc[0].register_forward_hook(lambda _, __, answer: seen.append(answer))
    boxes = [[x - 15, 30, x + 15, 90] for x in PLACES.values()]
    padded = pad_boxes(np.array(boxes, np.float32), CROPS)
    crops = crop_people([torch.from_numpy(painted(PLACES))], padded, np.zeros(3, np.int64), CROPS)
    with torch.no_grad():
        network(crops)
    return {**state, "fc.1.running_mean": seen[0].mean(0), "fc.1.running_var": seen[0].var(0)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pose network (heatmaps of the crop's brightness, of small crops to be quick), two OSNets and a
    detector."""
    folder = tmp_path_factory.mktemp("weights")
    pose = serialize(
        [helper.make_node("Conv", ["images", "weight"], ["heatmaps"], strides=[4, 4])],
        {"images": ["N", 3, 64, 48]},
        {"heatmaps": ["N", 17, 16, 12]},
        {"weight": np.linspace(0.2, 0.4, 17 * 3, dtype=np.float32).reshape(17, 3, 1, 1)},
    )
    (folder / "pose.onnx").write_bytes(pose)
    state = discerning_state()
    torch.save(state, folder / "osnet.pth")
    torch.save({**state, "fc.0.bias": state["fc.0.bias"] + 0.1}, folder / "other.pth")
    predictions = np.zeros((1, 84, 85), np.float32)
    predictions[0, 0, :6] = (32, 32, 20, 40, 0.9, 0.99)
    (folder / "detector.onnx").write_bytes(constant_network(predictions))
    return folder


def settings_of(weights: Path, *, reid: str = "osnet.pth", **changes: Any) -> PoseSettings:
    return PoseSettings(
        estimator="alphapose",
        checkpoint=str(weights / "pose.onnx"),
        preprocessing="unit",
        reid_checkpoint=str(weights / reid) if reid else "",
        device="cpu",
        **changes,
    )


def estimator_of(settings: PoseSettings, *, doubles: bool = False) -> TopDownEstimator:
    detector = ColorDetector(doubles=doubles)
    return build_topdown(settings, read_file=objects.read_object, num_threads=1, detector=detector)


def ids_of(found: Sequence[TrackedPoses]) -> list[list[int]]:
    return [people.track_ids.tolist() for people in found]


# ---------------------------------------------------------------- who is who


def test_people_who_return_in_each_others_places_are_told_by_their_looks(weights: Path) -> None:
    by_looks = ids_of(list(estimate_and_track(frames_of(), estimator_of(settings_of(weights)))))
    assert by_looks == IDS
    by_movement = ids_of(list(estimate_and_track(frames_of(), estimator_of(settings_of(weights, reid="")))))
    assert by_movement[-1] == [3, 4, 2]


def test_ids_start_at_zero_in_every_video_and_do_not_depend_on_batches(weights: Path) -> None:
    expected: list[TrackedPoses] = []
    for batch in (1, 7, 32):
        estimator = estimator_of(settings_of(weights, detect_batch=batch, pose_batch=batch))
        for _ in range(2):  # two videos with one estimator
            found = list(estimate_and_track(frames_of(), estimator))
            expected = expected or found
            assert ids_of(found) == ids_of(expected)
            for people, alone in zip(found, expected, strict=True):
                np.testing.assert_allclose(people.poses.keypoints_xy, alone.poses.keypoints_xy, atol=0.01)
                assert people.poses.features is not None
                assert alone.poses.features is not None
                np.testing.assert_allclose(people.poses.features, alone.poses.features, atol=1e-3)


def test_a_video_that_begins_and_ends_without_people_is_tracked_by_looks_too(weights: Path) -> None:
    stages = [{}, *map(dance, range(NUM_FRAMES)), {}]
    frames = [Frame(painted(people), number, number / 8) for number, people in enumerate(stages)]
    found = list(estimate_and_track(frames, estimator_of(settings_of(weights, detect_batch=1))))
    assert ids_of(found) == [[], *IDS, []]


def test_two_boxes_of_one_person_are_two_people_for_the_tracker_and_one_without_it(weights: Path) -> None:
    frame = frames_of(1)
    (tracked,) = estimator_of(settings_of(weights), doubles=True).estimate(frame)
    (untracked,) = estimator_of(settings_of(weights, reid=""), doubles=True).estimate(frame)
    assert (len(tracked), len(untracked)) == (6, 3)
    assert (np.diff(tracked.box_scores) < 0).all()
    assert untracked.features is None


def test_small_people_are_left_out_with_their_features(weights: Path) -> None:
    everybody = estimator_of(settings_of(weights)).estimate(frames_of(1))[0]
    spans = 2.25 * np.ptp(everybody.keypoints_xy, axis=1).prod(axis=1)
    limit = float(np.sort(spans)[1])
    large = estimator_of(settings_of(weights, min_box_area=limit)).estimate(frames_of(1))[0]
    np.testing.assert_array_equal(large.box_xyxy, everybody.box_xyxy[spans >= limit])
    assert everybody.features is not None
    assert large.features is not None
    np.testing.assert_allclose(large.features, everybody.features[spans >= limit], atol=1e-3)


def test_ids_are_the_same_in_shards_of_one_video_and_of_two(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("first", "second")
    for name in names:
        write_clip(tmp_path / f"{name}.mp4", num_frames=NUM_FRAMES, frames_per_second=8, size_wh=(320, 120),
                   paint=lambda number: painted(dance(number)))  # fmt: skip
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("\n".join(["video_id,uri", *(f"{name},{tmp_path / name}.mp4" for name in names)]))
    monkeypatch.setattr(topdown_build, "load_detector", lambda *_: ColorDetector())
    pending = pending_videos(
        with_content_ids(read_catalog(str(catalog))), schemas.VIDEOS.empty_table(), retry_quarantined=False
    )
    found = []
    for size in (2, 1):
        output = str(tmp_path / f"shards-of-{size}")
        worker = PoseWorker(output, settings=settings_of(weights), pose_fingerprint="0" * 16, run_id="run")
        worker.setup()
        for shard in plan_shards(pending.videos, videos_per_shard=size, pose_fingerprint="0" * 16):
            worker.process(shard)
        columns = ["video_id", "track_id", "frame_index"]
        rows = read_table(output, "keypoints", "0" * 16, schemas.KEYPOINTS, columns=columns)
        found.append(rows.sort_by([(name, "ascending") for name in columns]).to_pylist())
    assert len(found[0]) == 2 * sum(map(len, IDS))
    assert {row["track_id"] for row in found[0]} == {0, 1, 2}
    assert found[0] == found[1]


# ---------------------------------------------------------------- settings


def test_the_fingerprint_holds_the_weights_the_tracker_and_its_settings(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hashed(settings: PoseSettings) -> dict[str, object]:
        return dict(fingerprint_settings(settings, estimator_of(settings)))

    known = hashed(settings_of(weights))
    assert known["estimator.reid_sha256"] == hashlib.sha256((weights / "osnet.pth").read_bytes()).hexdigest()
    assert hashed(settings_of(weights, reid="other.pth")) != known
    without = hashed(settings_of(weights, reid=""))
    assert not [name for name in without if "reid" in name]
    monkeypatch.setattr("choreai.pose.reid.REID_TRACKER_VERSION", 10**6)
    assert hashed(settings_of(weights)) != known
    assert hashed(settings_of(weights, reid="")) == without
    monkeypatch.undo()
    monkeypatch.setattr("choreai.pose.reid.ReidSettings", lambda: replace(ReidSettings(), gate=9.0))
    assert hashed(settings_of(weights)) != known


@pytest.mark.parametrize(("reid", "expected"), [("osnet.pth", 0.3), ("", 0.1)])
def test_yolov3_must_be_surer_of_people_who_are_tracked_by_looks(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reid: str, expected: float
) -> None:
    asked = []

    def load(data: bytes, *, min_score: float, **_: Any) -> ColorDetector:
        asked.append(min_score)
        return ColorDetector()

    monkeypatch.setattr(topdown_build, "load_yolov3", load)
    (tmp_path / "yolov3-spp.weights").write_bytes(b"-")
    settings = replace(settings_of(weights, reid=reid), detector_checkpoint=str(tmp_path / "yolov3-spp.weights"))
    for given in (0.0, 0.2):
        build_topdown(replace(settings, min_box_score=given), read_file=objects.read_object, num_threads=1)
    assert asked == [expected, 0.2]


def test_reid_weights_that_are_missing_or_of_another_network_are_named(weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"reid_checkpoint: .*gone\.pth: there is nothing here"):
        estimator_of(settings_of(weights, reid="gone.pth"))
    state = filled_state()
    del state["fc.0.bias"]
    buffer = io.BytesIO()
    torch.save(state, buffer)
    (weights / "gap.pth").write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError, match=r"gap\.pth: .*fc\.0\.bias"):
        estimator_of(settings_of(weights, reid="gap.pth"))


def test_mediapipe_has_no_use_for_reid_weights() -> None:
    with pytest.raises(ValueError, match="reid_checkpoint does not apply to MediaPipe"):
        PoseSettings(estimator="mediapipe", reid_checkpoint="osnet.pth")


# ---------------------------------------------------------------- choreai pose


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of a small network wait for each other longer than they work on a busy machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


def run(weights: Path, *flags: object) -> int:
    given = ["--checkpoint", weights / "pose.onnx", "--detector-checkpoint", weights / "detector.onnx", *flags]
    given += ["--reid-checkpoint", weights / "osnet.pth", "--preprocessing", "unit", "--gpus", "-1"]
    return pose_command.run(pose_parser("choreai pose").parse_args([str(flag) for flag in given]))


@pytest.mark.usefixtures("one_thread")
def test_the_pose_command_tracks_by_looks_where_weights_are_given(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topdown_build, "load_detector", lambda *_: ColorDetector())
    clip = tmp_path / "clip.mp4"
    write_clip(
        clip,
        num_frames=NUM_FRAMES,
        frames_per_second=8,
        size_wh=(320, 120),
        paint=lambda number: painted(dance(number)),
    )
    assert run(weights, "--video", clip, "--outdir", tmp_path / "out") == 0
    rows = pq.read_table(tmp_path / "out" / "keypoints.parquet").to_pylist()
    rows.sort(key=lambda row: (row["frame_index"], row["box_xyxy"][0]))
    found = [[row["track_id"] for row in rows if row["frame_index"] == number] for number in range(NUM_FRAMES)]
    assert found == IDS


@pytest.mark.usefixtures("one_thread")
def test_reid_of_images_that_are_not_tracked_is_a_mistake(weights: Path, tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "1.png"), painted(dance(0)))
    with pytest.raises(ConfigError, match="--pose_track"):
        run(weights, "--indir", tmp_path, "--outdir", tmp_path / "out")
    assert run(weights, "--indir", tmp_path, "--outdir", tmp_path / "out", "--pose_track") == 0
