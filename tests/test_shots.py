"""Shots: cuts are found, what looks like one is not, and nothing that follows crosses one."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cut_scenes
import numpy as np
import pyarrow as pa
import pytest
from clips import write_clip
from cut_scenes import Piece

from choreai.catalog.catalog import Video
from choreai.catalog.shards import PoseShard
from choreai.cluster.pose_worker import PoseWorker
from choreai.demo.dancers import STYLES
from choreai.motion.kinematics import measure_kinematics
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.motion.windows import WindowSettings, cut_windows
from choreai.pose.build import fingerprint_settings
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.pipeline import TrackedPoses, estimate_and_track, to_sequence
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.tables import schemas
from choreai.tables.parts import part_uri, read_part, read_table
from choreai.tables.pose_parts import recover_videos_parts
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame
from choreai.video.shots import MAX_AHEAD, ShotDetector, mark_shots

CLIPS = Path(__file__).parents[2] / "shared" / "data" / "streetdance" / "clips"
FINGERPRINT = "f" * 16


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    """Two seconds each of four dancers in four studios."""
    return [cut_scenes.dancing(STYLES[seed % len(STYLES)], seed=seed) for seed in range(4)]


def starts_of(frames: Iterable[Frame]) -> list[int]:
    """The samples with which shots begin, without the first."""
    shots = [frame.shot_index for frame in mark_shots(frames)]
    return [i for i in range(1, len(shots)) if shots[i] != shots[i - 1]]


def frames_of(images: Iterable[np.ndarray], *, frames_per_second: float = 15.0) -> Iterator[Frame]:
    for index, image in enumerate(images):
        yield Frame(image, index, index / frames_per_second)


def with_a_cut(pieces: list[Piece], *, num_before: int = 24, num_after: int = 30) -> Piece:
    """Sampled 15 times a second, the cut at sample `num_before`."""
    return np.concatenate([pieces[0][::2][:num_before], pieces[1][::2][:num_after]])


# ---- what is a cut, and what is none ----


@pytest.mark.parametrize("make", cut_scenes.MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("every", [1, 2], ids=["30 a second", "15 a second"])
def test_every_cut_is_found_at_its_frame_and_nothing_else(pieces, make, every) -> None:
    for seed in range(3):
        scene = make(pieces[seed], pieces[seed + 1], np.random.default_rng(100 + seed))
        assert starts_of(scene.sampled(every=every)) == list(scene.sampled_cuts(every=every))


def test_a_cut_is_found_at_eight_samples_a_second(pieces) -> None:
    images = np.concatenate([pieces[0][::4], pieces[1][::4]])
    assert starts_of(frames_of(images, frames_per_second=7.5)) == [15]


def test_the_size_of_the_frames_does_not_matter(pieces) -> None:
    images = with_a_cut(pieces)
    large = images.repeat(6, axis=1).repeat(6, axis=2)
    assert starts_of(frames_of(large)) == starts_of(frames_of(images)) == [24]


def test_upright_video_is_cut_like_any_other(pieces) -> None:
    assert starts_of(frames_of(with_a_cut(pieces)[:, :, 55:105])) == [24]


def test_a_video_within_a_still_picture_is_cut(pieces) -> None:
    still = cut_scenes.dancing(STYLES[0], seed=9, num_frames=2)[0]
    images = np.repeat(still[None], 54, axis=0)
    images[:, 10:80, 55:105] = with_a_cut(pieces)[:, 10:80, 55:105]
    assert starts_of(frames_of(images)) == [24]


@pytest.mark.parametrize("num_frames", [0, 1, 2, 20])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_video_of_nothing_is_one_shot(num_frames, value) -> None:
    frames = list(mark_shots(frames_of([np.full((36, 64, 3), value, np.uint8)] * num_frames)))
    assert [frame.shot_index for frame in frames] == [0] * num_frames


def test_an_opening_from_black_is_no_cut(pieces) -> None:
    images = np.concatenate([np.zeros_like(pieces[0][:8]), pieces[0][::2]])
    assert starts_of(frames_of(images)) == []


# ---- how the answers come ----


def test_frames_come_out_in_order_once_each_and_few_are_held_back(pieces) -> None:
    taken = []

    def source() -> Iterator[Frame]:
        for frame in frames_of(np.concatenate([with_a_cut(pieces)] * 3)):
            taken.append(frame.frame_index)
            yield frame

    for given, frame in enumerate(mark_shots(source())):
        assert frame.frame_index == given
        assert len(taken) - given <= 5
    assert len(taken) == given + 1


def test_answers_do_not_depend_on_when_they_are_asked_for(pieces) -> None:
    images = with_a_cut(pieces)
    detector, begins = ShotDetector(), []
    for frame in frames_of(images):
        begins += detector.add(frame.image, pts_seconds=frame.pts_seconds)
    begins += detector.finish()
    assert np.flatnonzero(begins).tolist() == [0, 24]


def test_many_samples_a_second_are_not_all_waited_for(pieces) -> None:
    images = with_a_cut(pieces, num_after=30)
    waiting, detector = 0, ShotDetector()
    for index, image in enumerate(images):
        waiting += 1 - len(detector.add(image, pts_seconds=index / 1000))
        assert waiting <= MAX_AHEAD + 1


# ---- what follows ----


class CountingEstimator:
    """One person where the frame's brightness says; remembers how many frames it saw since it was told to forget."""

    def __init__(self, batch_size: int = 1) -> None:
        self.batch_size = batch_size
        self.num_seen = 0

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"name": "counting"}

    def start_video(self) -> None:
        self.num_seen = 0

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        return [self._estimate_one() for _ in frames]

    def _estimate_one(self) -> Poses:
        self.num_seen += 1
        keypoints = np.linspace((20, 20), (60, 90), NUM_KEYPOINTS, dtype=np.float32)[None]
        return Poses(
            box_xyxy=np.array([[20, 20, 60, 90]], np.float32),
            box_scores=np.array([self.num_seen], np.float32),
            keypoints_xy=keypoints + np.float32(0.1 * self.num_seen),
            keypoint_scores=np.ones((1, NUM_KEYPOINTS), np.float32),
        )


def people_in(pieces: list[Piece], *, batch_size: int = 1, split: bool = True) -> list[TrackedPoses]:
    frames = frames_of(with_a_cut(pieces))
    return list(estimate_and_track(mark_shots(frames) if split else frames, CountingEstimator(batch_size)))


def test_a_track_ends_at_a_cut_and_its_id_is_not_used_again(pieces) -> None:
    ids = [people.track_ids.tolist() for people in people_in(pieces)]
    assert ids == [[0]] * 24 + [[1]] * 30
    assert [people.track_ids.tolist() for people in people_in(pieces, split=False)] == [[0]] * 54


def test_an_estimator_forgets_at_a_cut_whatever_its_batch(pieces) -> None:
    for batch_size in (1, 2, 7, 64):
        people = people_in(pieces, batch_size=batch_size)
        seen = [int(frame.poses.box_scores[0]) for frame in people]
        assert seen == [*range(1, 25), *range(1, 31)]
        assert [frame.shot_index for frame in people] == [0] * 24 + [1] * 30


def test_no_window_and_no_kinematics_cross_a_cut(pieces) -> None:
    sequence: KeypointSequence = to_sequence(people_in(pieces))
    cut_seconds = 24 / 15
    windows = cut_windows(sequence, WindowSettings(window_seconds=1.0, stride_seconds=0.5))
    assert len(windows)
    assert all(stop <= cut_seconds + 1e-3 or start >= cut_seconds - 1e-3
               for start, stop in zip(windows.start_seconds, windows.stop_seconds, strict=True))  # fmt: skip
    seconds = [measure_kinematics(sequence.track(track)).seconds for track in (0, 1)]
    assert seconds == pytest.approx([23 / 15, 29 / 15], abs=0.1)


# ---- the setting and the table ----


def test_the_setting_changes_the_fingerprint_only_where_it_is_on() -> None:
    estimator = CountingEstimator()
    off, on = (fingerprint_settings(PoseSettings(split_shots=split), estimator) for split in (False, True))
    assert off == fingerprint_settings(PoseSettings(), estimator)
    assert on == {**off, "shot_detector_version": 1}


class CountingWorker(PoseWorker):
    @classmethod
    def build_estimator(cls, settings: PoseSettings, *, num_threads: int = 1) -> PoseEstimator:
        return CountingEstimator()


def extract(output: str, video: Path, *, split: bool = True) -> PoseShard:
    worker = CountingWorker(
        output, settings=PoseSettings(split_shots=split), pose_fingerprint=FINGERPRINT, run_id="run"
    )
    worker.setup()
    shard = PoseShard("s", (Video("v", str(video), "bytes"),), (1,))
    worker.process(shard)
    return shard


@pytest.fixture
def cut_video(tmp_path: Path, pieces: list[Piece]) -> Path:
    images = with_a_cut(pieces)
    path = tmp_path / "cut.mp4"
    write_clip(path, num_frames=len(images), frames_per_second=15, paint=lambda i: images[i])
    return path


SHOTS = [
    {"video_id": "v", "content_id": "bytes", "shot_index": 0, "start_seconds": 0.0, "stop_seconds": 1.6,
     "first_frame_index": 0},
    {"video_id": "v", "content_id": "bytes", "shot_index": 1, "start_seconds": 1.6, "stop_seconds": 3.6,
     "first_frame_index": 24},
]  # fmt: skip


def read_shots(root: str) -> pa.Table:
    return read_table(root, "shots", FINGERPRINT, schemas.SHOTS, columns=schemas.SHOTS.names)


def test_a_shard_writes_where_its_shots_are(store_uri: str, cut_video: Path) -> None:
    extract(store_uri, cut_video)
    found = read_shots(store_uri).to_pylist()
    assert [shot | {"start_seconds": round(shot["start_seconds"], 3), "stop_seconds": round(shot["stop_seconds"], 3)}
            for shot in found] == SHOTS  # fmt: skip
    keypoints = read_part(part_uri(store_uri, "keypoints", FINGERPRINT, "s"), schemas.KEYPOINTS)
    assert keypoints["track_id"].to_pylist() == [0] * 24 + [1] * 30


def test_a_lost_shots_part_is_made_again_with_the_videos_part(store_uri: str, cut_video: Path) -> None:
    extract(store_uri, cut_video)
    whole = read_shots(store_uri)
    for table in ("shots", "videos"):  # the worker was killed right after the commit
        objects.delete_object(part_uri(store_uri, table, FINGERPRINT, "s"))
    assert recover_videos_parts(store_uri, FINGERPRINT) == 1
    assert read_shots(store_uri).equals(whole)


def test_without_the_setting_there_is_no_shots_table(store_uri: str, cut_video: Path) -> None:
    extract(store_uri, cut_video, split=False)
    assert read_shots(store_uri).num_rows == 0
    assert objects.stat_object(part_uri(store_uri, "shots", FINGERPRINT, "s")) is None


# ---- real clips ----


@pytest.mark.shared
@pytest.mark.parametrize(
    ("clip", "starts"),
    [
        ("1002_202_10", [39, 98, 127]),  # other cameras on one stage
        ("2002_38_10", [6, 17, 29, 36, 44, 50, 56, 62, 68, 73, 78, 83, 89, 95, 100]),  # a music video
        ("3001_585_10", [148]),  # a phone's video within a still picture
        ("0003_207_10", []),  # photographers' flashes
        ("2002_59_10", []),  # coloured lights going on and off
        ("0003_314_10", []),  # a fast dancer filling the picture
    ],
)
def test_the_cuts_of_real_clips_are_those_that_the_eye_sees(clip, starts) -> None:
    path = CLIPS / f"{clip}.mp4"
    if not path.exists():
        pytest.skip(f"no clip {path}")
    with path.open("rb") as file, VideoReader(file, uri=clip) as reader:
        found = starts_of(reader.sample(frames_per_second=15))
    assert found == starts
