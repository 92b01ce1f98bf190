"""Properties of the tables: what is read is what was written, however it is cut into parts."""

import tempfile
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreai.search.corrections import CORRECTIONS
from choreai.tables import schemas
from choreai.tables.compact import compact_table
from choreai.tables.keypoints import read_contents, sequence_of
from choreai.tables.parts import part_uri, read_part, read_table, write_part
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest, read_run

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLOAT = st.floats(width=32, allow_nan=False)
INT32 = st.integers(-(2**31), 2**31 - 1)
TIME = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_fixed_size_list(kind):
        return st.lists(values_of(kind.value_type), min_size=kind.list_size, max_size=kind.list_size)
    if pa.types.is_list(kind):
        return st.lists(values_of(kind.value_type), max_size=3)
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({field.name: st.none() | values_of(field.type) for field in kind})
    simple: dict[pa.DataType, st.SearchStrategy[Any]] = {
        pa.string(): TEXT, pa.float32(): FLOAT, pa.int32(): INT32, pa.bool_(): st.booleans(),
        pa.timestamp("ms", tz="UTC"): TIME,
    }  # fmt: skip
    return simple[kind]


@cache  # a schema of a hundred columns takes longer to understand than to draw from
def rows_of(schema: pa.Schema) -> st.SearchStrategy[list[dict[str, Any]]]:
    nullable = {field.name: (st.none() if field.nullable else st.nothing()) for field in schema}
    row = st.fixed_dictionaries({field.name: nullable[field.name] | values_of(field.type) for field in schema})
    return st.lists(row, max_size=2)


@pytest.mark.parametrize(
    "schema", [schemas.KEYPOINTS, schemas.VIDEOS, schemas.TAGS, schemas.KINEMATICS, CORRECTIONS],
    ids=["keypoints", "videos", "tags", "kinematics", "corrections"],
)  # fmt: skip
@given(data=st.data())
@settings(max_examples=25)
def test_a_table_read_back_is_what_was_written(schema: pa.Schema, data: st.DataObject) -> None:
    table = pa.Table.from_pylist(data.draw(rows_of(schema)), schema=schema)
    with tempfile.TemporaryDirectory() as folder:
        uri = f"{folder}/part-0.parquet"
        assert write_part(uri, table, Path(folder) / "scratch")
        found = read_part(uri, schema)
    assert found.schema.equals(schema)
    assert found.equals(table)


@settings(max_examples=20)
@given(ids=st.lists(st.lists(TEXT, max_size=4), max_size=5), compactions=st.integers(0, 2))
def test_a_table_has_the_rows_of_all_its_parts_once_compacted_or_not(ids: list[list[str]], compactions: int) -> None:
    row = {"content_id": "c", "track_id": 0, "start_seconds": 0.0, "stop_seconds": 1.0, "is_main": True, "run_id": "r"}
    with tempfile.TemporaryDirectory() as folder:
        for number, members in enumerate(ids):
            part = pa.Table.from_pylist([{**row, "video_id": name} for name in members], schema=schemas.KINEMATICS)
            write_part(part_uri(folder, "kinematics", "v", f"{number:x}"), part, Path(folder) / "scratch")
        for _ in range(compactions):
            compact_table(folder, "kinematics", "v")
        found = read_table(folder, "kinematics", "v", schemas.KINEMATICS, columns=["video_id"])
    assert Counter(found["video_id"].to_pylist()) == Counter(name for members in ids for name in members)


@given(st.sampled_from([(), (1,), (17, 2), (3, 4)]), st.integers(0, 5))
def test_a_list_column_holds_the_rows_of_an_array(shape: tuple[int, ...], num_rows: int) -> None:
    values = np.random.default_rng(0).normal(size=(num_rows, *shape)).astype(np.float32)
    column = pa.chunked_array([schemas.list_column(values)])
    np.testing.assert_array_equal(schemas.from_list_column(column), values.reshape(num_rows, int(np.prod(shape))))


@st.composite
def keypoint_tables(draw: st.DrawFn) -> pa.Table:
    """Some people of some frames of some videos, each (video, frame, track) once, in the order of a part."""
    places = st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 6))
    keys = sorted(draw(st.sets(places, min_size=1, max_size=12)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    with_3d = draw(st.booleans())
    rows = [
        {
            "video_id": video, "content_id": f"bytes of {video}", "frame_index": frame, "pts_seconds": frame / 8,
            "track_id": track, "box_xyxy": rng.random(4), "box_score": rng.random(), "keypoints_xy": rng.random(34),
            "keypoint_scores": rng.random(17), "keypoints_xyz": rng.random(51) if with_3d else None,
        }
        for video, track, frame in keys
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schemas.KEYPOINTS)


@given(table=keypoint_tables(), order=st.randoms(use_true_random=False))
def test_keypoints_are_read_alike_in_whatever_order_the_rows_are(table: pa.Table, order: Any) -> None:
    first = table.filter(pa.compute.equal(table["video_id"], table["video_id"][0]))
    shuffled = list(range(len(first)))
    order.shuffle(shuffled)
    expected, found = sequence_of(first), sequence_of(first.take(pa.array(shuffled)))
    for name in ("frame_index", "pts_seconds", "track_id", "keypoints_xy", "keypoint_scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (found.keypoints_xyz is None) == (expected.keypoints_xyz is None)


@given(keypoint_tables())
def test_every_video_of_a_part_is_read_once_with_all_its_rows(table: pa.Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_part(f"{folder}/part-0.parquet", table, Path(folder) / "scratch")
        found = list(read_contents(f"{folder}/part-0.parquet"))
    assert [name for name, _, _ in found] == sorted(set(table["video_id"].to_pylist()))
    assert sum(len(keypoints.frame_index) for _, _, keypoints in found) == len(table)
    for name, content_id, keypoints in found:
        rows = table.filter(pa.compute.equal(table["video_id"], name))
        assert content_id == f"bytes of {name}"
        np.testing.assert_array_equal(keypoints.keypoints_xy, sequence_of(rows).keypoints_xy)


REPORTS = st.builds(
    ShardReport, shard_id=TEXT, written=st.booleans(),
    statuses=st.dictionaries(st.sampled_from(["ok", "nobody", "quarantined"]), st.integers(0, 5)),
    problems=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple), num_frames=st.integers(0, 99),
    num_rows=st.integers(0, 99), process_seconds=st.floats(0, 1e6), peak_memory_bytes=st.integers(0, 2**40),
    worker=st.sampled_from(["a:1", "a:2", "b:1"]), gpu_ids=st.lists(TEXT, max_size=2).map(tuple),
)  # fmt: skip


@given(
    reports=st.lists(REPORTS, max_size=4), failures=st.lists(TEXT, max_size=2), finished=st.booleans(),
    allowed=st.sampled_from([0.0, 0.2, 1.0]),
)  # fmt: skip
def test_a_run_read_back_is_what_was_written(
    reports: list[ShardReport], failures: list[str], finished: bool, allowed: float
) -> None:
    run = RunManifest("extract_poses", "20261101T000000Z-000000", {"max_failed_fraction": allowed}, "fp1")
    for report in reports:
        run.add(report)
    run.add_failure(failures, "a reason")
    if finished:
        run.finish()
    with tempfile.TemporaryDirectory() as folder:
        run.write(folder)
        found = read_run(folder, run.run_id)
    assert found == run
    assert found.failed == run.failed
    assert found.utilisation == run.utilisation
    assert run.failed or (finished and not failures)
