"""Sequences with a ground truth and tracking results: which files belong together, and their boxes.

A ground truth is one gt.txt, a folder of MOT text files named by sequence, or the tree of MOT17 and DanceTrack
(`SEQUENCE/gt/gt.txt` and `SEQUENCE/seqinfo.ini`). Results are MOT text or what `choreai pose` wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from choreai.arrays import Int32Array, IntArray
from choreai.errors import ConfigError, TableError
from choreai.formats.mot import read_mot, read_num_frames, score_pedestrians_only
from choreai.natural_order import natural_key
from choreai.pose.tracking_scores import BoxTracks, TrackingScores, score_tracks
from choreai.tables.parts import read_part
from choreai.tables.schemas import KEYPOINTS, from_list_column

KEYPOINTS_FILE = "keypoints.parquet"
FRAMES_FILE = "frames.parquet"
"""The files that `choreai pose` writes; the second has the name of the image for each frame_index."""
NUM_NAMED = 3
"""Most names listed in an error."""


@dataclass(frozen=True)
class SequenceFiles:
    """The files of one sequence."""

    name: str
    truth: Path
    seqinfo: Path
    """May be missing."""
    result: Path


def find_sequences(truth: Path, result: Path, *, only: Sequence[str] = ()) -> list[SequenceFiles]:
    """Return the sequences under `truth`, each with its result; only those named in `only` unless it is empty.

    Raises ConfigError if there is no ground truth, none for a name in `only`, or no result for a sequence.
    """
    truths = _find_truths(truth)
    if unknown := [name for name in only if name not in truths]:
        raise ConfigError(f"{truth}: no sequences {', '.join(unknown)}; there are {_some(list(truths))}")
    wanted = {name: found for name, found in truths.items() if name in only or not only}
    results = {name: _find_result(result, name, is_only=len(truths) == 1) for name in wanted}
    if missing := [name for name, found in results.items() if found is None]:
        raise ConfigError(
            f"{result}: no result for {len(missing)} of {len(wanted)} sequences, {_some(missing)}; looked for "
            f"{missing[0]}.txt, {missing[0]}.parquet and {missing[0]}/{KEYPOINTS_FILE}. To score some "
            "sequences only, name them with --sequences"
        )
    return [
        SequenceFiles(name, found, found.parent.parent / "seqinfo.ini", path)
        for name, found in wanted.items()
        if (path := results[name]) is not None
    ]


def score_files(files: SequenceFiles, *, min_score: float = 0.0) -> TrackingScores:
    """Score one sequence by the rules of MOT Challenge; result boxes below `min_score` are discarded.

    Raises TableError for malformed contents, ConfigError and StorageError.
    """
    num_frames = read_num_frames(str(files.seqinfo))
    truth = read_mot(str(files.truth), num_frames=num_frames)
    result = read_result(files.result, num_frames=num_frames, min_score=min_score)
    return score_tracks(*score_pedestrians_only(truth, result))


def read_result(path: Path, *, num_frames: int | None = None, min_score: float = 0.0) -> BoxTracks:
    """Read the boxes of a result, MOT text or a keypoint table, with a score of `min_score` or more."""
    if path.suffix == ".parquet":
        return _read_keypoint_boxes(path, num_frames=num_frames, min_score=min_score)
    boxes = read_mot(str(path), num_frames=num_frames)
    return boxes.tracks().where(boxes.confidence >= min_score) if min_score > 0 else boxes.tracks()


def _find_truths(truth: Path) -> dict[str, Path]:
    """Return the ground truths by sequence name, in natural order."""
    if truth.is_file():
        is_in_tree = truth.name == "gt.txt" and truth.parent.name == "gt"
        return {truth.resolve().parent.parent.name if is_in_tree else truth.stem: truth}
    if not truth.is_dir():
        raise ConfigError(f"{truth}: no such file or folder")
    if (truth / "gt" / "gt.txt").is_file():
        return {truth.resolve().name: truth / "gt" / "gt.txt"}
    found = {path.parent.parent.name: path for path in truth.glob("*/gt/gt.txt")}
    found = found or {path.stem: path for path in truth.glob("*.txt")}
    if not found:
        raise ConfigError(
            f"{truth}: no ground truth; it must be a gt.txt, a folder of SEQUENCE/gt/gt.txt or one of SEQUENCE.txt"
        )
    return {name: found[name] for name in sorted(found, key=natural_key)}


def _find_result(result: Path, name: str, *, is_only: bool) -> Path | None:
    """Return the result of a sequence; if it is the only one, `result` may be the file itself, of any name."""
    if result.is_file():
        return result if is_only else None
    candidates = [result / f"{name}.txt", result / f"{name}.parquet", result / name / KEYPOINTS_FILE]
    if is_only:
        candidates.append(result / KEYPOINTS_FILE)
    return next((path for path in candidates if path.is_file()), None)


def _some(names: list[str]) -> str:
    return ", ".join(names[:NUM_NAMED]) + (", ..." if len(names) > NUM_NAMED else "")


def _read_keypoint_boxes(path: Path, *, num_frames: int | None, min_score: float) -> BoxTracks:
    columns = ["video_id", "frame_index", "track_id", "box_xyxy", "box_score"]
    table = read_part(str(path), KEYPOINTS, columns=columns)
    if len(videos := table["video_id"].unique()) > 1:
        raise TableError(f"{path}: {len(videos)} videos; a result is of one sequence, as `choreai pose` writes it")
    frame_index = table["frame_index"].to_numpy()
    frame = _frame_numbers(path.with_name(FRAMES_FILE), frame_index)
    if num_frames is not None and len(frame) and not 1 <= frame.min() <= frame.max() <= num_frames:
        raise TableError(
            f"{path}: frames {frame.min()} to {frame.max()}, but the sequence has frames 1 to {num_frames}; "
            "is it the result of another sequence?"
        )
    boxes = from_list_column(table["box_xyxy"]).astype(np.float64)
    tracks = BoxTracks(frame, table["track_id"].to_numpy().astype(np.int64), boxes)
    return tracks.where(table["box_score"].to_numpy() >= min_score)


def _frame_numbers(frames: Path, frame_index: Int32Array) -> IntArray:
    """Return MOT's frame numbers, from 1: from the names of the images (00000001.jpg), else frame_index + 1."""
    numbers = _numbers_by_index(frames) if frames.is_file() else {}
    if min(numbers.values(), default=0) < 1:
        return frame_index.astype(np.int64) + 1
    if unknown := set(frame_index.tolist()) - numbers.keys():
        raise TableError(f"{frames}: frame_index {min(unknown)} is missing; it is not of the same run")
    return np.array([numbers[index] for index in frame_index.tolist()], np.int64)


def _numbers_by_index(frames: Path) -> dict[int, int]:
    """Return the number in the name of the image, by frame_index."""
    try:
        table = pq.read_table(frames, columns=["frame_index", "image_id"])
    except (pa.ArrowException, OSError) as exc:
        raise TableError(f"{frames}: not a frames table of `choreai pose` ({exc}); run it again") from exc
    return dict(zip(table["frame_index"].to_pylist(), map(_number_in, table["image_id"].to_pylist()), strict=True))


def _number_in(image_id: str) -> int:
    """Return the number that an image is named, -1 for any other name."""
    stem = PurePosixPath(image_id).stem
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) < 19 else -1
