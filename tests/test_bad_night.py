"""A night over a bucket of 2,000 keys, of which 40 are bad in 40 ways: 1,960 tagged, 40 rows with reasons.

And a night over the 1,960 alone, for what the 40 cost: two minutes at most.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
from bad_objects import BadObject, bad_objects, clip_bytes
from drivers import read_whole
from nights import tag

pytestmark = [
    pytest.mark.ray,
    pytest.mark.s3,
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif("CHOREAI_SLOW" not in os.environ, reason="four minutes; set CHOREAI_SLOW=1"),
]
NUM_KEYS = int(os.environ.get("BAD_NIGHT_KEYS", "2000"))
MAX_COST_SECONDS = 120.0


@pytest.fixture
def local_ray(s3_server: str) -> Iterator[None]:
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000,
        logging_level="ERROR", runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture
def bucket(s3_client: Any, s3_uri: str, tmp_path: Path) -> tuple[str, list[BadObject]]:
    """The URI of a prefix with all keys, the good ones below `good/`, and those that are bad."""
    name = s3_uri.removeprefix("s3://")
    bad = bad_objects(tmp_path)
    clips = [clip_bytes(tmp_path, number, num_frames=24) for number in range(1, 9)]
    keys = [f"videos/good/{number:04d}.mp4" for number in range(NUM_KEYS - len(bad))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: s3_client.put_object(Bucket=name, Key=keys[at], Body=clips[at % 8]), range(len(keys))))
    for each in bad:
        s3_client.put_object(Bucket=name, Key=f"videos/{each.key}", Body=each.data, StorageClass=each.storage_class)
    return f"{s3_uri}/videos/", bad


@pytest.mark.usefixtures("local_ray")
def test_forty_bad_keys_are_forty_rows_and_the_others_are_tagged(bucket, s3_uri: str, tmp_path: Path) -> None:
    catalog, bad = bucket
    output = f"{s3_uri}/out"
    job = tmp_path / "job.toml"
    job.write_text("videos_per_shard = 40\n[workers]\nmax_video_minutes = 0.1\n")

    def night(of: str, to: str) -> float:
        started = time.monotonic()
        assert tag(of, to, "--config", str(job), "--num-workers", "2") == 0
        return time.monotonic() - started

    clean = night(f"{catalog}good/", f"{s3_uri}/clean")
    seconds = night(catalog, output)
    print(f"{NUM_KEYS - len(bad)} good keys in {clean:.0f} s, with {len(bad)} bad ones {seconds:.0f} s")
    assert seconds - clean <= MAX_COST_SECONDS
    videos = read_whole(output, "videos").to_pylist()
    assert len(videos) == NUM_KEYS
    rows = [row for row in videos if row["status"] == "quarantined"]
    assert len(rows) == len(bad)
    for row in rows:
        print(f"{row['video_id'][:60]!r}: {row['reason'][:120]}")
        assert row["reason"]
        assert row["error_class"]
        assert "abc" not in row["video_id"] + row["uri"] + row["reason"]
    for each in bad:
        assert any(each.words in row["reason"].lower() for row in rows), each
    assert len(read_whole(output, "tags")) == NUM_KEYS - len(bad)
    for share, code in ((0.5, 1), (1.5, 0)):  # of what is allowed
        allowed = f"{share * len(bad) / NUM_KEYS:.4f}"
        assert tag(catalog, output, "--config", str(job), "--max-failed-fraction", allowed) == code
