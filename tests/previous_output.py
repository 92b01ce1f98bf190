"""An output folder as choreai 0.1.0 wrote it, before the redesign: tables, a demo model, tags and one correction.

Made by `choreai tag` of four generated dancers with the demo's model, and `choreai review --import`, at commit 0f1bb0f.
"""

import shutil
from pathlib import Path

WRITTEN = Path(__file__).parent / "golden" / "output_of_0_1_0"
MODEL_VERSION = "lstm-20dd8053441e"
FINGERPRINT = "3cec098405ea40cd"
VIDEO_IDS = ("afrobeat-10000", "classical-10000", "hiphop-10000", "hiphop-10001")
CORRECTED = "hiphop-10001"
"""A person said it is afrobeat."""
MODEL = WRITTEN / "models" / MODEL_VERSION


def copy_output(folder: Path) -> Path:
    """Copy it to `folder`/out, to be written to."""
    return Path(shutil.copytree(WRITTEN, folder / "out"))
