"""The files of one uploaded clip, in a folder of its own.

`status.json` says how far it is: who finds it "done" finds all others. The upload itself is `upload`, gone as soon as
the work ends, well or badly.
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
"""What is there to be fetched once a clip is done, and its media types; without people no movement."""


def write_status(folder: Path, *, state: str, name: str, progress: float = 0.0, detail: str | None = None) -> None:
    """Nothing; replaces the clip's status, which a reader sees whole or not at all."""
    status = {"state": state, "name": name, "progress": progress, "detail": detail}
    with write_atomically(folder / STATUS_NAME) as temporary:
        temporary.write_text(json.dumps(status, ensure_ascii=False))
