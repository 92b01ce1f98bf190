"""Compaction and the jobs' own readers: after it nothing is read twice, missed, or made again."""

import pyarrow as pa
import pytest
from tag_rows import tag_row, video_row, write_rows

from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog
from choreai.catalog.shards import pending_videos
from choreai.pipeline.extract import known_videos
from choreai.pipeline.tag import untagged_videos
from choreai.storage import objects
from choreai.tables import compact, schemas
from choreai.tables.parts import part_uri, read_table
from choreai.tables.pose_parts import PosePartWriter, recover_videos_parts


@pytest.fixture
def compacted(store_uri: str) -> str:
    """An output of four shards of a video each, tagged, compacted, with one videos part back from a slow worker."""
    root = f"{store_uri}/out"
    for number in range(4):
        shard_id = f"{number:016x}"
        record = video_row(f"v{number}")
        record.pop("shard_id")
        with PosePartWriter(root, shard_id=shard_id, pose_fingerprint="fp1", trace={}) as writer:
            writer.add_video(record, None)
            writer.commit()
        write_rows(root, "tags", "lstm-a", shard_id, [tag_row(f"v{number}")])
    first = part_uri(root, "videos", "fp1", f"{0:016x}")
    kept = objects.read_object(first)
    compact.compact(root)
    assert objects.stat_object(first) is None
    objects.put_object(first, kept)
    return root


def catalog_of(num: int) -> Catalog:
    rows = [{"video_id": f"v{n}", "uri": f"/v{n}.mp4", "content_id": "c1"} for n in range(num)]
    return Catalog("catalog.csv", pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA))


def test_every_row_is_read_once(compacted) -> None:
    for table, version, schema in (("videos", "fp1", schemas.VIDEOS), ("tags", "lstm-a", schemas.TAGS)):
        rows = read_table(compacted, table, version, schema, columns=["video_id"])
        assert sorted(rows["video_id"].to_pylist()) == ["v0", "v1", "v2", "v3"]


def test_nothing_that_was_done_is_pending_again(compacted) -> None:
    pending = pending_videos(catalog_of(5), known_videos(compacted, "fp1"), retry_quarantined=False)
    assert pending.videos["video_id"].to_pylist() == ["v4"]
    untagged = untagged_videos(catalog_of(5), output=compacted, pose_id="fp1", model_version="lstm-a")
    assert untagged.num_rows == 0


def test_compacted_videos_parts_are_not_taken_for_missing_ones(compacted) -> None:
    assert recover_videos_parts(compacted, "fp1") == 0
