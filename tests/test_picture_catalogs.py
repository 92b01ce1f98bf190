"""Folders of pictures as catalogs: of pictures that stand for themselves, and of videos kept as pictures."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_pose_networks import run, spot, write_networks

from choreai.catalog.catalog import UNAVAILABLE, Catalog, read_catalog, with_content_ids
from choreai.catalog.pictures import open_source
from choreai.catalog.shards import PoseShard
from choreai.cluster.pose_worker import PoseWorker
from choreai.errors import MediaError
from choreai.motion.keypoint_sets import HALPE_26
from choreai.motion.sequence import KeypointSequence
from choreai.pose.settings import PoseSettings
from choreai.storage.objects import put_object
from choreai.storage.uris import join_uri
from choreai.tables.keypoints import read_contents
from choreai.tables.posed_video import find_in_tables
from choreai.video.picture_files import Picture, Pictures
from choreai.video.pictures import PictureReader
from choreai.visualize.stills import annotated_stills


def png(number: int, *, side: int = 64) -> bytes:
    return cv2.imencode(".png", spot(number, side=side))[1].tobytes()


def pictures_of(numbers: list[int], per_second: float = 25.0) -> Pictures:
    return Pictures([Picture(f"{n}.png", partial(png, n), 1) for n in numbers], per_second)


@pytest.fixture
def settings(tmp_path: Path) -> PoseSettings:
    (tmp_path / "networks").mkdir()
    flags = write_networks(tmp_path / "networks", num_keypoints=26)
    return PoseSettings(
        estimator="alphapose", checkpoint=str(flags[1]), detector_checkpoint=str(flags[3]), preprocessing="unit",
        frames_per_second=25.0,
    )  # fmt: skip


def extract(catalog: Catalog, settings: PoseSettings, output: str) -> dict[str, KeypointSequence]:
    """The keypoints by video_id, with all that the networks find."""
    worker = PoseWorker(output, settings=settings, pose_fingerprint="fp", run_id="run")
    worker.setup()
    videos = tuple(with_content_ids(catalog).videos())
    shard = PoseShard.from_videos(videos, (1,) * len(videos), pose_fingerprint="fp")
    assert worker.process(shard).statuses == {"ok": len(videos)}
    found = {video.video_id: find_in_tables(video.video_id, output, "fp") for video in videos}
    return {name: posed.rows for name, posed in found.items() if posed is not None}


def test_pictures_are_rows_and_folders_of_them_are_videos(store_uri: str, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("10.png", "2.png", "solo/1.png", "solo/2.png", "duo/a/1.PNG", ".hidden/1.png", "solo/.thumb.png"):
        put_object(join_uri(store_uri, name), name.encode())
    with caplog.at_level("INFO", logger="choreai"):
        catalog = read_catalog(store_uri)
    assert catalog.table["video_id"].to_pylist() == ["10.png", "2.png", "duo/a", "solo"]
    assert catalog.table["uri"].to_pylist()[2:] == [f"{store_uri}/duo/a/", f"{store_uri}/solo/"]
    assert caplog.messages == [
        f"{store_uri}/: pictures; 2 in it, each for itself, and 3 below it, each folder (2) a video of 25 a second"
    ]


def test_the_content_id_of_a_folder_follows_its_pictures_and_nothing_else(store_uri: str) -> None:
    for number in range(12):
        put_object(join_uri(store_uri, "solo", f"{number}.png"), png(number))
    (listed,) = read_catalog(store_uri).videos()
    put_object(join_uri(store_uri, "catalog.csv"), b"video_id,uri\na,solo/\nb,solo/#fps=30\n")
    first, second = with_content_ids(read_catalog(join_uri(store_uri, "catalog.csv"))).videos()
    assert first.content_id == second.content_id == listed.content_id
    put_object(join_uri(store_uri, "solo", "notes.txt"), b"no picture")
    assert list(read_catalog(store_uri).videos()) == [listed]
    put_object(join_uri(store_uri, "solo", "3.png"), png(9))
    (changed,) = read_catalog(store_uri).videos()
    assert changed.content_id != listed.content_id


def test_beside_videos_pictures_are_left_out(tmp_path: Path) -> None:
    for name in ("a.jpg", "b/c.jpg", "d.mp4", "e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert read_catalog(str(tmp_path)).table["video_id"].to_pylist() == ["d.mp4"]


def test_a_folder_is_extracted_as_choreai_pose_would_do_it(settings, tmp_path: Path, store_uri: str) -> None:
    for number in range(11):
        (tmp_path / "in/solo").mkdir(exist_ok=True, parents=True)
        (tmp_path / f"in/solo/{number}.png").write_bytes(png(number))
        put_object(join_uri(store_uri, "in", "solo", f"{number}.png"), png(number))
    rows = extract(read_catalog(join_uri(store_uri, "in")), settings, join_uri(store_uri, "out"))["solo"]
    flags = ["--checkpoint", settings.checkpoint, "--detector-checkpoint", settings.detector_checkpoint]
    flags += ["--preprocessing", "unit", "--gpus", "-1", "--indir", tmp_path / "in/solo", "--pose_track"]
    assert run(*flags, "--outdir", tmp_path / "posed") == 0
    ((_, _, posed),) = read_contents(str(tmp_path / "posed/keypoints.parquet"))
    assert rows.frame_index.tolist() == posed.frame_index.tolist() == list(range(11))
    np.testing.assert_array_equal(rows.keypoints_xy, posed.keypoints_xy)
    np.testing.assert_array_equal(rows.pts_seconds, posed.pts_seconds)
    assert rows.keypoint_set == HALPE_26
    assert annotated_stills(join_uri(store_uri, "in", "solo/"), rows) is not None


def test_single_pictures_and_a_rate_of_one_s_own(settings, tmp_path: Path) -> None:
    (tmp_path / "solo").mkdir()
    for number in range(4):
        (tmp_path / f"solo/{number}.png").write_bytes(png(number))
    (tmp_path / "catalog.csv").write_text("video_id,uri\na,solo/#fps=10\nb,./solo\nc,solo/2.png\n")
    rows = extract(read_catalog(str(tmp_path / "catalog.csv")), settings, str(tmp_path / "out"))
    np.testing.assert_allclose(rows["a"].pts_seconds, np.arange(4) / 10)
    np.testing.assert_allclose(rows["b"].pts_seconds, np.arange(4) / 25)
    assert len(rows["c"]) == 1
    videos = pq.read_table(tmp_path / "out/videos/fp").to_pydict()
    assert videos["frames_per_second"] == [10, 25, 25]
    assert videos["width"] == [64] * 3


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "catalog.csv").write_text("video_id,uri\na,empty/\nb,empty/#fps=0\n")
    first, second = with_content_ids(read_catalog(str(tmp_path / "catalog.csv"))).videos()
    assert first.content_id.startswith(f"{UNAVAILABLE}is a folder, not a file, and without pictures")
    assert second.content_id.startswith(UNAVAILABLE)
    (tmp_path / "empty/1.png").write_bytes(png(1))
    with pytest.raises(MediaError, match="above 0"), open_source(str(tmp_path / "empty/#fps=0")):
        pass


# ---------------------------------------------------------------- reading


def test_pictures_are_sampled_as_the_frames_of_a_video_are() -> None:
    with PictureReader(pictures_of(list(range(10))), uri="solo/") as reader:
        assert [frame.frame_index for frame in reader.sample(frames_per_second=10)] == [0, 3, 5, 8]
    with PictureReader(pictures_of(list(range(10)), 5.0), uri="solo/") as reader:
        assert [frame.frame_index for frame in reader.sample(frames_per_second=15)] == list(range(10))


def test_a_picture_that_cannot_be_read_is_counted_and_its_place_stays_empty() -> None:
    broken = Picture("1.png", lambda: b"no picture", 1)
    files = [*pictures_of([0]).files, broken, *pictures_of([2]).files]
    with PictureReader(Pictures(files), uri="solo/") as reader:
        frames = list(reader.frames())
    assert [frame.frame_index for frame in frames] == [0, 2]
    assert [frame.pts_seconds for frame in frames] == [0, 2 / 25]
    assert reader.num_decode_errors == 1
    with pytest.raises(MediaError, match="none of its 2 pictures"):
        PictureReader(Pictures([broken, broken]), uri="solo/")
    with pytest.raises(MediaError, match="none of its 1 pictures"):
        PictureReader(pictures_of([0]), uri="solo/", max_pixels=64 * 63)


def test_pictures_of_another_size_are_fitted_into_the_first_and_it_is_said() -> None:
    files = [*pictures_of([0]).files, Picture("big.png", lambda: png(1, side=128), 1)]
    with PictureReader(Pictures(files), uri="solo/") as reader:
        assert {frame.image.shape for frame in reader.frames()} == {(64, 64, 3)}
    assert any("sizes" in sentence for sentence in reader.quality.sentences)
