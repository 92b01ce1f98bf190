"""Generated dances as files: a video of a body, a table of joints. Every file says that it is synthetic."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from choreai import __version__
from choreai.arrays import Float64Array
from choreai.errors import StorageError
from choreai.generate.plan import FRAMES_PER_SECOND, Plan
from choreai.storage.files import write_atomically

SYNTHETIC = b"choreai.synthetic"
SCHEMA = pa.schema(
    [
        pa.field("dance_id", pa.string(), nullable=False),
        pa.field("style", pa.string(), nullable=False),
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("pts_seconds", pa.float64(), nullable=False),
        pa.field("beat", pa.float64(), nullable=False),
        pa.field("joints_xyz", pa.list_(pa.float32(), 51), nullable=False),
    ]
)
"""`beat` is the time in beats of the music, `joints_xyz` the COCO-17 joints' x, y, z in metres: x to the right of the
screen, y up from the floor, z towards the viewer."""


def describe_origin(plan: Plan, number: int, trained_on: dict[str, Any]) -> str:
    """Return what a file says of where it comes from, as JSON: it is synthetic, and how to make it again."""
    return json.dumps(
        {
            "synthetic": True,
            "made_by": f"choreai {__version__} generate",
            "styles": plan.styles,
            "seconds": plan.seconds,
            "seed": plan.seed,
            "number": number,
            "guidance": plan.guidance,
            "steps": plan.num_steps,
            "generator": trained_on,
        },
        sort_keys=True,
    )


def write_joints(path: Path, joints_xyz: Float64Array, plan: Plan, *, dance_id: str, origin: str) -> None:
    """Write joints (F, 17, 3) as a Parquet table. Raises StorageError if it cannot be written.

    Neither `choreai extract` nor `choreai train` reads it: a made-up dance is no example of a style.
    """
    num_frames = len(joints_xyz)
    flat = pa.array(joints_xyz.astype(np.float32).reshape(-1))
    table = pa.table(
        [
            pa.array([dance_id] * num_frames),
            pa.array(plan.style_of_frame()),
            pa.array(np.arange(num_frames, dtype=np.int32)),
            pa.array(np.arange(num_frames) / FRAMES_PER_SECOND),
            pa.array(plan.beat_of_frame()),
            pa.FixedSizeListArray.from_arrays(flat, 51),
        ],
        schema=SCHEMA.with_metadata({SYNTHETIC: b"true", b"choreai.origin": origin.encode()}),
    )
    try:
        with write_atomically(path) as temporary:
            pq.write_table(table, temporary)
    except OSError as exc:
        raise StorageError(str(path), f"the table cannot be written ({exc})") from exc
