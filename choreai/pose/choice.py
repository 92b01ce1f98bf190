"""What `estimator = "auto"` means on this machine: crowd if its files are at hand, else MediaPipe."""

import logging
from dataclasses import replace
from typing import Literal

from choreai.errors import ObjectMissingError, ObjectUnusableError
from choreai.pose.settings import PoseSettings, ReadFile
from choreai.weights.cache import Cache, default_folder
from choreai.weights.catalogue import read_catalogue

logger = logging.getLogger(__name__)

SETS = ("crowd-cpu", "crowd-small")
"""Sets of weights that are looked for in the cache where the settings name no files, the first that is whole."""
_SETTING_OF_KIND = {"detector": "detector_checkpoint", "pose": "checkpoint"}


def choose_estimator(settings: PoseSettings, *, read_file: ReadFile) -> PoseSettings:
    """Return the settings with "auto" replaced; never fetches anything. Other settings come back as they are.

    The files are those that the settings name, or, where they name none, those of a set in the cache of
    `choreai weights`. Logs one line about what is missing.
    """
    if settings.estimator != "auto":
        return settings
    found = (_find_set(name) for name in SETS)
    cached = next((files for files in found if all(files.values())), {})
    files = {setting: getattr(settings, setting) or cached.get(setting, "") for setting in _SETTING_OF_KIND.values()}
    missing = [setting for setting, path in files.items() if not _is_at_hand(path, read_file)]
    if not missing:
        return _with(settings, "crowd", files)
    logger.warning(
        'estimator = "auto" is MediaPipe here, which sees one person per frame, because %s; for several people run '
        "`choreai weights fetch %s`, or name checkpoint and detector_checkpoint",
        " and ".join(f"{setting} is missing ({files[setting] or 'not named'})" for setting in missing),
        SETS[-1],
    )
    return _with(settings, "mediapipe", dict.fromkeys(files, ""))


def _with(settings: PoseSettings, estimator: Literal["crowd", "mediapipe"], files: dict[str, str]) -> PoseSettings:
    network, detector = files["checkpoint"], files["detector_checkpoint"]
    return replace(settings, estimator=estimator, checkpoint=network, detector_checkpoint=detector)


def _find_set(name: str) -> dict[str, str]:
    """Return the cached files of a set by the setting that names them; "" for one that was never fetched."""
    cache = Cache(default_folder())
    entries = read_catalogue().expand([name])
    return {_SETTING_OF_KIND[entry.kind]: str(cache.find(entry) or "") for entry in entries}


def _is_at_hand(path: str, read_file: ReadFile) -> bool:
    try:
        return bool(path) and bool(read_file(path))
    except (ObjectMissingError, ObjectUnusableError):
        return False
