"""An output of a few videos with everything that names one of them, for tests of `choreai forget`."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tag_rows import tag_row, video_row

from choreai.search.corrections import store_reviews
from choreai.storage import objects
from choreai.tables import schemas, space_schemas
from choreai.tables.compact import COMPACTED_TABLES, list_versions
from choreai.tables.music import MUSIC
from choreai.tables.parts import current_parts, list_parts, part_uri, read_consistently, read_part, write_part
from choreai.tables.pose_parts import PosePartWriter, VideoRows
from choreai.video.frame import Frame

VICTIM = "clips/anna & bob.mp4"
NUM_VIDEOS, PER_SHARD, NUM_FRAMES = 12, 4, 6
OTHERS = [f"clips/other {n}.mp4" for n in range(1, NUM_VIDEOS)]
MODEL, POSES = "lstm-a", "fp1"
EVERYTHING = ("keypoints", "pictures", *COMPACTED_TABLES)


def make_output(root: str, scratch: Path) -> None:
    """Write the output of a night: 12 videos in shards of four, the victim in the second place of the first."""
    ids = [OTHERS[0], VICTIM, *OTHERS[1:]]
    for number in range(0, NUM_VIDEOS, PER_SHARD):
        _write_shard(root, f"{number:016x}", ids[number : number + PER_SHARD], scratch)
    _write_reviews(root, ids)
    _write_files(root, ids)


def uri_of(root: str, video_id: str) -> str:
    return objects.join_uri(root, "downloads", f"{_file_name(video_id)}.mp4")


def _file_name(video_id: str) -> str:
    return f"dance-{len(video_id)}-{sum(map(ord, video_id))}"


def _write_shard(root: str, shard_id: str, ids: list[str], scratch: Path) -> None:
    with PosePartWriter(root, shard_id=shard_id, pose_fingerprint=POSES, trace={"run_id": "r"}) as writer:
        for video_id in ids:
            rows = VideoRows(writer.scratch, video_id=video_id, content_id=f"c {video_id}")
            for frame in range(NUM_FRAMES):
                rows.add(
                    frame_index=frame,
                    pts_seconds=frame / 8,
                    track_ids=np.zeros(1, np.int32),
                    box_xyxy=np.zeros((1, 4), np.float32),
                    box_scores=np.ones(1, np.float32),
                    keypoints_xy=np.full((1, 17, 2), frame, np.float32),
                    keypoint_scores=np.ones((1, 17), np.float32),
                    keypoints_xyz=None,
                )
                rows.pictures.add(Frame(np.full((18, 32, 3), frame, np.uint8), frame, frame / 8))
                rows.shots.add(frame_index=frame, pts_seconds=frame / 8, shot_index=0, sample_seconds=0.125)
            record = video_row(video_id, uri=uri_of(root, video_id), content_id=f"c {video_id}")
            writer.add_video({name: value for name, value in record.items() if name != "shard_id"}, rows)
        writer.commit()
    tags = [tag_row(each, uri=uri_of(root, each), content_id=f"c {each}") for each in ids]
    _write(root, "tags", MODEL, shard_id, tags, schemas.TAGS, scratch)
    spans: list[dict[str, Any]] = [
        {"video_id": each, "content_id": f"c {each}", "track_id": 0, "start_seconds": 0.0, "stop_seconds": 1.0}
        for each in ids
    ]
    _write(root, "kinematics", POSES, shard_id, [{**each, "is_main": True, "run_id": "r"} for each in spans],
           schemas.KINEMATICS, scratch)  # fmt: skip
    made = {"embedding": [0.0] * 128, "pose_fingerprint": POSES, "model_version": MODEL, "shard_id": shard_id}
    _write(root, "embeddings", MODEL, shard_id, [{**each, **made} for each in spans], schemas.EMBEDDINGS, scratch)
    videos = [{"video_id": each, "uri": uri_of(root, each), "content_id": f"c {each}", "num_windows": 1, **made,
               "embedded_at": 0} for each in ids]  # fmt: skip
    _write(root, "video_embeddings", MODEL, shard_id, videos, schemas.VIDEO_EMBEDDINGS, scratch)
    lifted = {"pose_fingerprint": POSES, "lifter_version": "lifter-a", "shard_id": shard_id, "scale_source": "assumed"}
    poses = [{"video_id": each, "content_id": f"c {each}", "frame_index": 0, "pts_seconds": 0.0, "track_id": 0,
              "piece": 0, "keypoints_xyz": [0.0] * 51, "heading": 0.0, "root_height": 1.0, **lifted}
             for each in ids]  # fmt: skip
    _write(root, "poses3d", "3d", shard_id, poses, space_schemas.POSES3D, scratch)
    movement = [{"video_id": each, "uri": uri_of(root, each), "content_id": f"c {each}", "is_main": False,
                 "status": "ok", "num_poses": 1, "lifted_at": 0, **lifted} for each in ids]  # fmt: skip
    _write(root, "movement3d", "3d", shard_id, movement, space_schemas.MOVEMENT3D, scratch)
    heard = [{"video_id": each, "uri": uri_of(root, each), "content_id": f"c {each}", "status": "silent",
              "attempts": 1, "shard_id": shard_id, "run_id": "r"} for each in ids]  # fmt: skip
    _write(root, "music", "listened", shard_id, heard, MUSIC, scratch)


def _write(
    root: str, table: str, version: str, part_id: str, rows: list[dict[str, Any]], schema: pa.Schema, scratch: Path
) -> None:
    write_part(
        part_uri(root, table, version, part_id), pa.Table.from_pylist(rows, schema=schema), scratch / "part.parquet"
    )


def _write_reviews(root: str, ids: list[str]) -> None:
    said = {"style": "hiphop", "reviewer": "r", "reviewed_at": "2026-11-01", "note": None}
    blank = {"dancers": None, "content_id": None}
    store_reviews(root, [{"video_id": each, **said, **blank, "reviewed_at": 0} for each in ids])


def _write_files(root: str, ids: list[str]) -> None:
    manifest = {
        "job": "tag_catalog", "run_id": "20261101T000000Z-000000", "pose_fingerprint": POSES, "model_version": MODEL,
        "config": {"catalog": VICTIM, "output": root}, "started_at": "2026-11-01T00:00:00+00:00", "wall_seconds": 9.0,
        "statuses": {"ok": NUM_VIDEOS}, "num_failed": 0, "num_done_before": 0, "num_frames": 72, "busy_seconds": 1.0,
        "num_shards": 4, "num_worker_deaths": 0, "peak_memory_bytes": {},
        "problems": [[VICTIM, f"{uri_of(root, VICTIM)}: damaged"], [OTHERS[0], "damaged"]],
    }  # fmt: skip
    run, model = f"runs/{manifest['run_id']}", f"models/{MODEL}"
    escaped = VICTIM.replace("&", "&amp;")
    worst = "".join(
        f'<div class="video"><h3>{each}</h3>\n<div class="small">A person said</div>\n<img src="x" alt="{each}">\n'
        "</div>\n"
        for each in (escaped, OTHERS[0])
    )
    groups = "".join(f'<tr><td>{each}</td><td>a</td>\n<td class="n">1</td></tr>\n' for each in (escaped, OTHERS[0]))
    texts = {
        f"{run}/manifest.json": json.dumps(manifest),
        f"{run}/report.html": f"<td>{escaped}</td>",
        f"{model}/model.json": json.dumps({"config": {}, "created_at": "2026"}),
        f"{model}/metrics.json": json.dumps({"worst_videos": [{"video_id": each, "score": 1} for each in ids]}),
        f"{model}/report.html": f'<table>{groups}</table>\n<div class="videos">\n{worst}</div>\n',
        f"{model}/MODEL_CARD.md": f"# card\n| {VICTIM.replace('&', chr(92) + '&')} | 1 |\n| {OTHERS[0]} | 1 |\n",
        "found.csv": "video_id,style,score\r\n" + "".join(f'"{each}",hiphop,0.9\r\n' for each in ids),
        "found.jsonl": "".join(
            json.dumps(each) + "\n"
            for video_id in ids
            for each in ({"index": {"_id": video_id}}, {"video_id": video_id, "style": "a", "score": 1})
        ),
        "review.html": f"<h2>{escaped}</h2>",
        "training/t1/checkpoint": "weights",
    }
    for name, text in texts.items():
        objects.put_object(objects.join_uri(root, name), text.encode())
    of_training = pa.table({"video_id": ids, "group": ids})
    for name in (f"{model}/predictions.parquet", "training/t1/examples.parquet"):
        sink = pa.BufferOutputStream()
        pq.write_table(of_training, sink)
        objects.put_object(objects.join_uri(root, name), sink.getvalue().to_pybytes())
    for each in ids[:2]:
        objects.put_object(uri_of(root, each), b"video")


def rows_of(root: str, table: str) -> Counter[str]:
    """How many rows each video has in all versions of a table, as a reader of ours reads."""
    schema = {"keypoints": schemas.KEYPOINTS, "pictures": schemas.PICTURES, **COMPACTED_TABLES}[table]

    def read() -> Counter[str]:
        found = Counter[str]()
        for version in list_versions(root, table):
            whole = table == "keypoints"
            uris = list_parts(root, table, version) if whole else current_parts(root, table, version).uris
            for uri in uris:
                found.update(read_part(uri, schema, columns=["video_id"])["video_id"].to_pylist())
        return found

    return read_consistently(read)


def expected_rows(table: str, *, with_victim: bool = False) -> Counter[str]:
    num = NUM_FRAMES if table == "keypoints" else 1
    return Counter(dict.fromkeys([*OTHERS, *([VICTIM] if with_victim else [])], num))


def files_with(folder: Path, name: str) -> list[str]:
    """The files below a folder that have a name anywhere: in their bytes, in what their pages decode to, in footers."""
    escaped = name.replace("&", "&amp;")
    return [str(path) for path in _files(folder) if any(form in _content(path) for form in (name, escaped))]


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):  # hidden ones and those half written too
        yield from (Path(parent, name) for name in names)


def _content(path: Path) -> str:
    data = path.read_bytes()
    text = str(path) + data.decode("utf-8", "replace")
    if data[:4] == b"PAR1" == data[-4:]:
        file = pq.ParquetFile(path)
        text += str(file.metadata.metadata) + str(file.read().to_pylist())
    return text
