"""How many videos a shard holds, and that whoever works beside or after a run cuts the same shards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from choreai.config import ExtractConfig
from choreai.pipeline.shard_size import MIN_SHARDS, choose_shard_size, shard_size
from choreai.tables.runs import RunManifest

NOW = datetime.now(UTC)


@pytest.mark.parametrize(("num_pending", "size"), [(1, 1), (5, 1), (63, 1), (64, 2), (255, 7), (10_000, 8)])
def test_few_videos_make_small_shards_so_that_all_workers_get_some(num_pending, size) -> None:
    assert shard_size(num_pending, most=8) == size


@pytest.fixture
def config(tmp_path: Path) -> ExtractConfig:
    return ExtractConfig("catalog.csv", str(tmp_path))


def write_run(config: ExtractConfig, *, ago: timedelta, finished: bool, size: int = 8, catalog="catalog.csv") -> None:
    run = RunManifest(
        "extract_poses",
        f"{NOW - ago:%Y%m%dT%H%M%SZ}-{size}",
        {"catalog": catalog, "videos_per_shard": config.videos_per_shard},
        "fp",
        started_at=NOW - ago,
        wall_seconds=60.0 if finished else 0.0,
        videos_per_shard=size,
    )
    run.write(config.output)


def chosen(config: ExtractConfig, *, pose_id: str = "fp") -> int:
    return choose_shard_size(config, num_pending=MIN_SHARDS, pose_id=pose_id)


def test_a_run_beside_or_after_an_unfinished_one_keeps_its_size(config) -> None:
    assert chosen(config) == 1
    write_run(config, ago=timedelta(days=3), finished=False, size=5)
    assert chosen(config) == 5  # killed: it is resumed
    write_run(config, ago=timedelta(hours=1), finished=True, size=5)
    assert chosen(config) == 1  # it was
    write_run(config, ago=timedelta(hours=2), finished=False, size=4)
    assert chosen(config) == 4  # a second one is still running beside it


def test_runs_of_other_catalogs_poses_and_settings_do_not_matter(config) -> None:
    write_run(config, ago=timedelta(hours=1), finished=False, catalog="other.csv")
    assert chosen(config) == 1
    write_run(config, ago=timedelta(hours=1), finished=False)
    assert chosen(config) == 8
    assert chosen(config, pose_id="others") == 1
    assert chosen(replace(config, videos_per_shard=4)) == 1


def test_a_run_of_a_release_before_had_the_size_that_was_set(config) -> None:
    write_run(config, ago=timedelta(hours=1), finished=False, size=0)
    assert chosen(config) == 8
