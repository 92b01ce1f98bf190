"""What millions of videos cost beside the work itself: `make scale`, or `python tests/scale.py plan diff list pool`.

    plan   a catalog of ten million rows, one per mille of it new, planned: at most 60 s and 2 GiB
    diff   two runs over a million videos, compared: at most 60 s and 2 GiB
    list   a bucket of a million keys, listed: memory does not grow with it
    pool   20,000 shards through the pool with workers that do nothing: at most 10 ms each, memory flat

Each part runs in a process of its own. Exit code 1 where a figure is missed.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from local_server import LocalServer, reply

GIB, MIB = 2**30, 2**20
NUM_VIDEOS, NEW_EVERY, CHUNK = 10_000_000, 1000, 500_000
NUM_COMPARED = 1_000_000
NUM_KEYS, KEYS_PER_PAGE = 1_000_000, 1000
NUM_SHARDS = 20_000
POSE_ID = "0123456789abcdef"


def write_catalog_and_tables(folder: Path) -> None:
    """A Parquet catalog, and a videos table in which every thousandth of its videos is missing."""
    from choreai.catalog.catalog import CATALOG_SCHEMA
    from choreai.tables import schemas

    (folder / "out" / "videos" / POSE_ID).mkdir(parents=True)
    (folder / "out" / "keypoints" / POSE_ID).mkdir(parents=True)
    with pq.ParquetWriter(folder / "catalog.parquet", CATALOG_SCHEMA) as writer:
        for start in range(0, NUM_VIDEOS, CHUNK):
            rows = _catalog_rows(start)
            writer.write_table(rows)
            known = rows.filter(pa.array(np.arange(start, start + CHUNK) % NEW_EVERY != 0))
            part = _videos_rows(known, schemas.VIDEOS)
            pq.write_table(part, folder / "out" / "videos" / POSE_ID / f"part-{start:016x}.parquet")
            (folder / "out" / "keypoints" / POSE_ID / "part-ok.parquet").touch()  # the shard of them all


def _catalog_rows(start: int) -> pa.Table:
    numbers = range(start, start + CHUNK)
    columns = {
        "video_id": [f"video-{n:08d}" for n in numbers],
        "uri": [f"s3://bucket/videos/{n % 1000:03d}/{n:08d}.mp4" for n in numbers],
        "label": [f"style-{n % 10}" for n in numbers],
        "group": [f"dancer-{n % 5000}" for n in numbers],
        "content_id": [f"{n * 2654435761 % 2**64:032x}" for n in numbers],  # as long as an ETag
    }
    return pa.table(columns)


def _videos_rows(known: pa.Table, schema: pa.Schema) -> pa.Table:
    zeros, num = {}, known.num_rows
    for field in schema:
        if field.name in known.column_names:
            zeros[field.name] = known[field.name]
        elif pa.types.is_string(field.type):
            zeros[field.name] = pa.array(["ok"] * num)
        else:
            zeros[field.name] = pa.array(np.ones(num), field.type, safe=False)
    return pa.table([zeros[name] for name in schema.names], schema=schema)


def plan(folder: Path) -> bool:
    from choreai.catalog.shards import pending_videos, plan_shards
    from choreai.config import ExtractConfig
    from choreai.pipeline import extract

    started = time.monotonic()
    config = ExtractConfig(str(folder / "catalog.parquet"), str(folder / "out"))
    catalog = extract.open_catalog(config)
    read_seconds = time.monotonic() - started
    known = extract.known_videos(config.output, POSE_ID)
    pending = pending_videos(catalog, known, retry_quarantined=False)
    num_shards = sum(1 for _ in plan_shards(pending.videos, videos_per_shard=8, pose_fingerprint=POSE_ID))
    seconds, peak = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert (len(catalog), pending.videos.num_rows) == (NUM_VIDEOS, NUM_VIDEOS // NEW_EVERY)
    assert (num_shards, pending.num_done) == (NUM_VIDEOS // NEW_EVERY // 8, NUM_VIDEOS - NUM_VIDEOS // NEW_EVERY)
    return _figures(
        f"plan: {NUM_VIDEOS:,} rows, {pending.videos.num_rows:,} new, {num_shards:,} shards "
        f"(catalog {read_seconds:.0f} s, processor {time.process_time():.0f} s)",
        {"seconds": (seconds, 60), "peak GiB": (peak / GIB, 2)},
    )


def write_two_runs(folder: Path) -> None:
    """Tags of two models, in two runs, over a million videos, and the videos tables of their two kinds of poses."""
    from choreai.tables import schemas
    from choreai.tables.runs import RunManifest

    for number, (model, poses) in enumerate((("lstm-a", "fp-a"), ("lstm-b", "fp-b")), start=1):
        run_id = f"2026110{number}T000000Z-000000"
        run = RunManifest("tag_catalog", run_id, {"pose": {"estimator": f"e{number}"}}, poses, model_version=model)
        run.wall_seconds = 1.0
        run.write(str(folder))
        for table, version, schema in (("tags", model, schemas.TAGS), ("videos", poses, schemas.VIDEOS)):
            (folder / table / version).mkdir(parents=True)
            for start in range(0, NUM_COMPARED, CHUNK // 10):
                rows = _run_rows(start, CHUNK // 10, schema, number=number, model=model, poses=poses, run_id=run_id)
                pq.write_table(rows, folder / table / version / f"part-{start:016x}.parquet", compression="zstd")


def _run_rows(start: int, num: int, schema: pa.Schema, *, number: int, model: str, poses: str, run_id: str) -> pa.Table:
    numbers = np.arange(start, start + num)
    score = ((numbers * (7 + number)) % 1000 / 1000).astype(np.float32)
    known = {
        "video_id": pa.array([f"videos/{n:08d}.mp4" for n in numbers]),
        "uri": pa.array([f"s3://bucket/videos/{n:08d}.mp4" for n in numbers]),
        "content_id": pa.array([f"{n * 2654435761 % 2**64:032x}" for n in numbers.tolist()]),
        "style": pa.array([f"style-{n % 10 if n % 50 else (n + number) % 10}" for n in numbers]),
        "status": pa.array(["ok" if n % 1000 != number else "quarantined" for n in numbers]),
        "score": pa.array(score),
    }
    same = {"pose_fingerprint": poses, "model_version": model, "run_id": run_id, "shard_id": "s", "unknown": False,
            "tagged_at": number, "attempts": 1}  # fmt: skip
    columns = []
    for column in schema:
        if column.name in known:
            columns.append(known[column.name].cast(column.type))
        elif column.name in same:
            columns.append(pa.repeat(pa.scalar(same[column.name]).cast(column.type), num))
        elif column.nullable:
            columns.append(pa.nulls(num, column.type))
        elif pa.types.is_list(column.type):
            columns.append(pa.array([[]] * num, column.type))
        else:
            columns.append(pa.repeat(pa.scalar(1).cast(column.type), num))
    return pa.table(columns, schema=schema)


def diff(folder: Path) -> bool:
    from choreai.operations.difference import compare

    started = time.monotonic()
    found = compare(str(folder), "20261101T000000Z-000000", "20261102T000000Z-000000", num_keypoints=0)
    seconds, peak = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert (found.num_before, found.num_now) == (NUM_COMPARED, NUM_COMPARED)
    return _figures(
        f"diff: two runs over {NUM_COMPARED:,} videos, {found.num_changed:,} of them changed",
        {"seconds": (seconds, 60), "peak GiB": (peak / GIB, 2)},
    )


def _list_page(request: BaseHTTPRequestHandler) -> None:
    """As much of S3 as a listing needs: pages of keys made up as they are asked for."""
    _, _, token = request.path.partition("continuation-token=")
    start = int(token.partition("&")[0] or 0)
    stop = start + KEYS_PER_PAGE
    more = f"<NextContinuationToken>{stop}</NextContinuationToken>" if stop < NUM_KEYS else ""
    keys = "".join(
        f"<Contents><Key>videos/{n:08d}.mp4</Key><Size>{n}</Size><ETag>&quot;{n:032x}&quot;</ETag></Contents>"
        for n in range(start, stop)
    )
    truncated = "true" if more else "false"
    body = f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{keys}</ListBucketResult>".encode()
    reply(request, 200, body, {"Content-Type": "application/xml"})


def list_bucket(_: Path) -> bool:
    import os

    from choreai.storage.objects import list_objects

    server = LocalServer(_list_page)
    os.environ |= {
        "AWS_ENDPOINT_URL": server.address, "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    started, process, early, num_bytes, count = time.monotonic(), psutil.Process(), 0, 0, 0
    for count, info in enumerate(list_objects("s3://bucket/videos/"), start=1):
        num_bytes += info.size
        if count == NUM_KEYS // 10:
            early = process.memory_info().rss
    assert (count, num_bytes) == (NUM_KEYS, NUM_KEYS * (NUM_KEYS - 1) // 2)
    grown = process.memory_info().rss - early
    return _figures(
        f"list: {count:,} keys in {time.monotonic() - started:.0f} s", {"MiB grown after a tenth": (grown / MIB, 16)}
    )


@dataclass(frozen=True)
class _Shard:
    shard_id: str


class _Idle:
    """A worker that does nothing."""

    def __init__(self, output: str) -> None:
        pass

    def setup(self) -> None:
        pass

    def process(self, shard: _Shard) -> str:
        return shard.shard_id


def pool(_: Path) -> bool:
    import os

    import ray

    from choreai.cluster.pool import WorkerPool, WorkerResources

    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=100_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )  # fmt: skip
    workers: WorkerPool[_Shard, str] = WorkerPool(
        _Idle, "", {}, num_workers=2, resources=WorkerResources(), narrow=lambda shard: [shard]
    )
    shards: Iterator[_Shard] = (_Shard(f"{n:016x}") for n in range(NUM_SHARDS))
    process, marks, seen = psutil.Process(), [], 0
    for seen, _report in enumerate(workers.run(shards), start=1):
        if seen % (NUM_SHARDS // 10) == 0:
            marks.append((time.monotonic(), process.memory_info().rss))
    assert seen == NUM_SHARDS
    (first_at, first_rss), (last_at, last_rss) = marks[0], marks[-1]
    ray.shutdown()
    return _figures(
        f"pool: {NUM_SHARDS:,} shards",
        {
            "ms a shard": (1000 * (last_at - first_at) / (0.9 * NUM_SHARDS), 10),
            "MiB grown after a tenth": ((last_rss - first_rss) / MIB, 16),
        },
    )


def _figures(what: str, figures: dict[str, tuple[float, float]]) -> bool:
    print(what, *(f"{name} {value:.1f} (at most {limit:g})" for name, (value, limit) in figures.items()), sep="; ")
    return all(value <= limit for value, limit in figures.values())


PARTS = {"plan": plan, "diff": diff, "list": list_bucket, "pool": pool}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help="plan, diff, list, pool (default: all)")
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)  # the process of one part
    arguments = parser.parse_args()
    if arguments.inside:
        return 0 if PARTS[arguments.parts[0]](Path(arguments.inside)) else 1
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        if "plan" in arguments.parts:
            write_catalog_and_tables(Path(folder))
        if "diff" in arguments.parts:
            write_two_runs(Path(folder))
        codes = [
            subprocess.run([sys.executable, __file__, part, "--inside", folder]).returncode for part in arguments.parts
        ]
    return 1 if any(codes) else 0


if __name__ == "__main__":
    sys.exit(main())
