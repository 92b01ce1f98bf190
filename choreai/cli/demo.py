"""demo: the whole flow on synthetic dancers, since no video is shipped with the project.

    choreai demo --output demo-output

Synthetic dancers -> catalog -> poses -> style model -> tags of dancers that training never saw -> a picture.
"""

import argparse
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from choreai.catalog.catalog import Catalog
from choreai.cli.console import print_table
from choreai.cluster.pose_worker import PoseWorker
from choreai.config import TagConfig, TrainConfig, load_config
from choreai.demo.dancers import STYLES, write_catalog
from choreai.pipeline import extract, tag, train
from choreai.pipeline.progress import progress
from choreai.pose.settings import PoseSettings
from choreai.style.evaluation import baselines
from choreai.style.examples import read_windows
from choreai.style.explain.annotated_video import annotate
from choreai.style.tagging import tag_sequence
from choreai.style.training.dataset import Dataset
from choreai.style.training.split import Folds
from choreai.style.training.training import TrainedStyle, predictions_of
from choreai.tables import schemas
from choreai.tables.parts import read_table
from choreai.tables.posed_video import find_in_tables

logger = logging.getLogger(__name__)

TRAIN_PER_STYLE = 26
UNSEEN_PER_STYLE = 8
UNSEEN_SEED = 10_000
"""Unseen dancers have other seeds, hence other bodies, clothes, tempi, cameras and sequences of moves."""
NUM_PROCESSES = 2
NUM_FOLDS = 3
POSE = {"pose.estimator": "mediapipe"}
"""One dancer at a time: the same poses, and the same time, whichever weights this machine has."""
EXPECTED_ACCURACY = 0.85


def make_dancers(folder: Path, *, num_per_style: int, first_seed: int) -> str:
    """Make dancers in `folder`, unless they are there already, and return the URI of their catalog."""
    with progress(f"making dancers in {folder.name}", num_per_style * len(STYLES)) as steps:
        return str(
            write_catalog(
                folder,
                num_per_style=num_per_style,
                first_seed=first_seed,
                num_processes=NUM_PROCESSES,
                on_clip=steps.advance,
            )
        )


def read_tags(output: str, model_version: str, labels: pa.Table) -> list[dict[str, object]]:
    """Return video_id, label, best_style, score and unknown of each video, sorted by id."""
    tags = read_table(
        output,
        "tags",
        model_version,
        schemas.TAGS,
        columns=["video_id", "content_id", "best_style", "score", "unknown"],
    )
    return labels.join(tags, keys=["video_id", "content_id"], join_type="inner").sort_by("video_id").to_pylist()


def baselines_on_unseen(
    trained: TrainedStyle, catalogs: Sequence[Catalog], *, output: str, pose_id: str
) -> dict[str, float]:
    """Return the accuracy of simple baselines, trained on the first catalog's dancers and tested on the second's."""
    train, unseen = (list(catalog.videos()) for catalog in catalogs)
    model = trained.model
    folds = Folds({v.video_id: fold for fold, part in enumerate((unseen, train)) for v in part}, 2, "unseen dancers")
    windows = read_windows(output, pose_id, [*train, *unseen], model.config.windows).windows
    dataset = Dataset.from_windows([*train, *unseen], model.config.labels, windows, folds)
    inputs = dataset.examples.inputs
    ours = predictions_of(dataset, model.window_log_scores(inputs))
    predictions = {
        "kinematics (logistic regression)": baselines.kinematic_regression(ours, inputs.kinematic_features),
        "mean speed of each keypoint alone (logistic regression)": baselines.mean_speed_regression(ours, inputs.steps),
        "mean pose alone (logistic regression)": baselines.mean_pose_regression(ours, inputs.steps),
        "guessing": baselines.majority(ours),
    }
    return {name: float(each.is_right[each.fold == 0].mean()) for name, each in predictions.items()}


def print_result(tags: list[dict[str, object]], accuracies: Mapping[str, float]) -> float:
    """Print the tags of the unseen dancers and the accuracy beside the baselines', and return the accuracy."""
    print_table(
        "unseen dancers",
        [
            (
                str(t["video_id"]),
                str(t["label"]),
                f"unknown ({t['best_style']}?)" if t["unknown"] else str(t["best_style"]),
                f"{t['score']:.2f}",
            )
            for t in tags
        ],
        header=("video", "dances", "tag", "score"),
    )
    accuracy = sum(tag["best_style"] == tag["label"] for tag in tags) / len(tags)
    shares = {
        "style model": accuracy,
        **accuracies,
        '(called "unknown")': sum(bool(t["unknown"]) for t in tags) / len(tags),
    }
    print_table("accuracy on unseen dancers", [(name, f"{share:.3f}") for name, share in shares.items()])
    return accuracy


def run(arguments: argparse.Namespace) -> int:
    """Run the demo, and return 1 if its accuracy is lower than expected, else 0."""
    started = time.monotonic()
    output = Path(arguments.output)
    tables_uri = str(output / "tables")
    print("These are synthetic dancers: the figures show that the flow works, not how well it does on real dance.")
    seed = arguments.seed
    pose_id = PoseWorker.fingerprint(PoseSettings())  # before minutes of work: it may not run here
    train_uri = make_dancers(output / "training", num_per_style=TRAIN_PER_STYLE, first_seed=seed)
    unseen_uri = make_dancers(output / "unseen", num_per_style=UNSEEN_PER_STYLE, first_seed=seed + UNSEEN_SEED)

    train_config = load_config(
        TrainConfig,
        None,
        {"catalog": train_uri, "output": tables_uri, "training.seed": seed, "training.num_folds": NUM_FOLDS, **POSE},
    )
    catalog = extract.open_catalog(train_config)
    extract.extract_poses(train_config, catalog, pose_id=pose_id)
    trained = train.train(train_config, train.find_labelled(train_config, catalog), pose_id=pose_id)

    wanted = {"catalog": unseen_uri, "output": tables_uri, "model": trained.model_uri, **POSE}
    tag_config = load_config(TagConfig, None, wanted)
    unseen = extract.open_catalog(tag_config)
    extract.extract_poses(tag_config, unseen, pose_id=pose_id)
    tag.tag_catalog(tag_config, unseen, pose_id=pose_id)

    tags = read_tags(tables_uri, trained.model.model_version, unseen.table)
    accuracy = print_result(tags, baselines_on_unseen(trained, (catalog, unseen), output=tables_uri, pose_id=pose_id))
    video = find_in_tables(str(tags[0]["video_id"]), tables_uri, pose_id)
    assert video is not None, "a tagged video is in the tables"
    picture = annotate(video, tag_sequence(video.rows, trained.model), folder=output)
    print(f"annotated video: {picture.video}")
    print(f"contact sheet:   {picture.sheet}")
    print(f"report and model: {trained.model_uri}/report.html")
    print(f"tables:          {tables_uri}")
    print(f"took {time.monotonic() - started:.0f} s; synthetic dancers, so try `choreai tag` on your own videos next")
    if accuracy < EXPECTED_ACCURACY:
        logger.error("expected at least %g; please report this with the table above", EXPECTED_ACCURACY)
        return 1
    return 0
