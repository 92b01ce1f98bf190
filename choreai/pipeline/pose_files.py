"""The pose networks' files before a run: settled on the driver, and put where every worker can read them."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from choreai.config import ExtractConfig
from choreai.pose.choice import KINDS, settle
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.weights.cache import default_folder

ConfigT = TypeVar("ConfigT", bound=ExtractConfig)
FOLDER = "weights"


def settle_poses(config: ConfigT) -> ConfigT:
    """Return the job's settings with an estimator in place of "auto" and files in place of names of weights.

    Raises WeightsError and ConfigError where they cannot be had, before a cluster does any work.
    """
    return replace(config, pose=settle(config.pose, read_file=objects.read_object))


def share_weights(settings: PoseSettings, output: str) -> PoseSettings:
    """Return settings that name copies under `output` of the files that lie in this machine's cache of weights.

    Workers on other nodes have no such cache, but all of them write to `output`. The copies are named by their hash
    and written once. Files that the settings named by path or URI are taken to be readable everywhere.
    """
    return settings.with_files({setting: _share(getattr(settings, setting), output) for setting in KINDS})


def _share(file: str, output: str) -> str:
    if not file or "://" in file or Path(file).parent != default_folder():
        return file
    uri = objects.join_uri(output, f"{FOLDER}/{Path(file).name}")
    if objects.stat_object(uri) is None:
        objects.put_if_absent(uri, Path(file))
    return uri
