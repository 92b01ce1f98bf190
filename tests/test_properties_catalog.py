"""Properties of catalogs: what is read is what was written, shards partition them, and natural order is total."""

import csv
import tempfile
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog, read_catalog
from choreai.catalog.shards import latest_attempts, pending_videos, plan_shards, plan_tag_shards
from choreai.natural_order import natural_key
from choreai.tables import schemas

FINGERPRINT = "f" * 16
WORD = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
NAMES = st.lists(WORD, unique=True, min_size=1, max_size=20)
KNOWN = st.tuples(
    st.integers(0, 24), st.sampled_from(["old", "new"]), st.sampled_from(["ok", "nobody", "quarantined"]),
    st.integers(1, 5),
)  # fmt: skip


def catalog_of(num_videos: int) -> Catalog:
    rows = [{"video_id": f"v{n}", "uri": f"/{n}.mp4", "content_id": "new"} for n in range(num_videos)]
    return Catalog("catalog.csv", pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA))


def videos_of(known: list[tuple[int, str, str, int]]) -> pa.Table:
    names = ["video_id", "content_id", "status", "attempts"]
    schema = pa.schema([schemas.VIDEOS.field(name) for name in names])
    return pa.Table.from_pylist([dict(zip(names, (f"v{n}", *rest), strict=True)) for n, *rest in known], schema=schema)


@given(st.integers(0, 25), st.lists(KNOWN, max_size=40), st.integers(1, 9), st.booleans())
def test_shards_partition_what_is_pending(
    num_videos: int, known: list[tuple[int, str, str, int]], videos_per_shard: int, retry: bool
) -> None:
    catalog = catalog_of(num_videos)
    pending = pending_videos(catalog, videos_of(known), retry_quarantined=retry)
    assert pending.videos.num_rows + pending.num_done + pending.num_quarantined == num_videos
    shards = list(plan_shards(pending.videos, videos_per_shard=videos_per_shard, pose_fingerprint=FINGERPRINT))
    assert [video.video_id for shard in shards for video in shard.videos] == pending.videos["video_id"].to_pylist()
    assert all(len(shard.videos) == len(shard.attempts) <= videos_per_shard for shard in shards)
    assert len({shard.shard_id for shard in shards}) == len(shards)
    singles = [single for shard in shards for single in shard.split_by_video(pose_fingerprint=FINGERPRINT)]
    assert [single.videos for single in singles] == [(video,) for shard in shards for video in shard.videos]


@given(st.lists(KNOWN, max_size=40))
def test_a_video_is_pending_exactly_if_its_bytes_were_never_tried(known: list[tuple[int, str, str, int]]) -> None:
    pending = pending_videos(catalog_of(25), videos_of(known), retry_quarantined=False)
    tried = {f"v{n}" for n, content_id, *_ in known if content_id == "new"}
    assert set(pending.videos["video_id"].to_pylist()) == {f"v{n}" for n in range(25)} - tried
    latest = latest_attempts(videos_of(known))
    keys = list(zip(latest["video_id"].to_pylist(), latest["content_id"].to_pylist(), strict=True))
    assert len(set(keys)) == len(keys) == len({(f"v{n}", content_id) for n, content_id, *_ in known})


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), unique_by=lambda row: row[0], max_size=20))
def test_tag_shards_partition_the_untagged_by_keypoints_part(rows: list[tuple[int, str]]) -> None:
    names = ["video_id", "uri", "content_id", "shard_id"]
    table = pa.table(
        {name: pa.array([values[i] for values in [(f"v{n}", f"/{n}", "c", part) for n, part in rows]], pa.string())
         for i, name in enumerate(names)}
    )  # fmt: skip
    shards = list(plan_tag_shards(table, model_version="lstm-a", pose_fingerprint=FINGERPRINT))
    found = {(video.video_id, shard.keypoints_part) for shard in shards for video in shard.videos}
    assert found == {(f"v{n}", part) for n, part in rows}
    assert [shard.keypoints_part for shard in shards] == sorted({part for _, part in rows})


@given(NAMES)
def test_natural_order_is_total(names: list[str]) -> None:
    ordered = sorted(names, key=natural_key)
    assert sorted(reversed(names), key=natural_key) == ordered
    assert all(natural_key(a) < natural_key(b) for a, b in pairwise(ordered))


@given(st.text("ab_", max_size=3), st.lists(st.integers(0, 10**6), unique=True, max_size=9))
def test_natural_order_counts(stem: str, numbers: list[int]) -> None:
    names = [f"{stem}{number}.mp4" for number in numbers]
    assert sorted(names, key=natural_key) == [f"{stem}{number}.mp4" for number in sorted(numbers)]


@given(
    st.lists(
        st.tuples(WORD, WORD, st.none() | WORD, st.none() | WORD), min_size=1, max_size=8, unique_by=lambda r: r[0]
    )
)
def test_a_catalog_read_is_what_was_written(rows: list[tuple[str, str, str | None, str | None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["video_id", "uri", "label", "group"])
            writer.writerows([name, f"s3://bucket/x{key}", label, group] for name, key, label, group in rows)
        found = read_catalog(str(path)).table.drop_columns("content_id").to_pylist()
    assert found == [
        {"video_id": name, "uri": f"s3://bucket/x{key}", "label": label, "group": group}
        for name, key, label, group in rows
    ]
