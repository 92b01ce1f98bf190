"""Convert keypoints from one file format to another: the work of `choreai convert`."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from choreai.errors import ConfigError, StorageError
from choreai.formats.glimpse import glimpse
from choreai.formats.keypoint_text import DroppedRows
from choreai.formats.registry import FORMATS, FileFormat, recognised
from choreai.formats.settings import ConvertSettings
from choreai.storage import objects

__all__ = ["Conversion", "ConvertSettings", "convert", "format_of", "read_keypoints"]

_FORMAT_OF_SUFFIX = {
    ".parquet": "parquet",
    ".json": "alphapose-json",
    ".txt": "report-text",
    ".csv": "report-text",
    ".bvh": "bvh",
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
    source_format: str | None = None,
    target_format: str | None = None,
) -> Conversion:
    """Convert the keypoints in `source` to `target`, which must not exist; both are paths or s3:// URIs.

    Formats are names in `choreai.formats.registry.FORMATS`. If not given, the source's is told by its content and the
    target's by its name: .parquet or a folder of parts, .json, .txt or .csv. Raises ConfigError for settings that do
    not fit the formats, TableError for contents that do not, and StorageError.
    """
    reading = _format_to_read(source, source_format)
    writing = FORMATS[target_format or format_of(target)]
    _check_settings(settings, reading, writing)
    if objects.is_folder(target) or objects.stat_object(target) is not None:
        raise StorageError(target, "exists already; delete it or choose another name")
    assert reading.read is not None
    assert writing.write is not None
    table = reading.read(source, settings)
    written = writing.write(table, target, settings)
    return Conversion(
        num_videos=len(table["video_id"].unique()),
        num_rows=len(table),
        class_names=written.class_names if written else (),
        dropped=written.dropped if written else (),
    )


def read_keypoints(
    source: str, settings: ConvertSettings | None = None, *, source_format: str | None = None
) -> pa.Table:
    """Read keypoints of any format into a keypoint table (`KEYPOINTS` schema).

    `source` is a path or s3:// URI of a file or folder; its format is told by its content unless it is given. Raises
    ConfigError if the format is not known or a setting that it needs is missing, TableError for malformed contents, and
    StorageError.

    >>> read_keypoints("openpose/dance", ConvertSettings(frames_per_second=30))  # doctest: +SKIP
    """
    settings = settings or ConvertSettings()
    reading = _format_to_read(source, source_format)
    if missing := sorted(name for name in reading.reading_needs if getattr(settings, name) is None):
        raise ConfigError(f"{source}: reading {reading.name} needs {', '.join(missing)}; give {_flags(missing)}")
    assert reading.read is not None
    return reading.read(source, settings)


def format_of(uri: str) -> str:
    """Infer the format of `uri` from its name. Raises ConfigError if it is ambiguous."""
    suffix = Path(uri.rstrip("/")).suffix.lower()
    if suffix in _FORMAT_OF_SUFFIX:
        return _FORMAT_OF_SUFFIX[suffix]
    if objects.is_folder(uri):
        return "parquet"
    raise ConfigError(f"{uri}: cannot infer the format from the name; pass one of {', '.join(FORMATS)}")


def _format_to_read(source: str, name: str | None) -> FileFormat:
    """Return the format of a source: by `name`, otherwise by its content, otherwise by its own name.

    Raises ConfigError if nothing tells, or if it is said to be one format and is plainly another.
    """
    found = recognised(glimpse(source))
    reading = FORMATS[name] if name else found or FORMATS[format_of(source)]
    if reading.read is None:
        raise ConfigError(f"{source}: {reading.what}, which is only written, not read; {_of_those('read')} are read")
    if found is not None and found != reading:
        advice = f"give --from {found.name}" if found.read else f"{_of_those('read')} are read"
        raise ConfigError(f"{source}: this is {found.what}, not {reading.what}; {advice}")
    return reading


def _of_those(way: str) -> str:
    return ", ".join(name for name, found in FORMATS.items() if getattr(found, way) is not None)


_FLAGS = {
    "size_wh": "--size",
    "report_labels": "--labels",
    "track_id": "--track",
    "person_height_metres": "--person-height",
}


def _flags(names: list[str]) -> str:
    return " and ".join(_FLAGS.get(name, "--" + name.replace("_", "-")) for name in names)


def _check_settings(settings: ConvertSettings, reading: FileFormat, writing: FileFormat) -> None:
    """Raise ConfigError unless exactly the settings that these formats use are given."""
    if reading.name == writing.name:
        raise ConfigError(f"source and target are both {reading.name}: there is nothing to convert")
    if writing.write is None:
        raise ConfigError(f"{writing.name} is only read, not written; {_of_those('write')} are written")
    given = {name for name, value in vars(settings).items() if value is not None}
    needed = reading.reading_needs | writing.writing_needs
    if missing := sorted(needed - given):
        raise ConfigError(f"from {reading.name} to {writing.name} needs {', '.join(missing)}; give {_flags(missing)}")
    taken = needed | reading.reading_takes | writing.writing_takes
    if unused := sorted(given - taken):
        names = ", ".join(f"{name} ({_FLAGS[name]})" if name in _FLAGS else name for name in unused)
        raise ConfigError(f"{names}: not used from {reading.name} to {writing.name}; leave it out")
