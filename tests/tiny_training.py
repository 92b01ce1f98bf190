"""The training command on tables that are there already: `python tests/tiny_training.py`, flags as the command has."""

import functools
import sys
from pathlib import Path

import pyarrow as pa
from moving_skeletons import FINGERPRINT, videos_of, write_videos
from tag_rows import video_row
from tiny_poses import TinyWorker

from choreai.cli import train
from choreai.cli.console import run_command
from choreai.cli.flags import train_parser
from choreai.pose.settings import PoseSettings
from choreai.tables import schemas
from choreai.tables.parts import part_uri, write_part

SETTINGS = """
[training]
augment = false
network = "report"
hidden_size = 24
patience_epochs = 0
batch_size = 8
num_folds = 3
checkpoint_every_epochs = 5
windows = {num_steps = 40, window_seconds = 4.0, stride_seconds = 1.0}
"""


class SkeletonWorker(TinyWorker):
    """Has the poses that `moving_skeletons` wrote."""

    @classmethod
    def fingerprint(cls, settings: PoseSettings) -> str:
        return FINGERPRINT


def write_training(folder: Path, *, num_epochs: int) -> list[str]:
    """Write a labelled catalog, a job file, and the tables of an extraction; return the command's arguments."""
    videos = videos_of(4)
    output = folder / "out"
    output.mkdir()
    write_videos(output, videos)
    for part, own in (("a", videos[::2]), ("b", videos[1::2])):
        rows = [video_row(v.video_id, content_id=v.content_id, uri=v.uri, shard_id=part) for v in own]
        table = pa.Table.from_pylist(rows, schema=schemas.VIDEOS)
        assert write_part(part_uri(str(output), "videos", FINGERPRINT, part), table, folder / f"scratch-{part}")
    lines = [f"{v.video_id},{v.uri},{v.content_id},{v.label},{v.group}" for v in videos]
    catalog = folder / "catalog.csv"
    catalog.write_text("\n".join(["video_id,uri,content_id,label,group", *lines]))
    config = folder / "job.toml"
    config.write_text(SETTINGS.replace("[training]", f"[training]\nnum_epochs = {num_epochs}"))
    return [str(catalog), "--output", str(output), "--config", str(config)]


if __name__ == "__main__":
    run = functools.partial(train.run, worker=SkeletonWorker)
    sys.exit(run_command(run, train_parser(None).parse_args()))
