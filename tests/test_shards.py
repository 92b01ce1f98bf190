"""Shards and parts: what is pending, how it is named, and how it is committed once and for all."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog
from choreai.catalog.shards import PoseShard, latest_attempts, pending_videos, plan_shards, plan_tag_shards
from choreai.errors import TableError
from choreai.storage import objects
from choreai.tables import pose_parts, schemas
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import part_uri, read_part, write_part
from choreai.tables.pose_parts import PosePartWriter, VideoRows, recover_videos_parts

FINGERPRINT = "f" * 16


def catalog_of(*video_ids: str) -> Catalog:
    rows = [{"video_id": v, "uri": f"/{v}.mp4", "content_id": f"bytes-{v}"} for v in video_ids]
    return Catalog("catalog.csv", pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA))


def known(*rows: tuple[str, str, str, int]) -> pa.Table:
    """(video_id, content_id, status, attempts) rows of a videos table."""
    names = ["video_id", "content_id", "status", "attempts"]
    schema = pa.schema([schemas.VIDEOS.field(name) for name in names])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)


def planned(pending: pa.Table, size: int = 2) -> list[PoseShard]:
    return list(plan_shards(pending, videos_per_shard=size, pose_fingerprint=FINGERPRINT))


def test_everything_is_pending_at_first_in_catalog_order() -> None:
    pending = pending_videos(catalog_of("c", "a", "b"), known(), retry_quarantined=False)
    assert pending.videos["video_id"].to_pylist() == ["c", "a", "b"]
    assert pending.videos["attempts"].to_pylist() == [1, 1, 1]
    assert (pending.num_done, pending.num_quarantined) == (0, 0)


def test_only_the_same_bytes_count_as_done() -> None:
    seen = known(("a", "bytes-a", "ok", 1), ("b", "other bytes", "ok", 1), ("c", "bytes-c", "nobody", 1))
    pending = pending_videos(catalog_of("a", "b", "c"), seen, retry_quarantined=False)
    assert pending.videos["video_id"].to_pylist() == ["b"]
    assert pending.num_done == 2


def test_a_quarantined_video_waits_until_asked_and_then_counts_its_attempts() -> None:
    seen = known(("a", "bytes-a", "quarantined", 1), ("a", "bytes-a", "quarantined", 2), ("b", "bytes-b", "ok", 1))
    left = pending_videos(catalog_of("a", "b"), seen, retry_quarantined=False)
    assert (left.videos.num_rows, left.num_done, left.num_quarantined) == (0, 1, 1)
    again = pending_videos(catalog_of("a", "b"), seen, retry_quarantined=True)
    assert again.videos["video_id"].to_pylist() == ["a"]
    assert again.videos["attempts"].to_pylist() == [3]


def test_the_latest_attempt_decides() -> None:
    seen = known(("a", "x", "ok", 2), ("a", "x", "quarantined", 1))
    assert latest_attempts(seen).to_pylist() == [{"video_id": "a", "content_id": "x", "status": "ok", "attempts": 2}]


def test_the_same_work_always_gets_the_same_name_and_other_work_another() -> None:
    first, second = planned(pending_videos(catalog_of("a", "b", "c"), known(), retry_quarantined=False).videos)
    assert [len(s.videos) for s in (first, second)] == [2, 1]
    again = planned(pending_videos(catalog_of("a", "b", "c"), known(), retry_quarantined=False).videos)
    assert [s.shard_id for s in again] == [first.shard_id, second.shard_id]
    retried = PoseShard.from_videos(first.videos, (2, 1), pose_fingerprint=FINGERPRINT)
    refitted = PoseShard.from_videos(first.videos, (1, 1), pose_fingerprint="0" * 16)
    assert len({first.shard_id, retried.shard_id, refitted.shard_id}) == 3


def test_a_finished_shard_leaves_the_cuts_of_the_others_where_they_were() -> None:
    catalog = catalog_of(*"abcdef")
    before = planned(pending_videos(catalog, known(), retry_quarantined=False).videos)
    done = known(*((v.video_id, v.content_id, "ok", 1) for v in before[1].videos))
    after = planned(pending_videos(catalog, done, retry_quarantined=False).videos)
    assert [s.shard_id for s in after] == [before[0].shard_id, before[2].shard_id]


def test_a_narrowed_shard_holds_each_video_once() -> None:
    (shard,) = planned(pending_videos(catalog_of("a", "b"), known(), retry_quarantined=False).videos)
    assert [s.videos for s in shard.split_by_video(pose_fingerprint=FINGERPRINT)] == [(v,) for v in shard.videos]


def test_tag_shards_follow_the_keypoint_parts() -> None:
    columns = ["video_id", "content_id", "uri", "shard_id"]
    rows = [("b", "1", "/b", "p2"), ("a", "1", "/a", "p1"), ("c", "1", "/c", "p1")]
    untagged = pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows])
    shards = list(plan_tag_shards(untagged, model_version="m", pose_fingerprint=FINGERPRINT))
    assert [(s.keypoints_part, [v.video_id for v in s.videos]) for s in shards] == [("p1", ["a", "c"]), ("p2", ["b"])]
    assert list(plan_tag_shards(untagged.slice(0, 0), model_version="m", pose_fingerprint=FINGERPRINT)) == []


# --- parts ---


def add_frames(rows: VideoRows, num_frames: int, *, with_xyz: bool = True) -> None:
    """Two people a frame, track 1 before track 0, keypoints that tell frame and track."""
    for index in range(num_frames):
        xy = np.full((2, 17, 2), index, np.float32) + np.array([1000, 0], np.float32)[:, None, None]
        rows.add(
            frame_index=index,
            pts_seconds=index / 8,
            track_ids=np.array([1, 0], np.int32),
            box_xyxy=np.zeros((2, 4), np.float32),
            box_scores=np.ones(2, np.float32),
            keypoints_xy=xy,
            keypoint_scores=np.ones((2, 17), np.float32),
            keypoints_xyz=np.zeros((2, 17, 3), np.float32) if with_xyz else None,
        )


def commit(root: str, *, num_frames: int = 5, with_xyz: bool = True) -> bool:
    writer = PosePartWriter(root, shard_id="s", pose_fingerprint=FINGERPRINT, trace={"run_id": "r"})
    with writer:
        rows = VideoRows(writer.scratch, video_id="v", content_id="c")
        add_frames(rows, num_frames, with_xyz=with_xyz)
        record: dict[str, Any] = {name: None for name in schemas.VIDEOS.names if schemas.VIDEOS.field(name).nullable}
        record |= {"video_id": "v", "uri": "/v", "content_id": "c", "status": "ok", "attempts": 1, "run_id": "r"}
        record |= dict.fromkeys(("num_frames_decoded", "num_frames_sampled", "num_decode_errors"), num_frames)
        record |= {"num_tracks": rows.num_tracks, "num_rows": rows.num_rows, "process_seconds": 0.0}
        writer.add_video(record, rows)
        return writer.commit()


def part(root: str, table: str = "keypoints") -> str:
    return part_uri(root, table, FINGERPRINT, "s")


def test_a_second_commit_changes_nothing_and_says_so(store_uri: str) -> None:
    assert commit(store_uri) is True
    first = objects.read_object(part(store_uri))
    assert commit(store_uri, num_frames=9) is False
    assert objects.read_object(part(store_uri)) == first
    assert read_part(part(store_uri, "videos"), schemas.VIDEOS)["num_rows"].to_pylist() == [10]


def test_a_videos_part_that_is_missing_is_made_again_from_the_commit(store_uri: str) -> None:
    commit(store_uri)
    whole = read_part(part(store_uri, "videos"), schemas.VIDEOS)
    objects.delete_object(part(store_uri, "videos"))
    assert recover_videos_parts(store_uri, FINGERPRINT) == 1
    assert read_part(part(store_uri, "videos"), schemas.VIDEOS).equals(whole)
    assert recover_videos_parts(store_uri, FINGERPRINT) == 0


def test_rows_are_sorted_by_track_and_frame_and_come_back_as_arrays(tmp_path: Path) -> None:
    commit(str(tmp_path))
    table = read_part(part(str(tmp_path)), schemas.KEYPOINTS)
    assert table["track_id"].to_pylist() == [0] * 5 + [1] * 5
    assert table["frame_index"].to_pylist() == list(range(5)) * 2
    ((video_id, rows),) = read_videos(part(str(tmp_path)), {"v": "c"})
    assert video_id == "v"
    np.testing.assert_array_equal(rows.keypoints_xy[:, 0, 0], [0, 1, 2, 3, 4, 1000, 1001, 1002, 1003, 1004])


@pytest.mark.parametrize("with_xyz", [True, False])
def test_a_long_video_goes_by_way_of_the_disk_and_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_xyz: bool
) -> None:
    monkeypatch.setattr(pose_parts, "CHUNK_ROWS", 64)
    commit(str(tmp_path), num_frames=500, with_xyz=with_xyz)
    ((_, rows),) = read_videos(part(str(tmp_path)), {"v": "c"})
    assert len(rows) == 1000
    np.testing.assert_array_equal(rows.frame_index, list(range(500)) * 2)
    np.testing.assert_array_equal(rows.keypoints_xy[:500, 3, 1], np.arange(500))


def test_other_bytes_of_the_same_video_are_not_read(tmp_path: Path) -> None:
    commit(str(tmp_path))
    assert [len(rows) for _, rows in read_videos(part(str(tmp_path)), {"v": "other"})] == [0]
    assert list(read_videos(part(str(tmp_path)), {"w": "c"})) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"choreai.table": b"tags"}, "not a choreai keypoints table"),
        ({b"choreai.schema_version": b"99"}, "schema version '99'"),
        ({}, "not a choreai keypoints table"),
    ],
)
def test_a_table_of_another_kind_or_version_is_refused(
    tmp_path: Path, change: dict[bytes, bytes], message: str
) -> None:
    metadata = {**schemas.KEYPOINTS.metadata, **change} if change else None
    uri = str(tmp_path / "part-x.parquet")
    write_part(uri, schemas.KEYPOINTS.empty_table().replace_schema_metadata(metadata), tmp_path / "scratch")
    with pytest.raises(TableError, match=message):
        read_part(uri, schemas.KEYPOINTS)


def test_a_part_that_is_no_parquet_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "part-x.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(TableError, match=r"part-x\.parquet: not readable as Parquet"):
        read_part(str(tmp_path / "part-x.parquet"), schemas.KEYPOINTS)
