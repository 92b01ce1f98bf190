"""The training job: the labelled videos of a catalog -> a style model with its metrics and report.

Each network is tested on videos whose groups it never saw. Started again with the same data and settings, training
resumes, or ends at once if it was complete. `sweep` makes no model, but compares settings on Ray Tune.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import numpy as np

from choreai.catalog.catalog import Catalog, Video
from choreai.cluster.session import connect
from choreai.config import TrainConfig
from choreai.errors import CatalogError, ChoreaiWarning, ConfigError, TableError
from choreai.motion.named_dancers import NamedDancers
from choreai.pipeline.duplicates import copies_among
from choreai.pipeline.pace import Pace
from choreai.pipeline.progress import State, show_progress
from choreai.pipeline.songs import songs_among
from choreai.search.corrections import read_corrections, reviewed_as_none_of
from choreai.search.dancer_reviews import read_dancer_reviews
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.style.settings import TrainSettings, seed_settings
from choreai.style.taxonomy import check_parents
from choreai.style.training.dataset import TableSource
from choreai.style.training.distributed import Progress, TrainResources
from choreai.style.training.labels import labelled_videos
from choreai.style.training.left_out import groups_to_leave_out
from choreai.style.training.run_log import LogKind, RunLog, open_log
from choreai.style.training.split import Folds, divide_folds, find_labels, join_groups
from choreai.style.training.sweep import SweepKind, SweepResult, run_sweep
from choreai.style.training.training import Fit, TrainedStyle, train_style
from choreai.tables.runs import new_run_id

logger = logging.getLogger(__name__)


def find_labelled(config: TrainConfig, catalog: Catalog) -> list[Video]:
    """Return the videos to train on.

    Checks labels and folds as training will, so that their errors come before hours of extraction and not after.
    """
    labelled = labelled_videos(
        catalog,
        labels_from=config.labels_from,
        labels_file=config.labels_file,
        corrections=read_corrections(config.output),
    )
    classes = find_labels(labelled, config.labels)
    try:
        check_parents(classes, config.parents)
    except ValueError as exc:
        raise ConfigError(f"[parents]: {exc}") from exc
    _divide(labelled, classes, config.training)
    return labelled


def _divide(
    labelled: list[Video], labels: Sequence[str], settings: TrainSettings, copies: Sequence[Sequence[str]] = ()
) -> Folds:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChoreaiWarning)  # training itself will issue it
        return divide_folds(
            labelled,
            labels,
            seed=settings.seed,
            num_folds=settings.num_folds,
            when_one_group=settings.when_one_group,
            copies=copies,
        )


def find_copies(config: TrainConfig, labelled: list[Video], *, pose_id: str) -> list[tuple[str, ...]]:
    """Return which of the labelled videos show one performance, or share a song, where the settings want to know.

    None, with a warning, where they could not be kept in one fold each.
    """
    ids = [video.video_id for video in labelled]
    how = config.training.keep_copies_together
    copies = copies_among(config.output, pose_id, ids, by_movement=how is True) if how else []
    if config.music.keep_songs_together:
        copies = [*copies, *songs_among(config.output, ids)]
    try:
        _divide(labelled, find_labels(labelled, config.labels), config.training, copies)
    except TableError as exc:
        logger.warning("copies of one performance or song are not kept in one fold (%d groups): %s", len(copies), exc)
        return []
    return copies


def find_outliers(config: TrainConfig, catalog: Catalog, not_dance: Catalog | None) -> list[Video]:
    """Return what is given as none of the styles: the videos of `not_dance`, and those of `catalog` that reviewers
    called none of the styles, or by a name that is not among the labels of the settings.

    Raises CatalogError for a video that is given both as one of the styles and as none of them.
    """
    reviewed = reviewed_as_none_of(config.labels, catalog.videos(), read_corrections(config.output))
    given = list(not_dance.videos()) if not_dance is not None else []
    labelled = {video.video_id for video in catalog.videos() if video.label}
    if both := sorted(video.video_id for video in given if video.video_id in labelled):
        raise CatalogError(
            f"{config.not_dance}: {both[0]!r} has a label in {catalog.uri}, and is given as none of the styles here; "
            "remove it from one of them"
        )
    return list({video.video_id: video for video in [*reviewed, *given]}.values())


def named_dancers(config: TrainConfig, labelled: list[Video], *, pose_id: str) -> dict[str, NamedDancers]:
    """Return by video_id who dances in the labelled videos, where a review says so."""
    reviews = read_dancer_reviews(config.output, pose_fingerprint=pose_id)
    found = {video.video_id: reviews.get(video.video_id, video.content_id) for video in labelled}
    named = {video_id: dancers for video_id, dancers in found.items() if dancers is not None}
    if named:
        logger.info("the dancers of %d videos are those whom reviewers named", len(named))
    return named


def max_num_epochs(settings: TrainSettings, *, num_left_out: int = 0) -> int:
    """Return the maximum number of epochs of all networks, baselines and those without one of `num_left_out` sources
    included; early stopping may make it fewer."""
    trainings = [settings]
    if settings.compare_report_lstm:
        trainings.append(seed_settings(settings))
    if settings.leaky_split_too:
        trainings.append(settings)
    return sum(each.num_epochs * each.num_folds for each in trainings) + settings.num_epochs * num_left_out


def _num_left_out(config: TrainConfig, labelled: list[Video], copies: Sequence[Sequence[str]]) -> int:
    """Return for how many sources there will be a network without them."""
    settings = config.training
    if not settings.unseen_sources:
        return 0
    folds = _divide(labelled, find_labels(labelled, config.labels), settings, copies)
    labelled = join_groups(labelled, copies)
    return len(
        groups_to_leave_out(
            [str(video.label) for video in labelled],
            [video.group or video.video_id for video in labelled],
            np.array([folds.fold_of[video.video_id] for video in labelled]),
        )
    )


@dataclass
class EpochCount:
    """Adds up the epochs of consecutive trainings, each of which counts from 0."""

    total: int
    """At most."""
    show_state: Callable[[State], None]
    before: int = 0
    now: int = 0
    last: Progress | None = None
    num_trained: int = 0
    lengths: list[float] = field(default_factory=list)
    """Of each network that is done: its epochs as a share of what it could have had."""
    pace: Pace = field(default_factory=Pace)
    """Of the epochs that were trained, and not skipped by early stopping, from the first one's end on: Ray Train takes
    half a minute to begin."""

    def show(self, done: Progress) -> None:
        """Advance the progress to what `done` says."""
        if self.last is not None and done.result.member != self.last.result.member:
            self.lengths.append(self.last.result.epoch / self.last.num_epochs_each)
        if done.num_done < self.now:
            self.before += self.now
        self.now, self.last = done.num_done, done
        self.num_trained += 1
        self.pace.note(self.num_trained)
        rate, num_done = self.pace.rate, self.before + self.now
        self.show_state(
            State(
                done=num_done,
                count=f"{num_done} of at most {self.total} epochs",
                rate="" if rate is None else f"{60 * rate:.0f}/min",
                seconds_left=None if rate is None else self._epochs_left(done) / rate,
                is_bound=not self.lengths,
            )
        )

    def _epochs_left(self, done: Progress) -> float:
        """Return how many epochs are left: at most, until a network is done; from then on as many as those took."""
        share = sum(self.lengths) / len(self.lengths) if self.lengths else 1.0
        own = done.num_epochs_each - done.result.epoch
        others = max(0, self.total - self.before - self.now - own)
        return max(0.0, share * done.num_epochs_each - done.result.epoch) + share * others


def train(
    config: TrainConfig,
    labelled: list[Video],
    *,
    pose_id: str,
    outliers: Sequence[Video] = (),
    keypoints: Mapping[str, str] | None = None,
    has_videos: bool = True,
    fit: Fit | None = None,
    log: LogKind | None = None,
) -> TrainedStyle:
    """Train a style model on the labelled videos' poses under `config.output`.

    `outliers` are of none of the styles: what moves like them is not tagged.
    `keypoints` is what the model will say of their origin (`choreai.formats.origin`). Without `has_videos` there are
    no pictures, for the report. `fit` None: the networks are trained on Ray. `log`: where the epochs are logged too.
    """
    check_conditional_writes(config.output)
    copies = find_copies(config, labelled, pose_id=pose_id)
    num_epochs = max_num_epochs(config.training, num_left_out=_num_left_out(config, labelled, copies))
    with show_progress("training", num_epochs) as show:
        if fit is None:
            connect(config.ray_address)
        with _log_of(config, log) as run_log:
            return train_style(
                labelled,
                tables_uri=config.output,
                pose_fingerprint=pose_id,
                output_uri=config.output,
                settings=config.training,
                labels=config.labels,
                parents=config.parents,
                taxonomy_version=config.taxonomy_version,
                named=named_dancers(config, labelled, pose_id=pose_id),
                copies=copies,
                outliers=outliers,
                keypoints=keypoints,
                has_videos=has_videos,
                resources=TrainResources(
                    num_workers=config.train_workers,
                    min_workers=config.min_train_workers,
                    num_cpus_per_worker=max(1, int(config.workers.num_cpus)),
                    use_gpu=config.workers.num_gpus > 0,
                ),
                on_progress=EpochCount(num_epochs, show).show,
                fit=fit,
                log=run_log,
            )


@contextmanager
def _log_of(config: TrainConfig, kind: LogKind | None) -> Iterator[RunLog | None]:
    """Yield a log of this kind, which is told where the training ends early; None without one."""
    if kind is None:
        yield None
        return
    settings = {**asdict(config.training), "windows": config.training.windows.to_json()}
    log = open_log(kind, output=config.output, run_id=new_run_id(), settings=settings)
    logger.info("log of the training: %s", log.where)
    try:
        yield log
    except BaseException:
        log.fail()
        raise


def sweep(config: TrainConfig, labelled: list[Video], *, pose_id: str, kind: SweepKind) -> SweepResult:
    """Compare settings on the labelled videos' poses under `config.output`, and return the trials."""
    check_conditional_writes(config.output)
    connect(config.ray_address)
    return run_sweep(
        labelled,
        TableSource(
            config.output,
            pose_id,
            named_dancers(config, labelled, pose_id=pose_id),
            find_copies(config, labelled, pose_id=pose_id),
        ),
        kind=kind,
        settings=config.training,
        labels=config.labels,
        output_uri=config.output,
        use_gpu=config.workers.num_gpus > 0,
    )
