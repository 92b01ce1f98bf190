"""Convert keypoints from one file format to another: the work of `choreai convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from choreai.errors import ConfigError, StorageError, TableError
from choreai.formats.alphapose_json import read_alphapose_json, write_alphapose_json
from choreai.formats.keypoint_text import LABELS, DroppedRows, read_keypoint_text, write_keypoint_text
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.tables import schemas
from choreai.tables.parts import read_part, write_part

Format = Literal["parquet", "alphapose-json", "report-text"]
FORMATS: tuple[Format, ...] = get_args(Format)

_T = TypeVar("_T")

_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".parquet": "parquet",
    ".json": "alphapose-json",
    ".txt": "report-text",
    ".csv": "report-text",
}


@dataclass(frozen=True)
class ConvertSettings:
    """Settings that the files themselves do not contain; None: not given."""

    video_id: str | None = None
    """From alphapose-json: the video's name (needed). From the others: the one video to convert."""
    frames_per_second: float | None = None
    """From alphapose-json and report-text: the rate of their images or samples (needed)."""
    report_labels: str | None = None
    """From and to report-text: URI of its second file, which has the class numbers (needed)."""
    label_table: str | None = None
    """A CSV with video_id and label. To report-text: read; a catalog will do (needed). From: written."""
    class_names: tuple[str, ...] | None = None
    """From and to report-text: the labels of its class numbers, from 1. If not given, the labels read are the
    numbers as text, and the labels written are numbered in alphabetical order."""

    def __post_init__(self) -> None:
        rate = self.frames_per_second
        if rate is not None and not 0 < rate < float("inf"):
            raise ConfigError(f"frames_per_second must be a positive number, got {rate:g}")
        names = self.class_names
        if names is not None and (not all(names) or len(set(names)) != len(names)):
            raise ConfigError(f"class_names must be different names, got {', '.join(map(repr, names))}")


_READING_NEEDS: dict[Format, set[str]] = {
    "parquet": set(),
    "alphapose-json": {"video_id", "frames_per_second"},
    "report-text": {"frames_per_second", "report_labels"},
}
_READING_TAKES: dict[Format, set[str]] = {
    "parquet": {"video_id"},
    "alphapose-json": set(),
    "report-text": {"video_id", "label_table", "class_names"},
}
_WRITING_NEEDS: dict[Format, set[str]] = {
    "parquet": set(),
    "alphapose-json": set(),
    "report-text": {"report_labels", "label_table"},
}
_WRITING_TAKES: dict[Format, set[str]] = {
    "parquet": set(),
    "alphapose-json": set(),
    "report-text": {"class_names"},
}


@dataclass(frozen=True)
class Conversion:
    """The outcome of a conversion, and what the target format could not hold."""

    num_videos: int
    num_rows: int
    class_names: tuple[str, ...] = ()
    """To report-text: the label of each class number, from 1."""
    dropped: tuple[DroppedRows, ...] = ()
    """To report-text: ends of tracks that did not fill a sequence."""


def convert(
    source: str,
    target: str,
    settings: ConvertSettings,
    *,
    source_format: Format | None = None,
    target_format: Format | None = None,
) -> Conversion:
    """Convert the keypoints in `source` to `target`, which must not exist; both are paths or s3:// URIs.

    A format that is not given is inferred from the name: .parquet or a folder of parts, .json, .txt or .csv. Raises
    ConfigError for settings that do not fit the formats, TableError for contents that do not, and StorageError.
    """
    source_format = source_format or format_of(source)
    target_format = target_format or format_of(target)
    _check_settings(settings, source_format, target_format)
    if objects.stat_object(target) is not None:
        raise StorageError(target, "exists already; delete it or choose another name")

    table = read_keypoints(source, settings, source_format=source_format)
    dropped: list[DroppedRows] = []
    class_names: tuple[str, ...] = ()
    if target_format == "parquet":
        _write_parquet(table, target)
    elif target_format == "alphapose-json":
        write_alphapose_json(table, target)
    else:
        labels = _read_label_table(_require(settings.label_table))
        videos = set(table["video_id"].unique().to_pylist())
        class_names = settings.class_names or tuple(sorted({labels[v] for v in videos & labels.keys()}))
        report_labels = _require(settings.report_labels)
        dropped = write_keypoint_text(table, target, report_labels, labels=labels, class_names=class_names)
    return Conversion(
        num_videos=len(table["video_id"].unique()),
        num_rows=len(table),
        class_names=class_names,
        dropped=tuple(dropped),
    )


def format_of(uri: str) -> Format:
    """Infer the format of `uri` from its name. Raises ConfigError if it is ambiguous."""
    suffix = Path(uri.rstrip("/")).suffix.lower()
    if suffix in _FORMAT_OF_SUFFIX:
        return _FORMAT_OF_SUFFIX[suffix]
    if objects.is_folder(uri):
        return "parquet"
    raise ConfigError(f"{uri}: cannot infer the format from the name; pass one of {', '.join(FORMATS)}")


def _check_settings(settings: ConvertSettings, source_format: Format, target_format: Format) -> None:
    """Raise ConfigError unless exactly the settings that these formats use are given."""
    if source_format == target_format:
        raise ConfigError(f"source and target are both {source_format}: there is nothing to convert")
    given = {name for name, value in vars(settings).items() if value is not None}
    needed = _READING_NEEDS[source_format] | _WRITING_NEEDS[target_format]
    if missing := sorted(needed - given):
        raise ConfigError(f"from {source_format} to {target_format} needs {', '.join(missing)}; give it")
    taken = needed | _READING_TAKES[source_format] | _WRITING_TAKES[target_format]
    if unused := sorted(given - taken):
        raise ConfigError(f"{', '.join(unused)}: not used from {source_format} to {target_format}; leave it out")


def _require(value: _T | None) -> _T:
    """Return a setting that `_check_settings` has found to be given."""
    assert value is not None
    return value


def read_keypoints(source: str, settings: ConvertSettings, *, source_format: Format) -> pa.Table:
    """Read the keypoint table (`KEYPOINTS` schema, without 3D where the format has none) in `source`.

    Every reader is behind this one function, for `convert` and for training on keypoints. It takes the settings that
    its format needs, and writes nothing but the labels of report-text, if `label_table` asks for them. report-text
    without `report_labels` is read without labels. Raises TableError and StorageError.
    """
    if source_format == "parquet":
        return _select_video(_read_parquet(source), settings.video_id, source)
    rate = _require(settings.frames_per_second)
    if source_format == "alphapose-json":
        return read_alphapose_json(source, video_id=_require(settings.video_id), frames_per_second=rate)
    read = read_keypoint_text(source, settings.report_labels, frames_per_second=rate, class_names=settings.class_names)
    keypoints = _select_video(read.keypoints, settings.video_id, source)
    if settings.label_table is not None:
        _write_label_table(_select_video(read.labels, settings.video_id, source), settings.label_table)
    return keypoints


def _select_video(table: pa.Table, video_id: str | None, uri: str) -> pa.Table:
    """Return the rows of one video, or all if `video_id` is None."""
    if video_id is None:
        return table
    rows = table.filter(pc.equal(table["video_id"], video_id))
    if not len(rows):
        raise TableError(f"{uri}: no row has video_id {video_id!r}; check the name")
    return rows


def _read_parquet(uri: str) -> pa.Table:
    """Read a keypoints part, or all parts in a folder, without the 3D keypoints, which no other format has."""
    columns = [name for name in schemas.KEYPOINTS.names if name != "keypoints_xyz"]
    if not objects.is_folder(uri):
        return read_part(uri, schemas.KEYPOINTS, columns=columns)
    inside = objects.join_uri(uri)
    parts = sorted(
        info.uri
        for info in objects.list_objects(uri.rstrip("/") + "/")
        if info.uri.endswith(".parquet") and objects.parent_uri(info.uri) == inside
    )
    if not parts:
        raise TableError(f"{uri}: no Parquet parts directly in this folder; point at keypoints/<fingerprint>")
    read = [read_part(part, schemas.KEYPOINTS, columns=columns) for part in parts]
    metadata = [table.schema.metadata or {} for table in read]
    common = dict(set.intersection(*(set(found.items()) for found in metadata)))
    return pa.concat_tables([table.replace_schema_metadata(common) for table in read])


def _write_parquet(table: pa.Table, uri: str) -> None:
    with scratch_folder() as folder:
        if not write_part(uri, table, folder / "keypoints.parquet"):
            raise StorageError(uri, "was written by another process meanwhile; choose another name")


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
