"""train --report-experiment: the student report's own split, network and study of the learning rate."""

import argparse
import logging

from choreai.cli.console import print_json, print_table
from choreai.cli.job import Job
from choreai.config import TrainConfig
from choreai.errors import ConfigError
from choreai.pipeline.report_experiment import FinishedExperiment, report_experiment

logger = logging.getLogger(__name__)

EXPECT = (
    "these figures are of the split as it is given: where sequences of one dancer or video stand on both sides, they "
    "say little of others"
)


def run_report_experiment(job: Job[TrainConfig], arguments: argparse.Namespace) -> int:
    """Run the experiment, print what came of it, and return the exit code."""
    given = vars(arguments)
    if not job.is_of_keypoints or given["sweep"]:
        raise ConfigError("--report-experiment needs --keypoints, and no --sweep: it has a study of its own")
    done = report_experiment(
        job.config, learning_rate=given["training.learning_rate"], num_epochs=given["training.num_epochs"]
    )
    if job.as_json:
        print_json(done)
    else:
        print_experiment(done)
    return 0


def print_experiment(done: FinishedExperiment) -> None:
    """Print the study, the figures of the test sequences and where the files are."""
    found = done.experiment
    if found.trials:
        print_table(
            "learning rate, judged by training sequences that were held out",
            [
                (
                    f"{trial.changes['learning_rate']:g}",
                    f"{trial.validation_loss:.3f}",
                    f"{trial.validation_accuracy:.3f}",
                    f"{trial.train_accuracy:.3f}",
                )
                for trial in found.trials
            ],
            header=("learning rate", "loss", "accuracy", "in training"),
        )
    print_table(
        f"{found.num_test} test sequences, by a network of {found.num_train} others",
        [
            (label, str(sum(row)), str(row[place]), *(str(count) for count in row))
            for place, (label, row) in enumerate(zip(found.labels, found.confusion, strict=True))
        ],
        header=("label", "sequences", "right", *found.labels),
    )
    low, high = found.accuracy_low, found.accuracy_high
    print(f"accuracy {found.accuracy:.3f} ({low:.3f} to {high:.3f}), mean F1 {found.macro_f1:.3f}, "
          f"guessing {found.guessing:.3f}; learning rate {found.learning_rate:g}, {found.num_epochs} epochs, "
          f"{done.seconds:.1f} s")  # fmt: skip
    if found.trials and max(trial.validation_accuracy for trial in found.trials) <= found.guessing:
        logger.warning("no learning rate does better than guessing; train longer, or on more sequences")
    print(EXPECT)
    print(f"figures and numbers: {done.folder_uri}")
