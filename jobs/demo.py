"""demo: the whole flow on dancers it makes itself, for no video may be shipped with the project.

    choreai demo --output demo-output

Synthetic dancers -> catalog -> poses -> style model -> tags of dancers that training never saw -> a picture.
"""

import argparse
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from choreai import annotate
from choreai.config import TagConfig, TrainConfig, load_config
from choreai.demo.dancers import STYLES, write_catalog
from choreai.store import tables
from choreai.store.catalog import Catalog
from choreai.style.evaluate import Metrics, evaluate
from choreai.style.examples import make_examples, read_windows
from choreai.style.training import TrainedStyle
from jobs import extract_poses, tag_catalog, train_style
from jobs.console import print_table, progress

logger = logging.getLogger(__name__)

TRAIN_PER_STYLE = 26
UNSEEN_PER_STYLE = 8
UNSEEN_SEED = 10_000
"""Unseen dancers come from other seeds: other bodies, clothes, tempi, cameras and sequences of moves."""
NUM_PROCESSES = 2
EXPECTED_ACCURACY = 0.85


def make_dancers(folder: Path, *, num_per_style: int, first_seed: int) -> str:
    """The catalog of newly made dancers in `folder`; those that are there already stay."""
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
    """video_id, label, style, score of each video, sorted by id."""
    tags = tables.read_all(
        output, "tags", model_version, tables.TAGS, columns=["video_id", "content_id", "style", "score"]
    )
    return labels.join(tags, keys=["video_id", "content_id"], join_type="inner").sort_by("video_id").to_pylist()


def evaluate_unseen(trained: TrainedStyle, catalogs: Sequence[Catalog], *, output: str, pose_id: str) -> Metrics:
    """The model and the give-aways, all learnt on the first catalog's dancers and judged on the second's."""
    train, unseen = (list(catalog.videos()) for catalog in catalogs)
    examples = make_examples(
        read_windows(output, pose_id, [*train, *unseen], trained.model.config.windows).windows,
        label_of={video.video_id: str(video.label) for video in [*train, *unseen]},
        labels=trained.model.config.labels,
        test_video_ids=frozenset(video.video_id for video in unseen),
    )
    return evaluate(trained.model, examples)


def print_result(tags: list[dict[str, object]], metrics: Metrics) -> float:
    """The share of unseen dancers tagged right; prints it beside what guessing and give-aways reach."""
    print_table(
        "unseen dancers",
        [(str(t["video_id"]), str(t["label"]), str(t["style"]), f"{t['score']:.2f}") for t in tags],
        header=("video", "dances", "tag", "score"),
    )
    accuracy = sum(tag["style"] == tag["label"] for tag in tags) / len(tags)
    print_table(
        "right of the unseen dancers",
        [
            ("LSTM", f"{accuracy:.3f}"),
            ("mean speed of each keypoint alone (logistic regression)", f"{metrics.mean_speed_accuracy:.3f}"),
            ("mean pose alone (logistic regression)", f"{metrics.mean_pose_accuracy:.3f}"),
            ("guessing", f"{metrics.majority_class_accuracy:.3f}"),
        ],
    )
    return accuracy


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    output = Path(arguments.output)
    tables_uri = str(output / "tables")
    print("These are synthetic dancers: the figures show that the flow works, not how it does on real dance.")
    seed = arguments.seed
    train_uri = make_dancers(output / "training", num_per_style=TRAIN_PER_STYLE, first_seed=seed)
    unseen_uri = make_dancers(output / "unseen", num_per_style=UNSEEN_PER_STYLE, first_seed=seed + UNSEEN_SEED)

    train_settings = {"training.seed": seed, "training.test_fraction": 0.15}
    train_config = load_config(TrainConfig, None, {"catalog": train_uri, "output": tables_uri, **train_settings})
    catalog = extract_poses.open_catalog(train_config)
    pose_id = extract_poses.pose_fingerprint(train_config)
    extract_poses.extract_poses(train_config, catalog, pose_id=pose_id)
    trained = train_style.train(train_config, catalog, pose_id=pose_id)

    tag_config = load_config(TagConfig, None, {"catalog": unseen_uri, "output": tables_uri, "model": trained.model_uri})
    unseen = extract_poses.open_catalog(tag_config)
    extract_poses.extract_poses(tag_config, unseen, pose_id=pose_id)
    tag_catalog.tag_catalog(tag_config, unseen, pose_id=pose_id)

    tags = read_tags(tables_uri, trained.model.model_version, unseen.table)
    metrics = evaluate_unseen(trained, (catalog, unseen), output=tables_uri, pose_id=pose_id)
    accuracy = print_result(tags, metrics)
    video = annotate.find_in_tables(str(tags[0]["video_id"]), tables_uri, pose_id)
    assert video is not None, "a tagged video is in the tables"
    picture = annotate.annotate(video, tag=annotate.describe_style(video.rows, trained.model), folder=output)
    print(f"annotated video: {picture.video}")
    print(f"contact sheet:   {picture.sheet}")
    print(f"plots and model: {trained.model_uri}")
    print(f"tables:          {tables_uri}")
    print(f"took {time.monotonic() - started:.0f} s; synthetic dancers, so try `choreai tag` on your own videos next")
    if accuracy < EXPECTED_ACCURACY:
        logger.error("expected at least %g; please report this with the table above", EXPECTED_ACCURACY)
        return 1
    return 0
