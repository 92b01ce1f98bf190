"""Tables that somebody or something damaged: what is named, what is left out, and that "delete it" is true."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arms_model import arms_model
from tag_rows import tag_row, video_row, write_rows
from tiny_poses import TinyWorker, write_clips

from choreai.catalog.catalog import Catalog, read_catalog, with_content_ids
from choreai.catalog.shards import pending_videos, plan_shards
from choreai.cli.main import main
from choreai.errors import ChoreaiWarning, ConfigError, DamagedPartError, TableError, WeightsError
from choreai.pipeline.extract import known_videos
from choreai.pipeline.tag import untagged_videos
from choreai.pose.settings import PoseSettings
from choreai.search.corrections import import_corrections, read_corrections
from choreai.search.search import Search, find_tags
from choreai.search.tag_database import open_tag_database
from choreai.storage import objects
from choreai.style.model import load_model, newest_model, save_model
from choreai.tables import schemas
from choreai.tables.compact import compact, list_versions
from choreai.tables.keypoints import read_contents
from choreai.tables.parts import part_uri, read_part, read_table
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.runs import read_runs

# --- delete it and run again ---


@pytest.fixture
def extracted(tmp_path: Path) -> tuple[str, Catalog]:
    """An output of four videos in two keypoints parts, and their catalog."""
    catalog = with_content_ids(read_catalog(str(write_clips(tmp_path, [1, 2, 3, 4]))))
    output = str(tmp_path / "out")
    extract(output, catalog)
    return output, catalog


def extract(output: str, catalog: Catalog) -> list[str]:
    """The ids of the videos that were pending, after a worker has done them."""
    recover_videos_parts(output, "tiny")
    pending = pending_videos(catalog, known_videos(output, "tiny"), retry_quarantined=False)
    worker = TinyWorker(output, settings=PoseSettings(), pose_fingerprint="tiny", run_id="run")
    worker.setup()
    for shard in plan_shards(pending.videos, videos_per_shard=2, pose_fingerprint="tiny"):
        worker.process(shard)
    return sorted(pending.videos["video_id"].to_pylist())


def parts_of(output: str, table: str) -> list[Path]:
    return sorted(Path(output, table, "tiny").glob("*.parquet"))


def every_row(output: str) -> list[tuple[object, ...]]:
    names = ["video_id", "frame_index", "track_id", "keypoint_scores"]
    rows = read_table(output, "keypoints", "tiny", schemas.KEYPOINTS, columns=names).to_pylist()
    return sorted(tuple(str(row[name]) for name in names) for row in rows)


def test_a_keypoints_part_that_was_deleted_makes_its_videos_pending(extracted) -> None:
    output, catalog = extracted
    whole = every_row(output)
    assert extract(output, catalog) == []
    parts_of(output, "keypoints")[0].unlink()
    again = extract(output, catalog)
    assert len(again) == 2
    assert every_row(output) == whole
    assert extract(output, catalog) == []
    untagged = untagged_videos(catalog, output=output, pose_id="tiny", model_version="m")
    assert sorted(untagged["video_id"].to_pylist()) == [f"clip-{number:03d}" for number in range(4)]


def test_videos_of_a_lost_part_are_not_tagged_from_it(extracted) -> None:
    output, catalog = extracted
    parts_of(output, "keypoints")[0].unlink()
    assert untagged_videos(catalog, output=output, pose_id="tiny", model_version="m").num_rows == 2


def test_a_lost_part_stays_lost_after_a_compaction(extracted) -> None:
    output, catalog = extracted
    compact(output)
    whole = every_row(output)
    parts_of(output, "keypoints")[1].unlink()
    assert len(extract(output, catalog)) == 2
    assert every_row(output) == whole
    compact(output)
    assert extract(output, catalog) == []


@pytest.mark.parametrize("compacted", [False, True])
def test_a_videos_part_that_was_deleted_comes_back(extracted, compacted) -> None:
    output, catalog = extracted
    if compacted:
        compact(output)
    for part in parts_of(output, "videos"):
        part.unlink()
    assert extract(output, catalog) == []


@pytest.mark.parametrize("damage", ["cut", "zeros", "noise", "empty"])
@pytest.mark.parametrize("table", ["keypoints", "videos"])
def test_a_damaged_part_is_named_with_what_to_delete_and_deleting_it_helps(extracted, table, damage) -> None:
    output, catalog = extracted
    whole = every_row(output)
    part = parts_of(output, table)[0]
    damage_file(part, damage)
    schema = schemas.KEYPOINTS if table == "keypoints" else schemas.VIDEOS
    with pytest.raises(DamagedPartError, match=rf"{part.name}.*delete it and run again: ") as caught:
        read_part(str(part), schema)
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    part.unlink()
    extract(output, catalog)
    assert every_row(output) == whole


def damage_file(path: Path, damage: str) -> None:
    data = path.read_bytes()
    middle = slice(4, int(len(data) * 0.4))
    new = bytearray(data)
    if damage == "cut":
        new = new[: len(data) // 2]
    elif damage == "empty":
        new = bytearray()
    elif damage == "zeros":
        new[middle] = bytes(middle.stop - middle.start)
    else:
        new[middle] = random.Random(0).randbytes(middle.stop - middle.start)
    path.write_bytes(bytes(new))


@pytest.mark.parametrize("seed", range(8))
def test_any_damage_inside_a_keypoints_part_is_a_table_error(extracted, seed) -> None:
    output, _ = extracted
    part = parts_of(output, "keypoints")[0]
    data = bytearray(part.read_bytes())
    rng = random.Random(seed)
    start = rng.randrange(4, len(data) - 200)
    data[start : start + 100] = rng.randbytes(100) if seed % 2 else bytes(100)
    part.write_bytes(bytes(data))
    try:
        for _ in read_contents(str(part)):
            pass
        read_part(str(part), schemas.KEYPOINTS).to_pylist()
    except TableError:
        pass


# --- strange things beside the tables ---


@pytest.fixture
def tagged(tmp_path: Path) -> str:
    root = str(tmp_path / "out")
    for number in range(3):
        write_rows(root, "tags", "lstm-a", f"{number}", [tag_row(f"v{number}")])
        write_rows(root, "videos", "fp1", f"{number}", [video_row(f"v{number}")])
    return root


def found_in(root: str, *, with_details: bool = False) -> list[str]:
    with open_tag_database(root) as database:
        tables = list(find_tags(database, Search(""), with_details=with_details))
    return sorted(video_id for table in tables for video_id in table["video_id"].to_pylist())


def strange_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"hello": [1, 2]}), sink)
    return sink.getvalue().to_pybytes()


STRANGE: dict[str, bytes] = {
    "tags/notes.parquet": strange_parquet(),
    "tags/strange/data.parquet": strange_parquet(),
    "tags/strange/part-x.parquet": strange_parquet(),
    "tags/lstm-a/other.parquet": strange_parquet(),
    "tags/lstm-a/part-zz.parquet": strange_parquet(),
    "tags/lstm-a/part-merged-000009.parquet": strange_parquet(),
    "tags/lstm-a/part-0a.parquet": b"no parquet at all",
    "tags/lstm-a/part-0b.parquet": b"",
    "tags/lstm-a/deeper/part-x.parquet": strange_parquet(),
    "tags/garbage/part-x.parquet": b"PAR1 nothing PAR1",
    "videos/fp1/part-zz.parquet": strange_parquet(),
    "videos/other/part-x.parquet": b"junk",
    "corrections/part-x.parquet": strange_parquet(),
    "corrections/other.parquet": b"junk",
    "runs/foreign/manifest.json": b'{"name": "a manifest of some other program"}',
    "runs/foreign/deeper/manifest.json": b"[]",
    "runs/20261101T030000Z-aaaaaa/manifest.json": b"[" * 100_000,
    "models/other/model.json": b'{"format": "something else"}',
    "models/deep/model.json": b"[" * 100_000,
}


@pytest.mark.filterwarnings("ignore::choreai.errors.ChoreaiWarning")
@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("with_details", [False, True])
def test_a_strange_file_beside_the_tables_hides_nothing(tagged: str, name: str, with_details: bool) -> None:
    objects.put_object(f"{tagged}/{name}", STRANGE[name])
    assert found_in(tagged, with_details=with_details) == ["v0", "v1", "v2"]
    assert list(read_runs(tagged)) == []
    assert newest_model(tagged) is None


@pytest.mark.parametrize("name", [name for name in STRANGE if "part-" in name and "deeper" not in name])
def test_what_is_left_out_is_named(tagged: str, name: str) -> None:
    objects.put_object(f"{tagged}/{name}", STRANGE[name])
    with pytest.warns(ChoreaiWarning, match=name.rsplit("/", 2)[1]):
        found_in(tagged)


@pytest.mark.filterwarnings("default::choreai.errors.ChoreaiWarning")
def test_search_and_its_command_go_on_past_a_strange_part(tagged: str, capsys: pytest.CaptureFixture[str]) -> None:
    objects.put_object(f"{tagged}/tags/lstm-a/part-0a.parquet", b"no parquet at all")
    assert main(["search", "", "--output", tagged]) == 0
    assert "v2" in capsys.readouterr().out


def test_a_damaged_tags_part_costs_its_own_rows_only(tagged: str) -> None:
    damage_file(Path(tagged, "tags/lstm-a/part-1.parquet"), "zeros")
    with pytest.warns(ChoreaiWarning, match=r"left out: .*part-1\.parquet.*its videos are tagged again"):
        assert found_in(tagged) == ["v0", "v2"]


def test_a_damaged_review_file_is_named_and_the_others_count(tmp_path: Path) -> None:
    root = str(tmp_path)
    reviews = tmp_path / "r.csv"
    for number in range(2):
        reviews.write_text(f"video_id,style,reviewer,reviewed_at\nv{number},house,me,2026-11-01\n")
        import_corrections(root, str(reviews))
    first = sorted((tmp_path / "corrections").glob("*.parquet"))[0]
    damage_file(first, "cut")
    with pytest.warns(ChoreaiWarning, match=rf"{first.name}.*import its reviews again"):
        assert read_corrections(root).num_rows == 1


def test_tables_of_strange_folders_are_no_versions(tagged: str) -> None:
    objects.put_object(f"{tagged}/tags/notes/data.parquet", strange_parquet())
    assert list_versions(tagged, "tags") == ["lstm-a"]
    assert {each.version for each in compact(tagged)} == {"lstm-a", "fp1"}


@pytest.mark.parametrize(
    "change",
    [
        {"statuses": {"ok": "many"}},
        {"statuses": {"ok": None}},
        {"wall_seconds": "long"},
        {"wall_seconds": float("nan")},
        {"config": []},
        {"num_failed": True},
        {"started_at": "yesterday"},
        {"peak_memory_bytes": {"w": "1"}},
        {"job": 7},
    ],
)
def test_an_edited_manifest_is_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    from choreai.tables.runs import RunManifest

    run = RunManifest(job="tag_catalog", run_id="20261101T030000Z-aaaaaa", config={}, pose_fingerprint="fp1")
    objects.put_object(f"{tmp_path}/runs/{run.run_id}/manifest.json", json.dumps(run.to_json() | change).encode())
    with pytest.warns(ChoreaiWarning, match="left out: .*not a manifest"):
        assert list(read_runs(str(tmp_path))) == []


# --- models ---


def saved_model(folder: Path) -> str:
    save_model(str(folder), arms_model())
    return str(folder)


def edited(folder: str, change: Any) -> str:
    path = Path(folder, "model.json")
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))
    return folder


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("windows", {"num_steps": 100_000_000}),
        ("windows", {"num_steps": 1e9}),
        ("windows", {"window_seconds": 1e9}),
        ("windows", {"context_seconds": 1e12}),
        ("windows", {"stride_seconds": float("nan")}),
        ("hidden_size", 10**9),
        ("hidden_size", 2.5),
        ("hidden_size", "many"),
        ("num_members", 10**6),
        ("labels", ["a"] * 3),
        ("labels", list(range(30_000))),
        ("labels", "abc"),
        ("temperature", float("nan")),
        ("temperature", -1),
        ("unknown_below", "x"),
        ("parents", ["a"]),
        ("references", {"nobody": 1}),
        ("network", "transformer"),
    ],
)
def test_an_edited_model_is_refused_within_bounds(tmp_path: Path, section: str, value: Any) -> None:
    def change(description: dict[str, Any]) -> None:
        config = description["config"]
        config[section] = {**config[section], **value} if section == "windows" else value

    with pytest.raises(WeightsError):
        load_model(edited(saved_model(tmp_path / "m"), change))


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", "[" * 100_000, '{"format": ' + "9" * 5000 + "}", '{"a":' * 5000 + "1" + "}" * 5000]
)
def test_a_model_description_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    folder = saved_model(tmp_path / "m")
    Path(folder, "model.json").write_text(text)
    with pytest.raises(WeightsError) as caught:
        load_model(folder)
    assert len(str(caught.value)) < 1000


def test_a_nested_training_record_is_refused_or_read(tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(900):
        inner["a"] = {}
        inner = inner["a"]

    def change(description: dict[str, Any]) -> None:
        description["config"]["novelty"] = deep

    with pytest.raises(WeightsError):
        load_model(edited(saved_model(tmp_path / "m"), change))


def test_a_foreign_model_beside_ours_is_left_out(tmp_path: Path) -> None:
    saved_model(tmp_path / "models" / "ours")
    objects.put_object(f"{tmp_path}/models/other/model.json", b"{}")
    with pytest.warns(ChoreaiWarning, match=r"left out: .*models/other"):
        assert newest_model(str(tmp_path)) == f"{tmp_path}/models/ours"


def test_tables_with_nothing_but_strange_parts_say_so(tmp_path: Path) -> None:
    objects.put_object(f"{tmp_path}/tags/strange/part-x.parquet", strange_parquet())
    with pytest.warns(ChoreaiWarning), pytest.raises(ConfigError, match="no tags of this release"):
        found_in(str(tmp_path))


def test_rows_of_a_part_that_are_no_keypoints_are_named(tmp_path: Path) -> None:
    row = {
        "video_id": "v", "content_id": "c", "frame_index": 1, "pts_seconds": 0.5, "track_id": 0, "box_xyxy": [0.0] * 4,
        "box_score": 0.5, "keypoints_xy": [1.0] * 34, "keypoint_scores": [0.5] * 17, "keypoints_xyz": None,
    }  # fmt: skip
    uri = part_uri(str(tmp_path), "keypoints", "fp1", "0")
    Path(uri).parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row, row], schema=schemas.KEYPOINTS), uri)  # one frame twice: found by fuzzing
    with pytest.raises(DamagedPartError, match=r"part-0\.parquet: rows must be sorted.*delete it and run again"):
        list(read_contents(uri))
