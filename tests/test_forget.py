"""Forgetting: everything that names a video goes, for good, and nothing else does."""

import fcntl
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest
from chaos_forget import disturbed_run
from forgettable import (
    EVERYTHING,
    MODEL,
    OTHERS,
    POSES,
    VICTIM,
    expected_rows,
    files_with,
    make_output,
    rows_of,
    uri_of,
)

from choreai.cli.main import main
from choreai.config import ExtractConfig
from choreai.errors import ChoreaiWarning, ConfigError, TableError
from choreai.operations.forget import forget, forget_again
from choreai.pipeline.extract import extract_poses, open_catalog
from choreai.search.corrections import import_corrections, read_corrections
from choreai.storage import objects
from choreai.tables.compact import compact
from choreai.tables.forgotten import Forgotten, read_forgotten, write_tombstone
from choreai.tables.parts import list_parts, part_uri
from choreai.tables.pose_parts import described_videos, recover_videos_parts
from choreai.tables.runs import read_runs


def rows_by_table(root: str) -> dict[str, dict[str, int]]:
    return {table: dict(rows_of(root, table)) for table in EVERYTHING}


def test_a_dry_run_says_what_would_go_and_changes_nothing(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    make_output(root, tmp_path)
    before = {info.uri: info.content_id for info in objects.list_objects(root)}
    done = forget(root, [VICTIM], act=False)
    assert {info.uri: info.content_id for info in objects.list_objects(root)} == before
    assert {each.table: each.num_rows for each in done.tables} == {
        **dict.fromkeys(EVERYTHING, 1), "keypoints": 6, "corrections": 1,
    }  # fmt: skip
    assert [each.model_version for each in done.models] == [MODEL]
    assert (done.is_done, done.tombstone, done.left) == (False, "", ())


def test_every_row_and_every_file_that_names_the_video_goes_and_the_others_stay(store_uri: str, tmp_path: Path) -> None:
    root = objects.join_uri(store_uri, "out")
    make_output(root, tmp_path)
    done = forget(root, [VICTIM], act=True)
    assert {table: rows_of(root, table) for table in EVERYTHING} == {name: expected_rows(name) for name in EVERYTHING}
    assert set(read_corrections(root)["video_id"].to_pylist()) == set(OTHERS)
    assert objects.stat_object(uri_of(root, VICTIM)) is None
    assert objects.stat_object(uri_of(root, OTHERS[0])) is not None
    assert done.left == ()
    assert [row["video_id"] for row in described_videos(part_uri(root, "keypoints", POSES, "0" * 16))] == OTHERS[:3]
    copy = tmp_path / "copy"
    for info in objects.list_objects(root):
        path = copy / info.uri.removeprefix(root).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(objects.read_object(info.uri))
    assert files_with(copy, VICTIM) == []
    again = forget(root, [VICTIM], act=True)
    assert (again.tables, again.files, again.models) == ((), (), done.models)
    assert again.tombstone == done.tombstone


def test_rows_go_out_of_compacted_tables_too(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    make_output(root, tmp_path)
    compact(root)
    forget(root, [VICTIM], act=True)
    assert {table: rows_of(root, table) for table in EVERYTHING} == {name: expected_rows(name) for name in EVERYTHING}
    assert files_with(tmp_path / "out", VICTIM) == []


def test_what_runs_models_and_exports_say_of_the_others_stays(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    make_output(root, tmp_path)
    forget(root, [VICTIM], act=True)
    (run,) = read_runs(root)
    assert run.problems == [(OTHERS[0], "damaged")]
    assert run.config["catalog"] == "(forgotten)"
    worst = json.loads((tmp_path / f"out/models/{MODEL}/metrics.json").read_text())["worst_videos"]
    assert [each["video_id"] for each in worst] == OTHERS
    for name in ("report.html", "MODEL_CARD.md"):
        assert OTHERS[0] in (tmp_path / f"out/models/{MODEL}" / name).read_text()
    assert len((tmp_path / "out/found.csv").read_text().splitlines()) == 1 + len(OTHERS)
    assert len((tmp_path / "out/found.jsonl").read_text().splitlines()) == 2 * len(OTHERS)
    assert not (tmp_path / "out/training/t1").exists() or not list((tmp_path / "out/training/t1").iterdir())


def test_a_catalog_and_a_taught_style_are_named_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "out"
    make_output(str(root), tmp_path)
    (root / "catalog.csv").write_text(f'video_id,uri\n"{VICTIM}",a.mp4\n')
    model = {"config": {"taught": {"kizomba": {"video_ids": [VICTIM]}}}}
    (root / "models" / MODEL / "model.json").write_text(json.dumps(model))
    assert main(["forget", VICTIM, "--output", str(root), "--yes", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert {Path(each["uri"]).name for each in said["left"]} == {"catalog.csv", "model.json"}
    assert said["models"][0]["is_taught"]


def test_other_ids_of_the_same_bytes_go_too_where_that_is_asked(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    make_output(root, tmp_path)
    done = forget(root, [VICTIM], act=True, same_bytes=True)
    assert done.video_ids == (VICTIM,)  # no other has them
    table = pa.table({"video_id": ["new name", OTHERS[0]], "content_id": [f"c {VICTIM}", "c"]})
    assert read_forgotten(root).find(table).tolist() == [True, False]


def test_stills_and_uploads_of_the_web_pages_go_too(tmp_path: Path) -> None:
    root, data = str(tmp_path / "out"), tmp_path / "web"
    make_output(root, tmp_path)
    from choreai.search.tag_database import open_tag_database

    with open_tag_database(root) as database:
        from choreai.web.catalog_search import KEY

        (row,) = database.rows(f"SELECT {KEY} AS key FROM (SELECT ? AS video_id)", [VICTIM])
    for name in (f"stills/{row['key']}-fp1-0.jpg", "stills/other-fp1-0.jpg", "clips/aaaa/status.json"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("x")
    forget(root, [VICTIM], act=True, web_data=str(data))
    assert [path.name for path in (data / "stills").iterdir()] == ["other-fp1-0.jpg"]
    forget(root, ["aaaa"], act=True, unseen=True, web_data=str(data))
    assert list((data / "clips").iterdir()) == []


def test_a_typing_mistake_forgets_nothing(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    make_output(root, tmp_path)
    with pytest.raises(ConfigError, match=r"no table has a video 'clips/ana\.mp4'.*--unseen"):
        forget(root, [VICTIM, "clips/ana.mp4"], act=True)
    assert not read_forgotten(root)
    forget(root, ["never seen"], act=True, unseen=True)
    assert read_forgotten(root).has_video("never seen")


def test_the_next_night_leaves_forgotten_videos_out_and_counts_them(tmp_path: Path) -> None:
    root = tmp_path / "out"
    make_output(str(root), tmp_path)
    (tmp_path / "catalog.csv").write_text(
        "video_id,uri,content_id\n" + "".join(f'"{each}",gone.mp4,"c {each}"\n' for each in [VICTIM, *OTHERS])
    )
    forget(str(root), [VICTIM], act=True)
    config = ExtractConfig(str(tmp_path / "catalog.csv"), str(root))
    catalog = open_catalog(config)
    assert (len(catalog), catalog.num_forgotten) == (len(OTHERS), 1)
    manifest = extract_poses(config, catalog, pose_id=POSES)
    assert (manifest.num_videos, manifest.num_done_before, manifest.num_forgotten) == (0, len(OTHERS), 1)
    assert recover_videos_parts(str(root), POSES) == 0


def test_a_run_that_was_at_work_meanwhile_forgets_again_at_its_end(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    write_tombstone(root, [VICTIM])
    make_output(root, tmp_path)  # which knew of no tombstone
    ids = [VICTIM, *OTHERS]
    catalog = pa.table({"video_id": ids, "content_id": ids})
    assert forget_again(root, catalog) == 1
    assert files_with(tmp_path / "out", VICTIM) == []
    assert forget_again(root, catalog.slice(1)) == 0


def test_reviews_of_a_forgotten_video_are_not_imported_again(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    write_tombstone(root, [VICTIM])
    rows = "".join(f'"{each}",house,r,2026-11-02\n' for each in (VICTIM, OTHERS[0]))
    (tmp_path / "reviews.csv").write_text(f"video_id,style,reviewer,reviewed_at\n{rows}")
    with pytest.warns(ChoreaiWarning, match="1 reviews of forgotten videos are left out"):
        import_corrections(root, str(tmp_path / "reviews.csv"))
    assert read_corrections(root)["video_id"].to_pylist() == [OTHERS[0]]


def test_a_part_that_a_killed_worker_left_undescribed_is_found(tmp_path: Path) -> None:
    root = str(tmp_path / "out")
    make_output(root, tmp_path)
    for uri in list_parts(root, "videos", POSES):
        objects.delete_object(uri)
    forget(root, [VICTIM], act=True)
    recover_videos_parts(root, POSES)
    assert rows_of(root, "videos") == expected_rows("videos")


def test_what_a_killed_writer_left_half_written_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    root = tmp_path / "out"
    make_output(str(root), tmp_path)
    left, held = (root / "tags" / MODEL / f".choreai-{number}.tmp" for number in range(2))
    left.write_text(f"half a part of {VICTIM}")
    with held.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        forget(str(root), [VICTIM], act=True)
        assert (left.exists(), held.exists()) == (False, True)


def test_a_tombstone_that_cannot_be_read_stops_a_job(tmp_path: Path) -> None:
    uri = write_tombstone(str(tmp_path), ["a"])
    Path(uri).write_text("{")
    with pytest.raises(TableError, match="not a tombstone"):
        read_forgotten(str(tmp_path))


def test_tombstones_are_salted_and_the_same_twice(tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert write_tombstone(one, ["a", "b"]) == write_tombstone(one, ["b", "a"])
    write_tombstone(two, ["a"])
    assert read_forgotten(one).videos.isdisjoint(read_forgotten(two).videos)
    assert Forgotten().find(pa.table({"video_id": ["a"]})).tolist() == [False]
    many = pa.table({"video_id": [f"v{n}" for n in range(5000)] + ["b"]})
    assert read_forgotten(one).find(many).nonzero()[0].tolist() == [5000]


@pytest.mark.parametrize("seed", range(12))
def test_killed_anywhere_forgetting_and_compacting_end_in_the_same_place(tmp_path: Path, seed: int) -> None:
    result = disturbed_run(tmp_path, random.Random(seed), max_kills=2, by_time=False)
    assert result.problems == []
