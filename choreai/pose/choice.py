"""From what the settings ask for to what this machine has: names of weights to files, and "auto" to an estimator."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError
from choreai.pose.settings import PoseSettings, Preprocessing, ReadFile
from choreai.weights.resolve import (
    PREFIX,
    is_name,
    missing_weights,
    resolve_settings,
    shipped_catalogue,
    weights_path,
)

logger = logging.getLogger(__name__)

SETS = ("crowd-cpu", "crowd-small", "crowd-gpu")
"""Sets of weights that "auto" takes where the settings name no files: the first that is whole in the cache."""
KINDS = {"checkpoint": "pose", "detector_checkpoint": "detector", "reid_checkpoint": "re-id"}
"""The settings that may name weights, and of which kind."""
CROWD_FILES = ("detector_checkpoint", "checkpoint")


def settle(settings: PoseSettings, *, read_file: ReadFile) -> PoseSettings:
    """Return the settings with an estimator in place of "auto" and files in place of names of weights.

    Nothing is fetched unless `auto_fetch` asks for it. Raises WeightsError, with the command to run, where weights are
    missing, and ConfigError for unknown ones; "auto" instead becomes MediaPipe, and logs why.
    """
    return _name_files(_choose(settings, read_file) if settings.estimator == "auto" else settings)


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


def _choose(settings: PoseSettings, read_file: ReadFile) -> PoseSettings:
    """Crowd with the files that the settings name, or, where they name none, with those of a set; or MediaPipe."""
    given = {name: value for name in CROWD_FILES if (value := getattr(settings, name))}
    files = {**_files_of_set(_find_set()), **given}
    missing = [] if settings.auto_fetch else [name for name in CROWD_FILES if not _is_at_hand(files[name], read_file)]
    if not missing:
        return replace(settings.with_files(files), estimator="crowd")
    logger.warning(
        'estimator = "auto" is MediaPipe here, which sees one person per frame, because %s; for several people run '
        "`choreai weights fetch %s`, or name checkpoint and detector_checkpoint",
        " and ".join(f"{name} is missing ({files[name]})" for name in missing),
        _what_to_fetch(files, missing),
    )
    return replace(settings.with_files(dict.fromkeys(CROWD_FILES, "")), estimator="mediapipe")


def _find_set() -> str:
    """Return the first set that is whole in the cache, or the first of all."""
    return next((name for name in SETS if not missing_weights([name])), SETS[0])


def _files_of_set(name: str) -> dict[str, str]:
    setting_of_kind = {kind: setting for setting, kind in KINDS.items()}
    return {setting_of_kind[entry.kind]: PREFIX + entry.name for entry in shipped_catalogue().expand([name])}


def _is_at_hand(file: str, read_file: ReadFile) -> bool:
    if is_name(file):
        return weights_path(file.removeprefix(PREFIX)) is not None
    try:
        return bool(read_file(file))
    except (ObjectMissingError, ObjectUnusableError):
        return False


def _what_to_fetch(files: Mapping[str, str], missing: list[str]) -> str:
    names = [files[name].removeprefix(PREFIX) for name in missing if is_name(files[name])]
    return " ".join(names) if names and len(names) < len(CROWD_FILES) else SETS[0]
