"""What `estimator = "auto"` means on this machine: crowd if its files are at hand, else MediaPipe."""

import logging
from dataclasses import replace
from typing import Literal

from choreai.errors import ObjectMissingError, ObjectUnusableError
from choreai.pose.settings import PoseSettings, ReadFile
from choreai.weights.cache import Cache, default_folder
from choreai.weights.catalogue import read_catalogue

logger = logging.getLogger(__name__)

WEIGHTS = "crowd-small"
"""The set of weights that is looked for in the cache where the settings name no files."""
_IN_CACHE = {"detector_checkpoint": "yolox_nano", "checkpoint": "rtmpose-t"}


def choose_estimator(settings: PoseSettings, *, read_file: ReadFile) -> PoseSettings:
    """Return the settings with "auto" replaced; never fetches anything. Other settings come back as they are.

    The files are those that the settings name, or, where they name none, those of `choreai weights fetch crowd-small`.
    Logs one line about what is missing.
    """
    if settings.estimator != "auto":
        return settings
    files = {setting: getattr(settings, setting) or _cached(name) for setting, name in _IN_CACHE.items()}
    missing = [setting for setting, path in files.items() if not _is_at_hand(path, read_file)]
    if not missing:
        return _with(settings, "crowd", files)
    logger.warning(
        'estimator = "auto" is MediaPipe here, which sees one person per frame, because %s; for several people run '
        "`choreai weights fetch %s`, or name checkpoint and detector_checkpoint",
        " and ".join(f"{setting} is missing ({files[setting] or 'not named'})" for setting in missing),
        WEIGHTS,
    )
    return _with(settings, "mediapipe", dict.fromkeys(files, ""))


def _with(settings: PoseSettings, estimator: Literal["crowd", "mediapipe"], files: dict[str, str]) -> PoseSettings:
    network, detector = files["checkpoint"], files["detector_checkpoint"]
    return replace(settings, estimator=estimator, checkpoint=network, detector_checkpoint=detector)


def _cached(name: str) -> str:
    """Return the path of these weights in the cache, "" if they were never fetched."""
    return str(Cache(default_folder()).find(read_catalogue().find(name)) or "")


def _is_at_hand(path: str, read_file: ReadFile) -> bool:
    try:
        return bool(path) and bool(read_file(path))
    except (ObjectMissingError, ObjectUnusableError):
        return False
