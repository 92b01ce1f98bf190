"""The student report's experiment as a job: two text files of sequences with their labels -> figures and numbers."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import matplotlib
import numpy as np
import torch

from choreai import __version__
from choreai.arrays import FloatArray
from choreai.config import TrainConfig
from choreai.errors import ConfigError, TableError
from choreai.formats.keypoint_files import KeypointFile, find_keypoint_files
from choreai.formats.keypoint_text import read_keypoint_text
from choreai.formats.rows import keypoints_of
from choreai.motion.windows import NUM_FEATURES
from choreai.natural_order import natural_key
from choreai.pipeline.progress import progress
from choreai.storage import objects
from choreai.style.evaluation.plots import as_png, draw_counts
from choreai.style.training.fitting import DivergedError
from choreai.style.training.report_experiment import (
    Experiment,
    Sequences,
    report_settings,
    run_experiment,
)
from choreai.style.training.sweep import LEARNING_RATES, SweepResult, sweep_png
from choreai.style.versions import versions
from choreai.visualize.figures import STYLE

FOLDER = "report-experiment"
NEEDED = "X_train.txt and X_test.txt with 51 numbers a line, Y_train.txt and Y_test.txt with a class number a sequence"


@dataclass(frozen=True)
class FinishedExperiment:
    """The experiment and where its files are: experiment.json, learning_rate.png and confusion.png."""

    experiment: Experiment
    folder_uri: str
    seconds: float


def report_experiment(
    config: TrainConfig, *, learning_rate: float | None, num_epochs: int | None
) -> FinishedExperiment:
    """Run the experiment on the text keypoints in `config.keypoints.source`, and write what came of it.

    `learning_rate` None: it is studied; `num_epochs` None: as many as the report's steps. Raises ConfigError where the
    four files are not there or the loss does not stay finite, TableError for what is wrong in them.
    """
    started = time.monotonic()
    texts = _find(config)
    read = [_read(file, config) for file in texts]
    labels = config.labels or tuple(sorted({label for _, own in read for label in own}, key=natural_key))
    train, test = (_with_labels(samples, own, labels) for samples, own in read)
    if len(set(train.label_index)) < 2:
        raise TableError(f"{texts[0].labels_uri}: training needs two classes or more, but there is only {labels}")
    settings = report_settings(config.training, num_train=len(train), num_epochs=num_epochs)
    with progress("training", 1 if learning_rate else 1 + len(LEARNING_RATES)) as steps, _diverged_is_wrong_input():
        found = run_experiment(
            train,
            test,
            labels=labels,
            settings=settings,
            learning_rate=learning_rate,
            device=torch.device("cuda" if config.workers.num_gpus > 0 else "cpu"),
            on_training=lambda: steps.advance(1),
        )
    folder = objects.join_uri(config.output, FOLDER)
    numbers = {
        **_without_infinity(asdict(found)),
        "settings": asdict(replace(settings, learning_rate=found.learning_rate)),
        "versions": versions(),
    }
    about = {"written by": f"choreai {__version__}", "seed": str(settings.seed)}
    objects.put_object(objects.join_uri(folder, "experiment.json"), json.dumps(numbers, indent=2).encode())
    objects.put_object(objects.join_uri(folder, "confusion.png"), _confusion_png(found, about))
    if found.trials:
        study = SweepResult("learning-rate", found.trials, folder)
        objects.put_object(
            objects.join_uri(folder, "learning_rate.png"), sweep_png(study, what_of="sequences", about=about)
        )
    return FinishedExperiment(found, folder, time.monotonic() - started)


def _find(config: TrainConfig) -> tuple[KeypointFile, KeypointFile]:
    """Return the text of the training and of the test sequences."""
    files = [
        file
        for file in find_keypoint_files(config.keypoints.source, but=[config.output])
        if file.format == "report-text"
    ]
    by_role = {
        role: [file for file in files if role in PurePosixPath(file.uri).name.lower()] for role in ("train", "test")
    }
    if any(len(found) != 1 or found[0].labels_uri is None for found in by_role.values()):
        names = ", ".join(PurePosixPath(file.uri).name for file in files) or "no text keypoints"
        raise ConfigError(f"{config.keypoints.source}: the report's experiment needs {NEEDED}; found {names}")
    return by_role["train"][0], by_role["test"][0]


def _read(file: KeypointFile, config: TrainConfig) -> tuple[FloatArray, list[str]]:
    """Return (N, T, 51) samples as the file has them, and N labels."""
    num_lines = config.keypoints.sequence_lines
    read = read_keypoint_text(
        file.uri,
        file.labels_uri,
        frames_per_second=1.0,  # times play no part here
        class_names=config.labels or None,
        lines_per_sequence=num_lines,
    )
    return keypoints_of(read.keypoints).reshape(-1, num_lines, NUM_FEATURES), read.labels["label"].to_pylist()


def _with_labels(samples: FloatArray, own: Sequence[str], labels: Sequence[str]) -> Sequences:
    return Sequences(samples, np.array([labels.index(label) for label in own], np.int64))


@contextmanager
def _diverged_is_wrong_input() -> Iterator[None]:
    try:
        yield
    except DivergedError as exc:
        raise ConfigError(f"training diverged: {exc}") from exc


def _without_infinity(value: Any) -> Any:  # Any: JSON
    if isinstance(value, dict):
        return {name: _without_infinity(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _confusion_png(found: Experiment, about: Mapping[str, str]) -> bytes:
    with matplotlib.rc_context(STYLE):
        return as_png(draw_counts(found.confusion, found.labels), about=about)
