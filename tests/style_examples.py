"""Labelled windows of moving skeletons, cut as training cuts them."""

from moving_skeletons import (
    STYLES,
    windows_of,
)

from choreai.catalog.catalog import Video
from choreai.motion.windows import WindowSettings
from choreai.style.examples import Examples
from choreai.style.training.dataset import Dataset
from choreai.style.training.split import divide_folds, find_labels

WINDOWS = WindowSettings(num_steps=40, window_seconds=4.0, stride_seconds=1.0)


def examples_of(videos: list[Video], *, num_folds: int = 4) -> Examples:
    folds = divide_folds(videos, find_labels(videos, ()), seed=0, num_folds=num_folds, when_one_group="error")
    return Dataset.from_windows(videos, STYLES, windows_of(videos, WINDOWS), folds).examples
