"""A catalog full of bad videos: each ends in a quarantine row with a reason, and the good one is not lost."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from clips import write_audio, write_clip

from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.catalog.shards import pending_videos, plan_shards
from choreai.cluster.pose_worker import PoseWorker
from choreai.demo import dancers
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.settings import PoseSettings
from choreai.tables import schemas
from choreai.tables.parts import read_table
from choreai.video.frame import Frame

FINGERPRINT = "0" * 16


class ColourEstimator:
    """Sees one person in a colourful picture, as generated dancers are, and nobody in a grey one, as `numbered` is."""

    batch_size = 1

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"estimator": "colour"}

    def start_video(self) -> None:
        pass

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        return [_one_person() if np.ptp(frame.image, axis=2).max() > 64 else Poses.empty() for frame in frames]


def _one_person() -> Poses:
    xy = np.zeros((1, NUM_KEYPOINTS, 2), np.float32)
    return Poses(np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32), xy, np.ones(xy.shape[:2], np.float32))


class ColourWorker(PoseWorker):
    @classmethod
    def build_estimator(cls, settings: PoseSettings, *, num_threads: int = 1) -> PoseEstimator:
        return ColourEstimator()


def process_folder(uri: str, output: str) -> dict[str, dict[str, object]]:
    """The videos rows, by video_id, after a worker processed all of a catalog in one shard, and committed it."""
    worker = ColourWorker(output, settings=PoseSettings(), pose_fingerprint=FINGERPRINT, run_id="run")
    worker.setup()
    catalog = with_content_ids(read_catalog(uri))
    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    for shard in plan_shards(pending.videos, videos_per_shard=100, pose_fingerprint=FINGERPRINT):
        assert worker.process(shard).written
    rows = read_table(output, "videos", FINGERPRINT, schemas.VIDEOS, columns=schemas.VIDEOS.names)
    return {row["video_id"]: row for row in rows.to_pylist()}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What became of every kind of bad video, all in one shard between two good ones."""
    folder = tmp_path_factory.mktemp("bad")
    good = folder / "good.mp4"
    dancers.write_clip(good, style="hiphop", seed=1, duration_seconds=2.0, frames_per_second=8)
    whole = good.read_bytes()
    make_bad_files(folder, whole)
    rows = ["video_id,uri", "a-good,good.mp4", "missing,nothing-here.mp4", "folder,sub.mp4", f"long,{'x' * 300}.mp4"]
    rows += [
        f"{path.stem},{path.name}" for path in sorted(folder.iterdir()) if path.name not in ("good.mp4", "sub.mp4")
    ]
    rows += ["z-good,good.mp4"]
    (folder / "catalog.csv").write_text("\n".join(rows))
    return process_folder(str(folder / "catalog.csv"), str(tmp_path_factory.mktemp("out")))


def make_bad_files(folder: Path, whole: bytes) -> None:
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mp4").write_text("just some words\n" * 50)
    (folder / "html.mp4").write_text("<!DOCTYPE html><html><body>404 not found</body></html>")
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    (folder / "concat.mp4").write_text(f"ffconcat version 1.0\nfile '{folder / 'good.mp4'}'\n")
    write_audio(folder / "audio.m4a")
    write_audio(folder / "cover.m4a", with_cover=True)
    import cv2

    cv2.imwrite(str(folder / "picture.png"), np.full((64, 64, 3), 127, np.uint8))
    (folder / "picture.mp4").write_bytes((folder / "picture.png").read_bytes())
    (folder / "picture.png").unlink()
    write_clip(folder / "single.mp4", num_frames=1)
    write_clip(folder / "nobody.mp4", num_frames=20)
    corrupt = bytearray(whole)
    middle = len(whole) // 3
    corrupt[middle : middle + 400] = bytes(400)
    (folder / "corrupt-middle.mp4").write_bytes(bytes(corrupt))
    (folder / "zero-size.mp4").write_bytes(with_zero_size(whole))
    write_clip(folder / "ünïcode 名前 #1?.mp4", num_frames=5)
    (folder / "sub.mp4").mkdir()


def with_zero_size(whole: bytes) -> bytes:
    """The mp4 with the width and height in its sample entry ('avc1', 24 bytes after the name) set to zero."""
    place = whole.index(b"avc1") + 4 + 24
    return whole[:place] + bytes(4) + whole[place + 4 :]


@pytest.mark.parametrize(
    ("video_id", "words"),
    [
        ("empty", "empty"),
        ("truncated", "moov"),
        ("text", "text"),
        ("html", "text"),
        ("noise", "video"),
        ("playlist", "playlist"),
        ("concat", "playlist"),
        ("audio", "no video"),
        ("cover", "no video"),
        ("picture", "image"),
        ("missing", "nothing here"),
        ("folder", "folder"),
        ("long", "long"),
    ],
)
def test_a_bad_video_is_quarantined_with_its_reason(outcome, video_id, words) -> None:
    row = outcome[video_id]
    assert row["status"] == "quarantined"
    assert words in row["reason"].lower()
    assert row["error_class"]
    assert row["stage"] in ("open", "decode")
    assert row["attempts"] == 1


@pytest.mark.parametrize("video_id", ["single", "nobody", "ünïcode 名前 #1?"])
def test_a_video_without_a_person_is_a_result_not_a_failure(outcome, video_id) -> None:
    assert (outcome[video_id]["status"], outcome[video_id]["num_rows"]) == ("nobody", 0)
    assert outcome[video_id]["num_frames_sampled"] >= 1


def test_a_corrupt_middle_costs_only_the_frames_it_hit(outcome) -> None:
    row = outcome["corrupt-middle"]
    assert row["status"] == "ok"
    assert row["num_rows"] > 0


def test_a_zero_size_in_the_header_gives_way_to_the_pictures_own_size(outcome) -> None:
    row = outcome["zero-size"]
    assert (row["status"], row["width"], row["height"]) == ("ok", 640, 360)


@pytest.mark.parametrize("video_id", ["a-good", "z-good"])
def test_the_good_videos_before_and_after_are_whole(outcome, video_id) -> None:
    assert outcome[video_id]["status"] == "ok"
    assert outcome[video_id]["num_frames_sampled"] == 16
    assert outcome[video_id]["num_rows"] >= 15


def test_a_quarantined_video_is_tried_again_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    output = str(tmp_path / "out")
    process_folder(str(tmp_path), output)
    catalog = with_content_ids(read_catalog(str(tmp_path)))
    known = read_table(output, "videos", FINGERPRINT, schemas.VIDEOS, columns=schemas.VIDEOS.names)
    left_alone = pending_videos(catalog, known, retry_quarantined=False)
    assert (left_alone.videos.num_rows, left_alone.num_quarantined) == (0, 1)
    again = pending_videos(catalog, known, retry_quarantined=True)
    assert again.videos["attempts"].to_pylist() == [2]
