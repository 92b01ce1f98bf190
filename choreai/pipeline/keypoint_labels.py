"""Labels for keypoints that came without videos: a table of names, the class numbers beside a text, or folders."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import pyarrow as pa

from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog
from choreai.config import TrainConfig
from choreai.errors import CatalogError, StorageError, TableError
from choreai.formats.keypoint_files import KeypointFile, holds_numbers
from choreai.formats.keypoint_text import read_text_labels
from choreai.pipeline.keypoints import GivenKeypoints
from choreai.style.training.labels import Label, read_labels
from choreai.style.training.split import some_names

logger = logging.getLogger(__name__)


def label_keypoints(given: GivenKeypoints, config: TrainConfig) -> tuple[TrainConfig, Catalog]:
    """Return the job's settings and the catalog of the keypoints, with the labels in it.

    They come from `labels_file`, a table or class numbers, else from the files of class numbers beside report-text,
    else from folders where `labels_from` says so. Raises CatalogError and TableError where there are none, or they do
    not fit the keypoints.
    """
    if config.labels_file is None and config.labels_from == "folders":
        return config, given.catalog
    labels = _labels(given, config)
    rows = given.catalog.table.to_pylist()
    for row in rows:
        if (found := labels.get(row["video_id"])) is not None:
            row["label"], row["group"] = found.label, found.group
    if missing := [str(row["video_id"]) for row in rows if row["label"] is None]:
        logger.warning("keypoints without a label, left out of training: %s", some_names(missing))
    catalog = Catalog(given.catalog.uri, pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA))
    return replace(config, labels_file=None), catalog


def _labels(given: GivenKeypoints, config: TrainConfig) -> Mapping[str, Label]:
    names = config.labels or None
    texts = {file.uri: file for file in given.files.values() if file.format == "report-text"}
    if config.labels_file is None:
        return _numbers(given, {uri: _twin_of(file) for uri, file in texts.items()} or _none(given), names)
    try:
        if not holds_numbers(config.labels_file):
            return _from_table(given, config.labels_file)
    except StorageError as exc:
        raise CatalogError(f"{config.labels_file}: cannot be read ({exc.reason}); check --labels") from exc
    if len(texts) != 1:
        raise CatalogError(
            f"{config.labels_file}: class numbers are for one file of text keypoints, but there are {len(texts)}; give "
            "a CSV of video_id and label, or name the labels of X_one.txt Y_one.txt and put them beside it"
        )
    return _numbers(given, dict.fromkeys(texts, config.labels_file), names)


def _none(given: GivenKeypoints) -> Mapping[str, str]:
    raise CatalogError(
        f"{given.catalog.uri}: keypoints without labels; give a CSV of video_id and label with --labels, or put them "
        'into a folder for each style (labels_from = "folders")'
    )


def _twin_of(file: KeypointFile) -> str:
    if file.labels_uri is None:
        raise CatalogError(
            f"{file.uri}: no file of labels beside it; give one class number a sequence with --labels, or name it like "
            "the samples, with a Y in front (X_train.txt, Y_train.txt)"
        )
    return file.labels_uri


def _numbers(given: GivenKeypoints, labels_of: Mapping[str, str], names: tuple[str, ...] | None) -> Mapping[str, Label]:
    """Return the labels of the sequences of each text, by the URI of its labels."""
    found: dict[str, Label] = {}
    for uri, labels_uri in labels_of.items():
        own = [video_id for video_id, file in given.files.items() if file.uri == uri]
        labels = read_text_labels(labels_uri, names)
        if len(labels) != len(own):
            raise TableError(
                f"{labels_uri}: {len(labels)} labels, but {uri} holds {len(own)} sequences; there must be one label "
                "per sequence, in the same order"
            )
        found |= {video_id: Label(label) for video_id, label in zip(own, labels, strict=True)}
    logger.warning(
        "text keypoints do not say who dances: sequences of one dancer may be both trained on and tested with, and the "
        "figures too good for others; a CSV of video_id, label and group with --labels tells them apart"
    )
    return found


def _from_table(given: GivenKeypoints, uri: str) -> Mapping[str, Label]:
    """Return the labels of a CSV; what it calls `dance.mp4` may be the keypoints `dance`."""
    labels = read_labels(uri)
    ids = list(given.files)
    without_ending = {str(PurePosixPath(name).with_suffix("")): name for name in labels if name}
    named = {video_id: video_id if video_id in labels else without_ending.get(video_id) for video_id in ids}
    found = {video_id: labels[name] for video_id, name in named.items() if name is not None}
    if not found and ids:
        raise CatalogError(
            f"{uri}: no video_id of it is one of the keypoints; it has {some_names(list(labels))}, they are "
            f"{some_names(ids)}; give the same names"
        )
    if unused := sorted(labels.keys() - set(named.values())):
        logger.warning("%s: labels without keypoints, left out: %s", uri, some_names(unused))
    return found
