"""Nights: what a run takes on, when it stops, and when it is red. What it says beforehand: test_dry_run.py."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import ray
from drivers import read_whole
from nights import extract, tag
from tiny_poses import FINGERPRINT, write_clips

from choreai.catalog import listings
from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog
from choreai.catalog.listings import modified_at
from choreai.catalog.shards import Pending
from choreai.cli.flags import train_parser
from choreai.cli.outcome import exit_code
from choreai.config import ExtractConfig, TagConfig, TrainConfig, load_config, parse_since
from choreai.errors import ConfigError
from choreai.pipeline.selection import deadline, select_videos
from choreai.pipeline.tag import POSE_SHARE
from choreai.search.dancer_reviews import store_dancers
from choreai.storage import objects
from choreai.tables.posed_video import find_in_tables
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


# --- what a run takes on ---


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T06:30:00+02:00", datetime(2026, 11, 1, 4, 30, tzinfo=UTC)),
        ("7", datetime(2026, 11, 13, 12, tzinfo=UTC)),
        ("0.5", datetime(2026, 11, 20, 0, tzinfo=UTC)),
    ],
)
def test_since_is_a_date_or_a_number_of_days(text, moment) -> None:
    assert parse_since(text, now=NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "-1", "nan", "20261101", "2026-13-01", ""])
def test_a_since_that_is_neither_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"since must be .*2026-11-01"):
        parse_since(text, now=NOW)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"limit": 0}, "limit must be"), ({"max_hours": 0.0}, "max_hours must be"), ({"since": "soon"}, "since must be")],
)
def test_what_no_run_could_mean_is_refused(settings, words) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(ExtractConfig, None, {"catalog": "a", "output": "b", **settings})


def test_a_training_takes_all_of_its_videos() -> None:
    with pytest.raises(ConfigError, match="training needs all"):
        load_config(TrainConfig, None, {"catalog": "a", "output": "b", "limit": 5})
    with pytest.raises(SystemExit):
        train_parser(None).parse_args(["catalog.csv", "--limit", "5"])


def catalog_of(*uris: str) -> Catalog:
    rows = [{"video_id": f"v{n}", "uri": uri, "content_id": "c1"} for n, uri in enumerate(uris)]
    return Catalog("catalog.csv", pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA))


def pending_of(catalog: Catalog, **attempts: int) -> Pending:
    """The videos with these ids pending, with the attempt each is at."""
    rows = [row | {"attempts": attempts[row["video_id"]]} for row in catalog.table.to_pylist()
            if row["video_id"] in attempts]  # fmt: skip
    return Pending(pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA.append(pa.field("attempts", pa.int32()))), 0, 3)


def test_the_first_in_catalog_order_that_need_something_are_taken_on() -> None:
    catalog = catalog_of(*"abcdef")
    config = ExtractConfig("catalog.csv", "out", limit=2)
    also = pa.table({"video_id": ["v1", "v4"]})
    selection = select_videos(config, catalog, pending_of(catalog, v5=1, v3=2, v2=2), also=also)
    assert selection.catalog.table["video_id"].to_pylist() == ["v1", "v2"]
    assert selection.num_later == 3
    assert selection.num_quarantined == 3 + 1  # v3 failed before, and is not tried tonight


def test_only_what_was_written_since_is_taken_on_and_what_cannot_be_looked_at_is_not_hidden(tmp_path: Path) -> None:
    for name, day in (("old", 1), ("new", 10)):
        (tmp_path / name).write_bytes(b"x")
        written = datetime(2026, 11, day, tzinfo=UTC).timestamp()
        os.utime(tmp_path / name, (written, written))
    catalog = catalog_of(*(str(tmp_path / name) for name in ("old", "new", "gone")))
    selection = select_videos(
        ExtractConfig("catalog.csv", "out", since="2026-11-05"), catalog, pending_of(catalog, v0=1, v1=1, v2=1)
    )
    assert selection.catalog.table["video_id"].to_pylist() == ["v1", "v2"]
    assert selection.num_later == 1


@pytest.mark.parametrize("min_wanted", [1, 200])
def test_the_date_is_the_stores_whether_listed_or_asked_for(
    store_uri: str, monkeypatch: pytest.MonkeyPatch, min_wanted
) -> None:
    monkeypatch.setattr(listings, "MIN_WANTED", min_wanted)
    uris = [f"{store_uri}/in/{name}.mp4" for name in "ab"]
    before = datetime.now(UTC).replace(microsecond=0)
    for uri in uris:
        objects.put_object(uri, b"x")
    after = datetime.now(UTC)
    found = modified_at(pa.array([uris[0], None, f"{store_uri}/in/gone.mp4", uris[1], uris[0]])).to_pylist()
    assert found[1] is None
    assert found[2] is None
    assert all(before <= moment <= after for moment in (found[0], found[3], found[4]))


def test_poses_leave_a_share_of_the_time_budget_to_tagging() -> None:
    config = TagConfig("a", "b", max_hours=2.0)
    assert deadline(config, started=100.0) == 7300.0
    assert deadline(config, started=100.0, share=POSE_SHARE) == 100.0 + 0.9 * 7200
    assert deadline(TagConfig("a", "b"), started=100.0) == float("inf")


# --- when a night is red ---


@pytest.mark.parametrize(
    ("done_before", "quarantined_before", "statuses", "code"),
    [
        (70, 0, {"ok": 25, "quarantined": 5}, 0),
        (0, 0, {"ok": 70, "quarantined": 30}, 1),
        (70, 30, {}, 1),  # the run after that
        (70, 30, {"ok": 40}, 1),
        (70, 30, {"ok": 60}, 0),
        (9000, 30, {}, 0),
    ],
)
def test_a_run_is_red_for_as_long_as_too_much_of_the_catalog_is_in_quarantine(
    done_before, quarantined_before, statuses, code
) -> None:
    summary = RunManifest(
        "extract_poses",
        "run",
        {"max_failed_fraction": 0.2},
        FINGERPRINT,
        num_done_before=done_before,
        num_quarantined_before=quarantined_before,
    )
    if statuses:
        summary.add(ShardReport("s", True, statuses, (), 0, 0, 0.0, 0, "w"))
        summary.finish()
    assert exit_code(summary, ExtractConfig("a", "b", max_failed_fraction=0.2)) == code


# --- whole nights ---


@pytest.fixture(scope="module")
def local_ray():
    variables = {"PYTHONPATH": str(Path(__file__).parent)}
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        object_store_memory=100_000_000, logging_level="ERROR", runtime_env={"env_vars": variables},
    )  # fmt: skip
    yield
    ray.shutdown()


def posed(output: Path) -> list[str]:
    return read_whole(str(output), "videos")["video_id"].to_pylist()


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_limited_run_does_the_first_and_the_next_run_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog, output = write_clips(tmp_path, [1, 2, 3, 4, 5]), tmp_path / "out"
    assert tag(catalog, output, "--limit", "2") == 0
    assert posed(output) == ["clip-000", "clip-001"]
    assert "--limit or --since left 3 for another run" in capsys.readouterr().out
    assert tag(catalog, output, "--limit", "2") == 0
    assert posed(output) == ["clip-000", "clip-001", "clip-002", "clip-003"]
    assert read_whole(str(output), "tags")["video_id"].to_pylist() == posed(output)
    assert tag(catalog, output) == 0
    capsys.readouterr()
    assert tag(catalog, output, "--limit", "2") == 0
    assert "nothing to do: none of the 5 videos needs work" in capsys.readouterr().out


class ClockOf:
    """A clock that jumps by a day once the first keypoints are committed under `output`."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def monotonic(self) -> float:
        is_begun = any(objects.list_objects(f"{self._output}/keypoints/"))
        return time.monotonic() + (86_400 if is_begun else 0)


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_run_out_of_time_ends_well_and_the_next_night_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, output = write_clips(tmp_path, [1, 2, 3, 4, 5, 6]), tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("choreai.cluster.pool.time", ClockOf(output))
        assert extract(catalog, output, "--max-hours", "1", "--videos-per-shard", "1") == 0
    done = posed(output)
    assert done in (["clip-000", "clip-001"], ["clip-000", "clip-001", "clip-002"])  # one, and those in flight
    assert f"stopped at the deadline (--max-hours); {6 - len(done)} videos remain for the next run" in caplog.text
    caplog.clear()
    assert extract(catalog, output, "--max-hours", "1", "--videos-per-shard", "1") == 0
    assert "deadline" not in caplog.text
    assert len(posed(output)) == 6


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_run_that_could_not_even_begin_is_red(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    catalog, output = write_clips(tmp_path, [1, 2]), tmp_path / "out"
    assert tag(catalog, output, "--max-hours", "1e-9") == 1
    assert "nothing to do" not in capsys.readouterr().out
    assert "2 videos remain for the next run" in caplog.text
    assert "before a single video was processed" in caplog.text


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_run_after_a_red_one_is_red_until_something_is_done_about_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    catalog, output = write_clips(tmp_path, [1, 2, 3, 4]), tmp_path / "out"
    for number in (1, 2):
        (tmp_path / f"{number}.mp4").write_bytes(b"no video")
    assert tag(catalog, output) == 1
    for flags in ((), ("--limit", "1")):
        caplog.clear()
        assert tag(catalog, output, *flags) == 1
        assert "2 of the catalog's 4 videos are in quarantine" in caplog.text
    lines = catalog.read_text().splitlines()
    catalog.write_text("\n".join(line for line in lines if "clip-001" not in line and "clip-002" not in line))
    assert tag(catalog, output) == 0


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_video_whose_dancer_was_named_since_is_tagged_again_and_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog, output = write_clips(tmp_path, [1, 2, 3]), tmp_path / "out"
    assert tag(catalog, output) == 0
    video = find_in_tables("clip-001", str(output), FINGERPRINT)
    assert video is not None
    assert video.entry is not None
    store_dancers(
        str(output), video.rows, video.rows.track_ids[:1], video_id="clip-001", content_id=video.entry.content_id,
        pose_fingerprint=FINGERPRINT, size_wh=(64, 48), reviewer="Kim",
    )  # fmt: skip
    assert tag(catalog, output) == 0
    tagged = read_whole(str(output), "tags")["video_id"].to_pylist()
    assert sorted(tagged) == ["clip-000", "clip-001", "clip-001", "clip-002"]
    capsys.readouterr()
    assert tag(catalog, output) == 0
    assert "nothing to do: 3 of 3 videos are tagged" in capsys.readouterr().out
