"""What a changed default costs: an output has poses of one estimator, and "auto" is another one now."""

from dataclasses import dataclass
from functools import partial

from choreai.catalog.catalog import Catalog
from choreai.catalog.shards import pending_videos
from choreai.cluster.pose_worker import PoseWorker
from choreai.config import ExtractConfig, TagConfig
from choreai.errors import ConfigError
from choreai.operations.capacity import hours_of_one_worker
from choreai.operations.rates import measured_rates
from choreai.pipeline.extract import find_pending, known_videos
from choreai.pose.choice import CROWD_FILES, candidates
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.tables.compact import list_versions
from choreai.tables.parts import read_consistently


@dataclass(frozen=True)
class PoseChange:
    """Videos that have poses by an estimator that "auto" no longer is."""

    before: PoseSettings
    """What makes the poses that are there."""
    now: PoseSettings
    num_videos: int
    hours: float | None
    """Of one worker; None where nothing was measured."""
    is_for_model: bool
    """Whether a model decides which poses are needed."""

    @property
    def text(self) -> str:
        """One line that says what is extracted again, what that costs, and which settings avoid it."""
        videos = "1 video" if self.num_videos == 1 else f"{self.num_videos:,} videos"
        cost = "" if self.hours is None else f", about {self.hours:.2g} hours of one worker"
        keeps = "and a model trained on them keep" if self.is_for_model else "keeps"
        return (
            f'estimator = "auto" is {self.now.estimator} here now, so {videos} with {self.before.estimator} poses must '
            f"be extracted again{cost}; {_toml(self.before)} in [pose] {keeps} the old poses"
        )


def find_pose_change(
    config: ExtractConfig,
    asked: PoseSettings,
    catalog: Catalog,
    *,
    pose_id: str,
    worker: type[PoseWorker] = PoseWorker,
) -> PoseChange | None:
    """Return what the catalog's videos lose where `asked` is "auto" and the output has poses by another candidate.

    `config` has the settled [pose] settings, whose fingerprint is `pose_id`. None where nothing is lost.
    """
    able = candidates(asked, read_file=objects.read_object)
    versions = set(list_versions(config.output, "videos")) - {pose_id}
    if len(able) == 1:
        return None
    for before in able if versions else []:
        try:
            version = worker.fingerprint(before)
        except ConfigError:  # MediaPipe is not installed, say: then its poses cannot be kept up either
            continue
        if version in versions:
            num_videos = read_consistently(partial(_num_again, config, catalog, pose_id=pose_id, version=version))
            if num_videos:
                hours = _hours(config, num_videos)
                return PoseChange(before, config.pose, num_videos, hours, isinstance(config, TagConfig))
    return None


def _num_again(config: ExtractConfig, catalog: Catalog, *, pose_id: str, version: str) -> int:
    """Return the number of videos without poses `pose_id` that have poses `version`."""
    pending = find_pending(config, catalog, pose_id=pose_id).videos.drop_columns("attempts")
    without_both = pending_videos(Catalog("", pending), known_videos(config.output, version), retry_quarantined=False)
    return pending.num_rows - without_both.videos.num_rows


def _hours(config: ExtractConfig, num_videos: int) -> float | None:
    try:
        return hours_of_one_worker(num_videos, measured_rates(config.output), estimator=config.pose.estimator)
    except ConfigError:
        return None


def _toml(settings: PoseSettings) -> str:
    files = {name: value for name in CROWD_FILES if (value := getattr(settings, name))}
    return ", ".join(f'{name} = "{value}"' for name, value in ({"estimator": settings.estimator} | files).items())
