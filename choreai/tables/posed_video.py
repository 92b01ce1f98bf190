"""One video with its poses, looked up in the tables by id or URI."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from choreai.catalog.shards import latest_attempts
from choreai.errors import MediaError
from choreai.motion.sequence import KeypointSequence
from choreai.tables import schemas
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import part_uri, read_table
from choreai.video.quality import InputQuality


@dataclass(frozen=True)
class TableEntry:
    """What the tables call a video: to store a review of it."""

    video_id: str
    content_id: str
    pose_fingerprint: str
    size_wh: tuple[int, int] | None
    """Pixels of the upright picture; None where not known."""


@dataclass(frozen=True, eq=False)
class PosedVideo:
    """A video and its poses."""

    name: str
    uri: str
    rows: KeypointSequence
    entry: TableEntry | None = None
    """Its entry in the tables; None where it has none."""
    input_quality: tuple[str, ...] = ()
    """What is odd about the video as input, a sentence each."""
    has_video: bool = True
    """False: the tables were made of keypoints, and `uri` is their file."""


def find_in_tables(video: str, output: str, pose_id: str) -> PosedVideo | None:
    """Return the video with this id or URI and its poses, or None if the tables under `output` do not have it.

    Raises MediaError if it was quarantined.
    """
    columns = [name for name in schemas.VIDEOS.names if name not in ("error_class", "process_seconds", "run_id")]
    videos = latest_attempts(read_table(output, "videos", pose_id, schemas.VIDEOS, columns=columns))
    found = videos.filter(pc.or_(pc.equal(videos["video_id"], video), pc.equal(videos["uri"], video))).to_pylist()
    if not found:
        return None
    row = found[-1]
    if row["status"] == "quarantined":
        raise MediaError(row["uri"], f"quarantined at {row['stage']}: {row['reason']}")
    part = part_uri(output, "keypoints", pose_id, row["shard_id"])
    found_rows = dict(read_videos(part, {row["video_id"]: row["content_id"]}, with_others=True))
    rows = found_rows.get(row["video_id"], KeypointSequence.empty())
    size_wh = (row["width"], row["height"]) if row["width"] and row["height"] else None
    entry = TableEntry(row["video_id"], row["content_id"], pose_id, size_wh)
    quality = InputQuality.from_row(row)
    sentences = quality.sentences if quality is not None else ()
    has_video = row["num_frames_decoded"] > 0 or size_wh is not None
    return PosedVideo(Path(row["video_id"]).stem, row["uri"], rows, entry, sentences, has_video)
