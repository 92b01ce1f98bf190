"""From what the settings ask for to what this machine has: names of weights to files, and "auto" to an estimator."""

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError, WeightsError
from choreai.pose.settings import PoseSettings, Preprocessing, ReadFile
from choreai.weights.resolve import (
    PREFIX,
    is_name,
    resolve_settings,
    shipped_catalogue,
    weights_path,
)

logger = logging.getLogger(__name__)

SETS = ("crowd-cpu", "crowd-small", "crowd-gpu")
"""Sets of weights that "auto" takes where the settings name no files: the first that is whole in the cache."""
KINDS = {"checkpoint": "pose", "detector_checkpoint": "detector", "reid_checkpoint": "re-id"}
"""The settings that may name weights, and of which kind."""
BLAZEPOSE_FILES = {
    "detector_checkpoint": ("blazepose-det", "modules/pose_detection/pose_detection.tflite"),
    "checkpoint": ("blazepose-full", "modules/pose_landmark/pose_landmark_full.tflite"),
}
"""Of estimator "blazepose": their names, and where they are in MediaPipe's package."""
CROWD_FILES = ("detector_checkpoint", "checkpoint")
_IN_PLACE_OF_CROWD = {
    "mediapipe": "MediaPipe, one person per frame",
    "blazepose": "BlazePose, which misses more of a crowd's dancers",
}


def settle(settings: PoseSettings, *, read_file: ReadFile) -> PoseSettings:
    """Return the settings with an estimator in place of "auto" and files in place of names of weights.

    Nothing is fetched unless `auto_fetch` asks for it. Raises WeightsError, with the command to run, where weights are
    missing, and ConfigError for unknown ones; "auto" instead becomes BlazePose or MediaPipe, and logs why.
    """
    chosen, *_ = candidates(settings, read_file=read_file)
    if settings.estimator == "auto" and chosen.estimator != "crowd":
        _tell_what_is_missing(_crowd(settings, SETS[0]), chosen.estimator, read_file)
    return _name_files(with_blazepose_files(chosen) if chosen.estimator == "blazepose" else chosen)


def with_blazepose_files(settings: PoseSettings) -> PoseSettings:
    """Return the settings with BlazePose's files where they name none: what was fetched, else those of a mediapipe."""
    package = _mediapipe_folder()
    files = {}
    for setting, (name, in_package) in BLAZEPOSE_FILES.items():
        is_in_package = package is not None and (package / in_package).is_file()
        use_package = is_in_package and weights_path(name) is None
        files[setting] = getattr(settings, setting) or (f"{package}/{in_package}" if use_package else PREFIX + name)
    return settings.with_files(files)


def _mediapipe_folder() -> Path | None:
    """Return the folder of an installed mediapipe, whichever version, without importing it."""
    spec = importlib.util.find_spec("mediapipe")
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def follow(
    settings: PoseSettings, pose_id: str, *, fingerprint: Callable[[PoseSettings], str], read_file: ReadFile
) -> PoseSettings:
    """Return the settings with the estimator whose poses are `pose_id` in place of "auto".

    Other settings, and "auto" where nothing at hand makes these poses, come back as they are. `fingerprint` returns the
    pose fingerprint of settings; it loads their networks.
    """
    able = candidates(settings, read_file=read_file)
    if len(able) == 1:  # no choice, and `settle` says why
        return settings
    found = next((each for each in able if _makes(each, pose_id, fingerprint)), settings)
    if found != able[0]:
        logger.info('estimator = "auto" is %s here, as these are the poses of the model\'s training', found.estimator)
    return found


def _makes(settings: PoseSettings, pose_id: str, fingerprint: Callable[[PoseSettings], str]) -> bool:
    try:
        return fingerprint(settings) == pose_id
    except (ConfigError, WeightsError):  # MediaPipe is not installed, say, or BlazePose not fetched
        return False


def candidates(settings: PoseSettings, *, read_file: ReadFile) -> list[PoseSettings]:
    """Return all that "auto" could be on this machine, the recommended first; settings that name an estimator, alone.

    Crowd with the files that the settings name, or, where they name none, with those of a set; BlazePose on LiteRT
    where its files were fetched, or MediaPipe is not installed; and MediaPipe. Weights keep their names.
    """
    if settings.estimator != "auto":
        return [settings]
    crowds = list(dict.fromkeys(_crowd(settings, name) for name in SETS))
    able = [each for each in crowds if not _missing(each, read_file)]
    if settings.auto_fetch and not able:
        able = crowds[:1]
    plain = settings.with_files(dict.fromkeys(CROWD_FILES, ""))
    mediapipe, has_mediapipe = replace(plain, estimator="mediapipe"), _mediapipe_folder() is not None
    if not importlib.util.find_spec("ai_edge_litert") or (has_mediapipe and not _has_fetched_blazepose()):
        return [*able, mediapipe]
    blazepose = replace(_without_alphapose(plain), estimator="blazepose", detect_every=1, device="cpu")
    return [*able, blazepose, mediapipe] if has_mediapipe else [*able, blazepose]


def _has_fetched_blazepose() -> bool:
    """Files in an installed mediapipe do not count: nobody who did not ask gets other poses than MediaPipe's."""
    return all(weights_path(name) for name, _ in BLAZEPOSE_FILES.values())


def _without_alphapose(settings: PoseSettings) -> PoseSettings:
    """What is for AlphaPose is ignored without files of its own, as MediaPipe does."""
    return replace(settings, min_box_area=0.0, flip=False, precision="fp32", compile=False)


def _crowd(settings: PoseSettings, set_name: str) -> PoseSettings:
    setting_of_kind = {kind: setting for setting, kind in KINDS.items()}
    files = {setting_of_kind[entry.kind]: PREFIX + entry.name for entry in shipped_catalogue().expand([set_name])}
    given = {name: value for name in CROWD_FILES if (value := getattr(settings, name))}
    return replace(_without_alphapose(settings).with_files(files | given), estimator="crowd")


def _missing(settings: PoseSettings, read_file: ReadFile) -> list[str]:
    return [name for name in CROWD_FILES if not _is_at_hand(getattr(settings, name), read_file)]


def _is_at_hand(file: str, read_file: ReadFile) -> bool:
    if is_name(file):
        return weights_path(file.removeprefix(PREFIX)) is not None
    try:
        return bool(read_file(file))
    except (ObjectMissingError, ObjectUnusableError):
        return False


def _tell_what_is_missing(crowd: PoseSettings, chosen: str, read_file: ReadFile) -> None:
    files = {name: getattr(crowd, name) for name in _missing(crowd, read_file)}
    names = [file.removeprefix(PREFIX) for file in files.values() if is_name(file)]
    logger.warning(
        "poses by %s: %s missing; `choreai weights fetch %s` gets %s",
        _IN_PLACE_OF_CROWD[chosen],
        " and ".join(f"{name} ({file.removeprefix(PREFIX)})" for name, file in files.items()),
        SETS[0] if len(names) != 1 else names[0],
        "what finds dancers in a crowd",
    )


def _name_files(settings: PoseSettings) -> PoseSettings:
    named = {setting: value for setting in KINDS if is_name(value := getattr(settings, setting))}
    for setting, value in named.items():
        entry = shipped_catalogue().find(value.removeprefix(PREFIX))
        if entry.kind != KINDS[setting]:
            raise ConfigError(f"{setting} = {value!r}: {entry.name} is of kind {entry.kind}, not {KINDS[setting]}")
    if "checkpoint" in named and settings.preprocessing == PoseSettings.preprocessing:
        word = shipped_catalogue().find(named["checkpoint"].removeprefix(PREFIX)).preprocessing
        settings = replace(settings, preprocessing=cast(Preprocessing, word))  # the catalogue has checked it
    return settings.with_files(resolve_settings(named, auto_fetch=settings.auto_fetch))
