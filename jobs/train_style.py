"""train: the labelled videos of a catalog -> a style model with its test metrics and plots.

    choreai train CATALOG --output OUT
    ray job submit --working-dir . -- python jobs/train_style.py --config deploy/train.toml

Videos without poses get them first (as `choreai extract` does). Videos of one group never stand on both sides of
the train/test split. Started again with the same data and settings it resumes, or ends at once if it was done.
"""

import argparse
import logging
import sys
import warnings

from choreai.cluster.session import connect
from choreai.config import TrainConfig, load_config, train_parser
from choreai.errors import CatalogError, ChoreaiWarning
from choreai.store.catalog import Catalog, Video
from choreai.style.distributed import TrainResources
from choreai.style.split import find_labels, split_groups
from choreai.style.training import TrainedStyle, train_style
from jobs import extract_poses
from jobs.console import print_table, progress, run_command

logger = logging.getLogger(__name__)


def check_labels(config: TrainConfig, catalog: Catalog) -> None:
    """Nothing; raises what training would raise of labels and groups, before a night of poses and not after it."""
    labelled = labelled_videos(catalog)
    if not labelled:
        raise CatalogError(f"{catalog.uri}: no row has a `label`; add a column with the style of each video")
    settings = config.training
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChoreaiWarning)  # training itself will say it
        split_groups(
            labelled,
            find_labels(labelled, config.labels),
            seed=settings.seed,
            test_fraction=settings.test_fraction,
            when_one_group=settings.when_one_group,
        )


def labelled_videos(catalog: Catalog) -> list[Video]:
    return [video for video in catalog.videos() if video.label is not None]


def train(config: TrainConfig, catalog: Catalog, *, pose_id: str) -> TrainedStyle:
    """The model trained on the labelled videos' poses under `config.output`."""
    connect(config.ray_address)
    with progress("training", config.training.num_epochs) as steps:
        return train_style(
            labelled_videos(catalog),
            tables_uri=config.output,
            pose_fingerprint=pose_id,
            output_uri=config.output,
            settings=config.training,
            labels=config.labels,
            resources=TrainResources(
                num_workers=config.train_workers,
                num_cpus_per_worker=max(1, int(config.workers.num_cpus)),
                use_gpu=config.workers.num_gpus > 0,
            ),
            on_progress=lambda done: steps.advance(done.result.epoch - steps.done),
        )


def print_summary(trained: TrainedStyle) -> None:
    """Test figures beside what guessing and give-aways reach, and where everything lies."""
    metrics, data = trained.metrics, trained.data
    rows = [
        (label.label, str(label.num), f"{label.precision:.2f}", f"{label.recall:.2f}", f"{label.f1:.2f}")
        for label in metrics.videos.classes
    ]
    print_table(
        f"test videos, split by {data.split}",
        rows,
        header=("style", "videos", "precision", "recall", "F1"),
    )
    print_table(
        "train",
        [
            ("test accuracy, videos", f"{metrics.videos.accuracy:.3f}"),
            ("test accuracy, windows", f"{metrics.windows.accuracy:.3f}"),
            (f"always '{metrics.majority_class}'", f"{metrics.majority_class_accuracy:.3f}"),
            ("mean pose alone (logistic regression)", f"{metrics.mean_pose_accuracy:.3f}"),
            ("mean speed alone (logistic regression)", f"{metrics.mean_speed_accuracy:.3f}"),
            ("training accuracy, videos", f"{metrics.train_video_accuracy:.3f}"),
            ("videos to train on, to test on", f"{data.num_train_videos}, {data.num_test_videos}"),
            ("windows to train on, to test on", f"{data.num_train_windows}, {data.num_test_windows}"),
            ("videos without usable poses", str(data.num_without_keypoints + data.num_without_windows)),
            ("model and plots", trained.model_uri),
        ],
    )


def run(arguments: argparse.Namespace) -> int:
    settings = dict(vars(arguments))
    config = load_config(TrainConfig, settings.pop("config"), settings)
    catalog = extract_poses.open_catalog(config)
    check_labels(config, catalog)
    pose_id = extract_poses.pose_fingerprint(config)
    extracted = extract_poses.extract_poses(config, catalog, pose_id=pose_id)
    trained = train(config, catalog, pose_id=pose_id)
    print_summary(trained)
    return extract_poses.exit_code(extracted, config)


def main(argv: list[str] | None = None) -> int:
    return run_command(run, train_parser(None, __doc__ or "").parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
