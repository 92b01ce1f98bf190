"""gc: what nothing wants is found, weighed and deleted; what is in use is not."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from tag_rows import tag_row, video_row, write_rows

from choreai.cli.gc import size_text
from choreai.cli.main import main
from choreai.errors import ConfigError
from choreai.operations.garbage import delete_versions, find_versions
from choreai.storage import objects
from choreai.style.model import MODEL_FORMAT, MODEL_SCHEMA_VERSION
from choreai.tables.runs import RunManifest


def write_model(root: str, name: str, *, poses: str, day: int) -> None:
    description = {
        "format": MODEL_FORMAT, "schema_version": MODEL_SCHEMA_VERSION,
        "created_at": f"2026-11-{day:02d}T00:00:00+00:00", "config": {"pose_fingerprint": poses},
    }  # fmt: skip
    objects.put_object(objects.join_uri(root, "models", name, "model.json"), json.dumps(description).encode())


def write_run(
    root: str, day: int, job: str, *, poses: str, model: str = "", finished: bool = True, age: int = 0
) -> None:
    run = RunManifest(job, f"202611{day:02d}T000000Z-000000", {}, poses, model_version=model)
    run.wall_seconds = float(finished)
    run.started_at -= timedelta(days=age)
    run.write(root)


@pytest.fixture
def root(store_uri: str) -> str:
    """Three models on two kinds of poses, of which the last night used the second, and poses that a run is making."""
    for poses in ("old", "new", "making", "strange"):
        write_rows(store_uri, "videos", poses, "0", [video_row("v")])
    for day, (name, poses) in enumerate([("lstm-1", "old"), ("lstm-2", "old"), ("lstm-3", "new")], start=1):
        write_model(store_uri, name, poses=poses, day=day)
        write_rows(store_uri, "tags", name, "0", [tag_row("v", model=name)])
        write_run(store_uri, day, "tag_catalog", poses=poses, model=name)
    write_run(store_uri, 8, "tag_catalog", poses="old", model="lstm-2")
    write_run(store_uri, 7, "extract_poses", poses="old")
    write_run(store_uri, 6, "extract_poses", poses="making", finished=False)
    write_run(store_uri, 5, "extract_poses", poses="strange", finished=False, age=30)  # killed, a month ago
    return store_uri


def test_what_models_runs_and_people_want_is_kept_and_says_why(root: str) -> None:
    found = {each.name: each.why for each in find_versions(root, keep=["strange"])}
    assert found == {
        "lstm-1": "",
        "lstm-2": "run 20261108T000000Z-000000",
        "lstm-3": "the newest model",
        "old": "run 20261108T000000Z-000000",
        "new": "poses of lstm-3",
        "making": "run 20261106T000000Z-000000, which has not ended",
        "strange": "named by --keep",
    }


def test_only_what_is_not_wanted_is_deleted_and_a_second_time_nothing(root: str) -> None:
    before = {info.uri for info in objects.list_objects(root)}
    unwanted = [each for each in find_versions(root) if not each.why]
    assert delete_versions(root, unwanted) == 3
    gone = before - {info.uri for info in objects.list_objects(root)}
    assert {uri.removeprefix(root).lstrip("/") for uri in gone} == {
        "models/lstm-1/model.json", "tags/lstm-1/part-0.parquet", "videos/strange/part-0.parquet",
    }  # fmt: skip
    assert [each for each in find_versions(root) if not each.why] == []


def test_more_of_the_newest_may_be_kept(root: str) -> None:
    assert {each.name for each in find_versions(root, newest=3) if not each.why} == set()


def test_where_nothing_says_what_is_in_use_somebody_has_to(tmp_path: Path) -> None:
    write_rows(str(tmp_path), "videos", "fp", "0", [video_row("v")])
    with pytest.raises(ConfigError, match="name what to keep with --keep"):
        find_versions(str(tmp_path))
    assert [each.why for each in find_versions(str(tmp_path), keep=["fp"])] == ["named by --keep"]
    with pytest.raises(ConfigError, match="no fingerprint or model 'pf' to keep; it has fp"):
        find_versions(str(tmp_path), keep=["pf"])


def test_the_command_deletes_nothing_without_yes(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {info.uri for info in objects.list_objects(root)}
    assert main(["gc", "--output", root]) == 0
    assert "dry run: nothing was deleted; --yes deletes 2 versions" in capsys.readouterr().out
    assert {info.uri for info in objects.list_objects(root)} == before
    assert main(["gc", "--output", root, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_deleted"] == 3


def test_sizes_are_in_words_that_people_read() -> None:
    assert [size_text(n) for n in (0, 1023, 1536, 5 << 30, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
        "3.0 TiB",
    ]
