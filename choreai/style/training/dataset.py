"""The data set of a training: labelled videos and their keypoints in, windows in folds out."""

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from choreai.arrays import FloatArray
from choreai.catalog.catalog import Video
from choreai.errors import TableError
from choreai.motion.kinematics import FEATURES
from choreai.motion.named_dancers import NamedDancers
from choreai.motion.windows import Windows, WindowSettings
from choreai.style.examples import Examples, VideoExamples, make_examples, read_windows
from choreai.style.predictions import mean_by_video
from choreai.style.settings import TrainSettings
from choreai.style.training.split import Folds, divide_folds, find_labels, join_groups

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableSource:
    """The keypoint tables to train from."""

    tables_uri: str
    pose_fingerprint: str
    named: Mapping[str, NamedDancers] = field(default_factory=dict)
    """By video_id who dances, where a review says so."""
    copies: Sequence[Sequence[str]] = ()
    """Sets of video_ids of one performance."""

    def read_windows(self, videos: Sequence[Video], settings: WindowSettings) -> VideoExamples:
        """Return the windows of `videos`."""
        return read_windows(self.tables_uri, self.pose_fingerprint, videos, settings, named=self.named)


@dataclass(frozen=True)
class DataSummary:
    """What a model was trained and tested on."""

    split: str
    """How the videos were divided, e.g. `5 folds by group; locking by contiguous blocks`."""
    num_folds: int
    num_videos: int
    num_windows: int
    num_without_keypoints: int
    """Labelled videos left out: not extracted, not decodable, or nobody in view."""
    num_without_windows: int
    """Labelled videos left out: nobody in view for long enough."""
    num_rows_not_finite: int
    """Keypoint rows with coordinates that are not finite, taken as unseen."""
    copies: tuple[tuple[str, ...], ...] = ()
    """Videos of one performance, kept in one fold with their groups."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled videos with windows, each in its fold."""

    videos: tuple[Video, ...]
    """Sorted by video_id."""
    labels: tuple[str, ...]
    windows: Mapping[str, Windows]
    """By video_id, in the order of `videos`."""
    folds: Folds
    examples: Examples

    @classmethod
    def from_windows(
        cls, videos: Sequence[Video], labels: Sequence[str], windows: Mapping[str, Windows], folds: Folds
    ) -> "Dataset":
        """Return the data set of the videos that have windows."""
        by_id = {video.video_id: video for video in videos if video.video_id in windows}
        kept = {name: windows[name] for name in sorted(by_id)}
        examples = make_examples(
            kept,
            label_of={name: str(video.label) for name, video in by_id.items()},
            labels=labels,
            fold_of=folds.fold_of,
            group_of={name: video.group or name for name, video in by_id.items()},
        )
        return cls(tuple(by_id[name] for name in kept), tuple(labels), kept, folds, examples)


def read_dataset(
    videos: Sequence[Video], source: TableSource, *, settings: TrainSettings, labels: Sequence[str]
) -> tuple[Dataset, DataSummary]:
    """Return the windows of the labelled `videos`, in folds, and a summary. `labels` empty: those of the videos.

    Logs what was left out. Raises TableError where the videos cannot be trained on.
    """
    find_labels(videos, labels)  # before anything is read: most mistakes show here
    found = source.read_windows(videos, settings.windows)
    _log_missing(found, len(videos), source)
    copies = _among(source.copies, found.windows)
    usable = join_groups([video for video in videos if video.video_id in found.windows], copies)
    classes = find_labels(usable, labels)
    folds = divide_folds(
        usable,
        classes,
        seed=settings.seed,
        num_folds=settings.num_folds,
        when_one_group=settings.when_one_group,
        copies=copies,
    )
    dataset = Dataset.from_windows(usable, classes, found.windows, folds)
    summary = DataSummary(
        split=folds.description,
        num_folds=folds.num_folds,
        num_videos=len(dataset.videos),
        num_windows=len(dataset.examples),
        num_without_keypoints=found.num_without_keypoints,
        num_without_windows=found.num_without_windows,
        num_rows_not_finite=found.num_rows_not_finite,
        copies=copies,
    )
    return dataset, summary


def read_outliers(videos: Sequence[Video], source: TableSource, settings: TrainSettings) -> FloatArray:
    """Return the (O, K) mean kinematics of videos that nobody dances in, or another dance, in the order of their ids;
    of those that have windows."""
    windows = source.read_windows(videos, settings.windows).windows if videos else {}
    if len(windows) < len(videos):
        logger.warning("%d of %d outliers are left out: nobody in view for long enough, or no poses",
                       len(videos) - len(windows), len(videos))  # fmt: skip
    means = [
        mean_by_video(each.kinematic_features, np.zeros(len(each), np.int64), num_videos=1)[0]
        for each in windows.values()
    ]
    return np.array(means, np.float32).reshape(len(means), len(FEATURES))


def read_recut(dataset: Dataset, source: TableSource, settings: WindowSettings) -> Dataset:
    """Return the same videos in the same folds, cut by other settings; videos that then have no window are left out."""
    found = source.read_windows(dataset.videos, settings)
    return Dataset.from_windows(dataset.videos, dataset.labels, found.windows, dataset.folds)


def _among(copies: Sequence[Sequence[str]], names: Container[str]) -> tuple[tuple[str, ...], ...]:
    """Return the sets of copies, of those videos only that have windows."""
    present = (tuple(name for name in each if name in names) for each in copies)
    return tuple(each for each in present if len(each) > 1)


def _log_missing(found: VideoExamples, num_videos: int, source: TableSource) -> None:
    if not found.windows:
        raise TableError(
            f"{source.tables_uri}: no window of {num_videos} labelled videos in keypoints/{source.pose_fingerprint}: "
            f"{found.num_without_keypoints} without keypoints, {found.num_without_windows} with nobody "
            "in view for long enough; extract these videos with the same pose settings first"
        )
    if found.num_without_keypoints or found.num_without_windows or found.num_rows_not_finite:
        logger.warning(
            "left out of training: %d videos without keypoints, %d with nobody in view for long enough; "
            "%d rows with coordinates that are not finite were taken as unseen",
            found.num_without_keypoints,
            found.num_without_windows,
            found.num_rows_not_finite,
        )
    if found.num_named_not_found:
        logger.warning(
            "the dancers named by reviewers were not found again in %d videos; they were chosen by prominence",
            found.num_named_not_found,
        )
