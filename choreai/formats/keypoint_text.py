"""Read the keypoint text format (`report-text` on the command line) into keypoint tables, and write it from them.

Two files. One has a line per sample with 51 comma-separated numbers (x, y, score of each of the 17 COCO
keypoints), where every 100 lines are one sequence. The other has a line per sequence with its class, from 1.
It has neither videos nor times nor boxes.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from choreai.arrays import FloatArray
from choreai.errors import StorageError, TableError
from choreai.formats.glimpse import Glimpse
from choreai.formats.parquet_table import select_video
from choreai.formats.rows import ConvertedRows, keypoints_of
from choreai.formats.settings import ConvertSettings
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.storage.uris import shorten

NUM_COLUMNS = 3 * NUM_KEYPOINTS
LINES_PER_SEQUENCE = 100
SEQUENCES_PER_WRITE = 1000

LABELS = pa.schema([pa.field("video_id", pa.string()), pa.field("label", pa.string())])

_COLUMN_TYPES = {f"column {i}": pa.float32() for i in range(1, NUM_COLUMNS + 1)}
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class LabelledSequences:
    """The contents of the two files."""

    keypoints: pa.Table
    """`KEYPOINTS` schema; sequence n is the video "sequence-00000n", its samples are the frames 0 to 99."""
    labels: pa.Table
    """`LABELS` schema, one row per sequence; none if no labels were read."""


@dataclass(frozen=True)
class DroppedRows:
    """The end of a track that did not fill a sequence."""

    video_id: str
    track_id: int
    num_rows: int


def read_keypoint_text(
    x_uri: str,
    y_uri: str | None,
    *,
    frames_per_second: float,
    class_names: Sequence[str] | None = None,
    lines_per_sequence: int = LINES_PER_SEQUENCE,
) -> LabelledSequences:
    """Read the sequences of `x_uri` with their labels from `y_uri`; None: without labels.

    Label n becomes `class_names[n - 1]`, or without names the number itself as text. track_id is 0 and
    pts_seconds frame_index / `frames_per_second`; the box is drawn around the keypoints with a score above 0
    (all of them if none has), box_score is the mean keypoint score. content_id: "sha256-" and the hash of the
    sequence's float32 values, so it does not depend on the place of the sequence in the file.

    Raises TableError, naming file and line, if the files are not of this format or do not fit together, and
    StorageError.
    """
    if not 0 < frames_per_second < float("inf"):
        raise ValueError(f"frames_per_second must be a positive number, got {frames_per_second}")
    samples = _read_samples(x_uri)
    num_sequences, left_over = divmod(len(samples), lines_per_sequence)
    if left_over or not num_sequences:
        raise TableError(
            f"{x_uri}: {len(samples)} lines are not a whole number of sequences of {lines_per_sequence} lines: "
            f"{left_over} are left over after sequence {num_sequences}; complete or remove the last "
            "sequence, or say how many lines one has (--sequence-lines)"
        )
    labels = read_text_labels(y_uri, class_names) if y_uri is not None else []
    if y_uri is not None and len(labels) != num_sequences:
        raise TableError(
            f"{y_uri}: {len(labels)} labels, but {x_uri} holds {num_sequences} sequences of "
            f"{lines_per_sequence} lines; there must be one label per sequence, in the same order"
        )
    video_ids = [f"sequence-{number:06d}" for number in range(1, num_sequences + 1)]
    rows = _to_rows(samples, video_ids, lines_per_sequence)
    return LabelledSequences(
        keypoints=rows.to_table(frames_per_second=frames_per_second),
        labels=pa.table({"video_id": video_ids[: len(labels)], "label": labels}, schema=LABELS),
    )


def write_keypoint_text(
    table: pa.Table, x_uri: str, y_uri: str, *, labels: Mapping[str, str], class_names: Sequence[str]
) -> list[DroppedRows]:
    """Write the tracks of a keypoint table as sequences; return the ends of tracks that did not fill one.

    Each track is cut into blocks of 100 consecutive rows, whatever the time between them. `labels` maps video_id to
    label, and `class_names` numbers the labels from 1. Raises TableError, before anything is written, if a video
    has no label, a label is not among `class_names`, a keypoint is not finite or no track has 100 rows;
    StorageError if a file exists.
    """
    for uri in (x_uri, y_uri):
        if objects.stat_object(uri) is not None:
            raise StorageError(uri, "exists already; delete it or choose another name")
    table = table.sort_by([(name, "ascending") for name in ("video_id", "track_id", "frame_index")])
    classes = _class_numbers(table, labels, class_names)
    starts: list[int] = []
    lines: list[str] = []
    dropped: list[DroppedRows] = []
    for track in _tracks(table):
        num_sequences, left_over = divmod(track.num_rows, LINES_PER_SEQUENCE)
        starts += [track.start + i * LINES_PER_SEQUENCE for i in range(num_sequences)]
        lines += [f"{classes[track.video_id]}\n"] * num_sequences
        if left_over:
            dropped.append(DroppedRows(track.video_id, track.track_id, left_over))
    if not starts:
        raise TableError(
            f"{x_uri}: no track has the {LINES_PER_SEQUENCE} samples of a sequence; sample more frames per "
            "second, or give longer videos"
        )
    with scratch_folder() as folder:
        path = folder / "x.txt"
        _write_samples(table, starts, path)
        for uri, source in ((y_uri, "".join(lines).encode()), (x_uri, path)):
            if not objects.put_if_absent(uri, source):
                raise StorageError(uri, "was written by another process meanwhile; choose another name")
    return dropped


def is_keypoint_text(glimpse: Glimpse) -> bool:
    """Return whether the first line has 51 comma-separated numbers."""
    values = next((line for line in glimpse.lines if line.strip()), "").split(",")
    return len(values) == NUM_COLUMNS and all(_is_number(value) for value in values)


def read_labelled(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table; the labels are written to `settings.label_table` if that is given."""
    report_labels, rate = settings.report_labels, settings.rate_of(uri)
    assert report_labels is not None
    read = read_keypoint_text(uri, report_labels, frames_per_second=rate, class_names=settings.class_names)
    keypoints = select_video(read.keypoints, settings.video_id, uri)
    if settings.label_table is not None:
        _write_label_table(select_video(read.labels, settings.video_id, uri), settings.label_table)
    return keypoints


def write_labelled(table: pa.Table, uri: str, settings: ConvertSettings) -> tuple[tuple[str, ...], list[DroppedRows]]:
    """Write the tracks with the labels in `settings.label_table`; return the class names and what was dropped."""
    assert settings.label_table is not None
    assert settings.report_labels is not None
    labels = _read_label_table(settings.label_table)
    videos = set(table["video_id"].unique().to_pylist())
    class_names = settings.class_names or tuple(sorted({labels[video] for video in videos & labels.keys()}))
    dropped = write_keypoint_text(table, uri, settings.report_labels, labels=labels, class_names=class_names)
    return class_names, dropped


def _read_samples(uri: str) -> FloatArray:
    """Return (N, 51), one row per line that is not empty."""
    blocks: list[FloatArray] = []
    try:
        with (
            objects.open_object(uri) as file,
            pa.csv.open_csv(
                file,
                read_options=pa.csv.ReadOptions(column_names=list(_COLUMN_TYPES)),
                convert_options=pa.csv.ConvertOptions(
                    column_types=_COLUMN_TYPES, null_values=[], strings_can_be_null=False
                ),
            ) as batches,
        ):
            for batch in batches:
                blocks.append(np.stack([column.to_numpy() for column in batch.columns], axis=1))
    except pa.ArrowInvalid as exc:
        raise TableError(_find_first_fault(uri) or f"{uri}: {exc}") from exc
    samples = np.concatenate(blocks) if blocks else np.zeros((0, NUM_COLUMNS), np.float32)
    if not np.isfinite(samples).all():
        raise TableError(_find_first_fault(uri) or f"{uri}: NaN, infinity or a number beyond float32; remove it")
    return samples


def _find_first_fault(uri: str) -> str | None:
    """Describe the first wrong line of `uri`: Arrow reads fast, but does not say where it failed.

    Returns None if nothing wrong is found here.
    """
    for number, line in _text_lines(uri):
        values = line.split(",")
        if len(values) != NUM_COLUMNS:
            return (
                f"{uri}: line {number} has {len(values)} comma-separated values; it needs {NUM_COLUMNS} "
                f"({NUM_KEYPOINTS} keypoints x (x, y, score))"
            )
        for column, text in enumerate(values, start=1):
            try:
                value = float(text)
            except ValueError:
                value = None
            if value is None or not abs(value) <= _MAX_FLOAT32:
                problem = "not a number" if value is None else "not a finite float32"
                where = f"{uri}: line {number}, column {column}"
                return f"{where}: {shorten(text.strip())!r} is {problem}; correct it, or remove its sequence and label"
    return None


_MAX_DIGITS = 9
"""Of a label: far more than there are styles, and within every integer."""


def read_text_labels(uri: str, class_names: Sequence[str] | None) -> list[str]:
    """Return the labels of the sequences in order: `class_names`, or the numbers as text. Raises TableError."""
    labels: list[str] = []
    for number, line in _text_lines(uri):
        text = line.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS) or int(text) == 0:
            raise TableError(f"{uri}: line {number}: {shorten(text)!r} is not a label; labels are whole numbers from 1")
        if class_names is not None and int(text) > len(class_names):
            raise TableError(
                f"{uri}: line {number}: label {int(text)}, but there are only {len(class_names)} class names "
                f"({', '.join(class_names)}); give all names, in the labels' order"
            )
        labels.append(str(int(text)) if class_names is None else class_names[int(text) - 1])
    return labels


def _text_lines(uri: str) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text) of each line that is not empty."""
    with objects.open_object(uri) as file:
        for number, line in enumerate(file, start=1):
            text = line.decode("utf-8-sig", errors="replace").strip("\r\n")
            if text.strip():
                yield number, text


def _to_rows(samples: FloatArray, video_ids: list[str], num_lines: int) -> ConvertedRows:
    keypoints = samples.reshape(-1, NUM_KEYPOINTS, 3)
    sequences = samples.reshape(len(video_ids), -1)
    seen = keypoints[:, :, 2] > 0
    seen[~seen.any(axis=1)] = True
    xy = keypoints[:, :, :2]
    low = np.where(seen[..., None], xy, np.inf).min(axis=1)
    high = np.where(seen[..., None], xy, -np.inf).max(axis=1)
    return ConvertedRows(
        video_ids=video_ids,
        content_ids=[f"sha256-{hashlib.sha256(s.tobytes()).hexdigest()}" for s in sequences],
        video=np.repeat(np.arange(len(video_ids)), num_lines),
        track_id=np.zeros(len(samples), np.int64),
        frame_index=np.tile(np.arange(num_lines), len(video_ids)),
        box_xyxy=np.concatenate([low, high], axis=1).astype(np.float32),
        box_score=keypoints[:, :, 2].mean(axis=1),
        keypoints=keypoints,
    )


@dataclass(frozen=True)
class _TrackRows:
    video_id: str
    track_id: int
    start: int
    num_rows: int


def _tracks(table: pa.Table) -> Iterator[_TrackRows]:
    """Yield the consecutive rows of each track in a sorted table."""
    track_id = table["track_id"].to_numpy()
    video = table["video_id"].combine_chunks().dictionary_encode()
    codes = video.indices.to_numpy()
    is_new = np.ones(len(table), bool)
    is_new[1:] = (np.diff(track_id) != 0) | (np.diff(codes) != 0)
    starts = np.flatnonzero(is_new)
    for start, stop in zip(starts, [*starts[1:], len(table)], strict=True):
        yield _TrackRows(
            video_id=video.dictionary[int(codes[start])].as_py(),
            track_id=int(track_id[start]),
            start=int(start),
            num_rows=int(stop - start),
        )


def _class_numbers(table: pa.Table, labels: Mapping[str, str], class_names: Sequence[str]) -> dict[str, int]:
    """Return the class number of each video in the table."""
    if len(set(class_names)) != len(class_names):
        raise ValueError(f"class_names must differ from each other, got {list(class_names)}")
    video_ids = table["video_id"].unique().to_pylist()
    if missing := [video_id for video_id in video_ids if video_id not in labels]:
        raise TableError(
            f"{len(missing)} of {len(video_ids)} videos have no label, {', '.join(missing[:3])} among them; "
            "label them or leave them out"
        )
    if unknown := sorted({labels[video_id] for video_id in video_ids} - set(class_names)):
        raise TableError(f"labels {unknown} are not among the class names {list(class_names)}; add them")
    return {video_id: class_names.index(labels[video_id]) + 1 for video_id in video_ids}


def _write_samples(table: pa.Table, starts: list[int], path: Path) -> None:
    schema = pa.schema(list(_COLUMN_TYPES.items()))
    options = pa.csv.WriteOptions(include_header=False)
    with pa.csv.CSVWriter(path, schema, write_options=options) as writer:
        for first in range(0, len(starts), SEQUENCES_PER_WRITE):
            group = np.array(starts[first : first + SEQUENCES_PER_WRITE])
            rows = table.take(pa.array((group[:, None] + np.arange(LINES_PER_SEQUENCE)).reshape(-1)))
            samples = keypoints_of(rows).reshape(len(rows), NUM_COLUMNS)
            _check_finite(samples, rows)
            columns = [pa.array(np.ascontiguousarray(samples[:, i])) for i in range(NUM_COLUMNS)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _check_finite(samples: FloatArray, rows: pa.Table) -> None:
    bad = np.flatnonzero(~np.isfinite(samples).all(axis=1))
    if len(bad):
        row = int(bad[0])
        raise TableError(
            f"video {rows['video_id'][row].as_py()}, frame {rows['frame_index'][row].as_py()}: a keypoint is "
            "NaN or infinite, which the text format cannot hold; extract the video again or leave it out"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_label_table(uri: str) -> dict[str, str]:
    """Return the labels by video_id, of the videos that have one."""
    options = pa.csv.ConvertOptions(
        include_columns=LABELS.names, column_types=LABELS, strings_can_be_null=True, null_values=[""]
    )
    try:
        with objects.open_object(uri) as file:
            table = pa.csv.read_csv(file, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as exc:
        raise TableError(f"{uri}: not a CSV with the columns video_id and label ({exc})") from exc
    table = table.drop_null()
    return dict(zip(table["video_id"].to_pylist(), table["label"].to_pylist(), strict=True))


def _write_label_table(labels: pa.Table, uri: str) -> None:
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(labels, sink)
    if not objects.put_if_absent(uri, sink.getvalue().to_pybytes()):
        raise StorageError(uri, "exists already; delete it or choose another name")
