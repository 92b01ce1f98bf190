"""A video that never ends, or eats its worker's memory, costs itself only."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
from drivers import ROOT, read_whole
from tiny_poses import ALLOCATES, FINGERPRINT, HANGS, STOPS, TinyWorker, write_clips

from choreai.catalog.catalog import read_catalog
from choreai.catalog.shards import PoseShard, pending_videos, plan_shards
from choreai.cluster.limits import VideoLimitError, VideoLimits
from choreai.config import ExtractConfig, WorkerSettings
from choreai.pipeline.extract import extract_poses
from choreai.pose.settings import PoseSettings
from choreai.tables.schemas import VIDEOS


def one_shard(catalog: Path) -> PoseShard:
    pending = pending_videos(read_catalog(str(catalog)), VIDEOS.empty_table(), retry_quarantined=False)
    (shard,) = plan_shards(pending.videos, videos_per_shard=8, pose_fingerprint=FINGERPRINT)
    return shard


def tiny_worker(output: Path, **limits: Any) -> TinyWorker:
    worker = TinyWorker(
        str(output), settings=PoseSettings(), pose_fingerprint=FINGERPRINT, run_id="run", limits=VideoLimits(**limits)
    )
    worker.setup()
    return worker


@pytest.fixture(scope="module")
def local_ray():
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        object_store_memory=100_000_000, logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},  # for the worker class
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(
    ("trouble", "minutes", "error_class", "words"),
    [
        (HANGS, 0.1, "TimeLimit", "time limit of 0.1 minutes"),
        (ALLOCATES, 2.0, "MemoryLimit", "memory limit of 0.25 GiB"),
    ],
)
def test_a_video_over_its_limit_is_quarantined_with_the_cause_and_the_shard_completes(
    tmp_path: Path, trouble, minutes, error_class, words
) -> None:
    catalog = write_clips(tmp_path, [1, 2, trouble, 4, 5])
    config = ExtractConfig(
        str(catalog), str(tmp_path / "out"), videos_per_shard=5,
        workers=WorkerSettings(num_workers=1, max_video_minutes=minutes, max_video_gib=0.25),
    )  # fmt: skip
    summary = extract_poses(config, read_catalog(config.catalog), pose_id=FINGERPRINT, worker=TinyWorker)
    assert dict(summary.statuses) == {"ok": 4, "quarantined": 1}
    assert summary.num_worker_deaths == 1  # the culprit was known: no second worker was spent on it
    bad = [row for row in read_whole(config.output, "videos").to_pylist() if row["status"] != "ok"]
    assert [(row["video_id"], row["stage"], row["error_class"]) for row in bad] == [("clip-002", "worker", error_class)]
    assert words in bad[0]["reason"]
    assert set(read_whole(config.output, "keypoints")["video_id"].to_pylist()) == {
        "clip-000", "clip-001", "clip-003", "clip-004",
    }  # fmt: skip


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_video_that_stops_its_worker_is_found_by_the_drivers_clock_and_the_shard_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("choreai.pipeline.execution.SILENCE_SECONDS", 1.0)
    catalog = write_clips(tmp_path, [1, 2, STOPS, 4, 5])
    config = ExtractConfig(
        str(catalog), str(tmp_path / "out"), videos_per_shard=5,
        workers=WorkerSettings(num_workers=1, max_video_minutes=0.05),
    )  # fmt: skip
    summary = extract_poses(config, read_catalog(config.catalog), pose_id=FINGERPRINT, worker=TinyWorker)
    assert dict(summary.statuses) == {"ok": 4, "quarantined": 1}
    # One for the shard of five, one for the video alone: by a clock for the whole shard, it would be three of each.
    assert summary.num_worker_deaths == 2
    bad = [row for row in read_whole(config.output, "videos").to_pylist() if row["status"] != "ok"]
    assert [(row["video_id"], row["error_class"]) for row in bad] == [("clip-002", "TimeLimit")]
    assert "did not answer" in bad[0]["reason"]
    assert "max_video_minutes" in bad[0]["reason"]


def test_limits_count_for_each_video_and_not_for_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_POSES_SECONDS", "0.05")  # 0.4 s a video
    catalog = write_clips(tmp_path, range(8))
    report = tiny_worker(tmp_path / "out", max_seconds=3.0).process(one_shard(catalog))
    assert (report.statuses, report.process_seconds > 3.0) == ({"ok": 8}, True)
    assert 3.0 < report.stages.pose < report.process_seconds
    assert min(report.stages.decode, report.stages.track, report.stages.write) > 0


def test_the_error_survives_the_trip_from_the_worker() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(VideoLimitError(3, "TimeLimit", "too slow")))
    assert (error.index, error.limit, str(error)) == (3, "TimeLimit", "too slow")


def test_code_that_keeps_pythons_lock_ends_its_process_with_a_traceback(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from choreai.cluster import limits
limits.STUCK_SECONDS = 1.0
from test_limits import one_shard, tiny_worker
from tiny_poses import KEEPS_THE_LOCK, write_clips
folder = Path({str(tmp_path)!r})
tiny_worker(folder / "out").process(one_shard(write_clips(folder, [1, KEEPS_THE_LOCK])))
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "Timeout (0:00:01)!" in ended.stderr
    assert "tiny_poses.py" in ended.stderr


@pytest.mark.parametrize("limits", [{"max_seconds": 0}, {"max_bytes": -1}])
def test_limits_that_no_video_could_keep_are_refused(limits) -> None:
    with pytest.raises(ValueError, match="positive"):
        VideoLimits(**limits)
