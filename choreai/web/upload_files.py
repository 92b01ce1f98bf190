"""The files of one upload, in a folder of its own.

`status.json` holds its progress: once that is "done", all result files are complete; `tag.json` is there before. The
uploaded video itself is `upload`, which is deleted as soon as processing ends, successfully or not.
"""

import json
from pathlib import Path

from choreai.storage.files import write_atomically

UPLOAD_NAME = "upload"
STATUS_NAME = "status.json"
RESULT_NAMES = {
    "tag.json": "application/json",
    "keypoints.parquet": "application/vnd.apache.parquet",
    "annotated.mp4": "video/mp4",
    "sheet.png": "image/png",
    "movement.png": "image/png",
    "movement.svg": "image/svg+xml",
}
"""The files that can be downloaded once an upload is done, and their media types; no movement files without people."""


def write_status(folder: Path, *, state: str, name: str, progress: float = 0.0, detail: str | None = None) -> None:
    """Replace the upload's status atomically."""
    status = {"state": state, "name": name, "progress": progress, "detail": detail}
    with write_atomically(folder / STATUS_NAME) as temporary:
        temporary.write_text(json.dumps(status, ensure_ascii=False))
