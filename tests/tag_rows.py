"""Small tags and videos tables for tests, with rows that say only what a test is about."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from choreai.storage import objects
from choreai.tables import schemas
from choreai.tables.parts import part_uri

NIGHT = datetime(2026, 11, 1, 3, tzinfo=UTC)


def tag_row(
    video_id: str,
    style: str | None = "hiphop",
    score: float | None = 0.9,
    *,
    tempo: float | None = 100.0,
    night: int = 0,
    model: str = "lstm-a",
    **others: Any,
) -> dict[str, Any]:
    """A tags row, tagged `night` days after NIGHT; `kinematics` in `others` adds features."""
    kinematics = {"beats_per_minute": tempo, "beat_strength": 0.5, **others.pop("kinematics", {})}
    best = others.get("best_style", style)
    rest = round(1 - (score or 0), 6)
    return {
        "video_id": video_id,
        "uri": f"s3://videos/{video_id}.mp4",
        "content_id": "c1",
        "style": style,
        "best_style": style,
        "score": score,
        "unknown": style == "unknown",
        "reason": None,
        "distribution": [{"style": best, "score": score}, {"style": "other", "score": rest}] if score else [],
        "segments": [],
        "tracks": [],
        "windows": [],
        "kinematics": kinematics,
        "reasons": [],
        "pose_fingerprint": "fp1",
        "model_version": model,
        "run_id": f"run{night}",
        "tagged_at": NIGHT.replace(day=1 + night),
        **others,
    }


def video_row(video_id: str, *, status: str = "ok", duration: float = 10.0, **others: Any) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "uri": f"s3://videos/{video_id}.mp4",
        "content_id": "c1",
        "status": status,
        "attempts": 1,
        "width": 640,
        "height": 360,
        "frames_per_second": 30.0,
        "duration_seconds": duration,
        "num_frames_decoded": int(duration * 30),
        "num_frames_sampled": int(duration * 8),
        "num_decode_errors": 0,
        "num_tracks": 1,
        "num_rows": int(duration * 8),
        "process_seconds": 2.0,
        "shard_id": "s1",
        "run_id": "run0",
        **others,
    }


def write_rows(root: str, table: str, version: str, part_id: str, rows: Sequence[dict[str, Any]]) -> str:
    """The URI of a part with these rows, put as the jobs put it."""
    schema = {"tags": schemas.TAGS, "videos": schemas.VIDEOS, "kinematics": schemas.KINEMATICS}[table]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), sink, compression="zstd")
    uri = part_uri(root, table, version, part_id)
    assert objects.put_if_absent(uri, sink.getvalue().to_pybytes())
    return uri


def write_tags(root: str, rows: Sequence[dict[str, Any]], *, part_id: str = "0") -> None:
    """A tags part for each model among the rows."""
    for model in sorted({row["model_version"] for row in rows}):
        write_rows(root, "tags", model, part_id, [row for row in rows if row["model_version"] == model])


def write_lines(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)
