"""Find the keypoints that somebody has: which files of a folder to read, as what, and what their videos are called.

For training and tagging on keypoints alone; the files are read by `choreai.formats.convert.read_keypoints`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from choreai.catalog.rows import is_video_name
from choreai.errors import ConfigError
from choreai.formats.glimpse import glimpse
from choreai.formats.registry import FORMATS, recognised
from choreai.natural_order import natural_key
from choreai.storage import objects
from choreai.storage.uris import shorten

RESULTS = "alphapose-results.json"
READ = tuple(name for name, found in FORMATS.items() if found.read is not None)
UNREADABLE = "unreadable"
FRAMES = "frames.parquet"
"""`choreai pose` writes it beside its keypoints; it has none itself."""
MANY = ("parquet", "report-text")
"""Formats whose files may hold several videos or sequences, which they name themselves."""
FOLDERS = ("openpose", "ultralytics-labels")
"""Formats with a file for every frame: a video is a folder."""
_NUMBER = re.compile(r"[-+.;0-9eE]*[0-9][-+.;0-9eE]*|nan|-?inf", re.IGNORECASE)
_PART = re.compile(r"(?:.*/)?(?:keypoints/)?([^/]+)/part-[^/]+\.parquet")
_ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".md", ".py", ".toml", ".html", ".pt", ".pth", ".onnx", ".zip"))
"""Of files that lie beside keypoints and are not looked into; nor are videos."""


@dataclass(frozen=True)
class KeypointFile:
    """A file of keypoints, and what its videos are called."""

    uri: str
    format: str
    name: str
    """The video's id. Of a file that holds several: what stands before theirs, or empty."""
    video_uri: str
    """What the tables name as the video: the file, or the folder of an `alphapose-results.json`."""
    labels_uri: str | None = None
    """report-text: its second file."""

    @property
    def holds_many(self) -> bool:
        """Whether it may hold several videos."""
        return self.format in MANY

    def id_of(self, video_id: str) -> str:
        """Return the id of one of several videos."""
        return f"{self.name}/{video_id}" if self.name else video_id


def find_keypoint_files(source: str, *, but: Sequence[str] = ()) -> list[KeypointFile]:
    """Return the keypoint files in `source`, a file or a folder with its sub-folders, in natural order.

    Files and folders in `but` are passed over, unless `source` is in one. A video is named by its file's path in the
    folder, without the extension, or by the folder of its `alphapose-results.json`, beside and below which nothing else
    is read. Of an output of `choreai extract` the keypoint tables are taken. Hidden files, tables of labels and files
    of other kinds are not. Raises ConfigError where there are none, or several kinds.
    """
    source = objects.resolve_uri(source, against=".").rstrip("/")
    if not objects.is_folder(source):
        if objects.stat_object(source) is None:
            raise ConfigError(f"{source}: there is no such file or folder; check the name given with --keypoints")
        return [_single(source)]
    skipped = [objects.resolve_uri(uri, against=".").rstrip("/") for uri in but]
    skipped = [uri for uri in skipped if not f"{source}/".startswith(f"{uri}/")]
    uris = {info.uri[len(source) + 1 :]: info.uri for info in objects.list_objects(source + "/")}
    paths = {path: uri for path, uri in uris.items() if not _is_in(uri, skipped) and not _is_hidden(path)}
    found = _of_one_kind(source, _known_kinds(_without_extras(paths)))
    if not found:
        endings = Counter(PurePosixPath(path).suffix or "no extension" for path in paths)
        seen = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5)) or "no file"
        raise ConfigError(f"{source}: no keypoint files here ({seen}); they are of {', '.join(READ)}")
    if next(iter(found.values())) == "report-text":
        return _text_files(source, [paths[path] for path in found])
    _check_one_version(source, found)
    return [_in_folder(path, source, kind) for path, kind in found.items()]


def holds_numbers(uri: str) -> bool:
    """Return whether a file of labels has a class number a line, as report-text has them, and no table of names."""
    return _columns(uri) == 1


def _single(uri: str) -> KeypointFile:
    kind, path = _kind_of(uri), PurePosixPath(uri)
    if kind is None:
        raise ConfigError(f"{uri}: no keypoints of a known kind; they are of {', '.join(READ)}")
    if kind in FOLDERS:  # one of its frames
        raise ConfigError(f"{uri}: this is one frame of {FORMATS[kind].what}; give its folder with --keypoints")
    kind = "alphapose-json" if kind == UNREADABLE else kind
    name = path.parent.name if path.name == RESULTS else path.stem
    file = KeypointFile(uri, kind, "" if kind in MANY else name, uri)
    if kind != "report-text":
        return file
    if _columns(uri) == 1:
        raise ConfigError(f"{uri}: one number a line are labels; name the file of the samples with --keypoints")
    twin = _twin(uri)
    has_twin = twin != uri and objects.stat_object(twin) is not None
    return replace(file, labels_uri=twin) if has_twin else file


def _is_in(uri: str, skipped: Sequence[str]) -> bool:
    return any(uri == other or uri.startswith(f"{other}/") for other in skipped)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _without_extras(paths: Mapping[str, str]) -> dict[str, str]:
    """Return the paths without what lies beside or below an `alphapose-results.json`, and, where there are parts of
    a keypoint table, without all others."""
    results = {str(PurePosixPath(path).parent) for path in paths if PurePosixPath(path).name == RESULTS}
    kept = {
        path: uri
        for path, uri in paths.items()
        if PurePosixPath(path).name == RESULTS or not results & set(map(str, PurePosixPath(path).parents))
    }
    parts = {path: uri for path, uri in kept.items() if path.startswith("keypoints/") and _PART.fullmatch(path)}
    return parts or {path: uri for path, uri in kept.items() if PurePosixPath(path).name != FRAMES}


def _known_kinds(paths: Mapping[str, str]) -> dict[str, str]:
    """Return the format of each path that is one; a folder of frames stands for its files."""
    kinds: dict[str, str] = {}
    for path in sorted(paths, key=natural_key):
        folder = str(PurePosixPath(path).parent)
        if kinds.get(folder) in FOLDERS or _is_other(path):
            continue
        kind = _kind_of(paths[path])
        if kind in FOLDERS:
            kinds[folder] = kind
        elif kind is not None:
            kinds[path] = kind
    jsons = Counter(kind for path, kind in kinds.items() if kind != UNREADABLE and path.endswith(".json"))
    usual = jsons.most_common(1)[0][0] if jsons else "alphapose-json"
    return {path: usual if kind == UNREADABLE else kind for path, kind in kinds.items()}


def _is_other(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in _ENDINGS or is_video_name(path)


def _kind_of(uri: str) -> str | None:
    """Return a file's format; UNREADABLE for JSON that is empty, broken or unknown, None for what is none."""
    found = recognised(glimpse(uri))
    if found is not None:
        return found.name if found.read is not None else None
    ending = PurePosixPath(uri).suffix.lower()
    if ending == ".json":
        return UNREADABLE
    return "parquet" if ending == ".parquet" else "report-text" if _columns(uri) else None


def _of_one_kind(source: str, kinds: Mapping[str, str]) -> Mapping[str, str]:
    counts = Counter(kinds.values())
    if len(counts) > 1:
        first = {kind: next(path for path, other in kinds.items() if other == kind) for kind in counts}
        shown = ", ".join(f"{count} {kind} ({shorten(first[kind])})" for kind, count in counts.most_common())
        raise ConfigError(f"{source}: keypoints of several kinds: {shown}; put each into a folder of its own")
    return kinds


def _check_one_version(source: str, found: Mapping[str, str]) -> None:
    """Raise ConfigError for parts of several versions of a keypoint table: poses of other settings."""
    matches = [match for path in found if (match := _PART.fullmatch(path))]
    if len(versions := sorted({match[1] for match in matches})) > 1:
        raise ConfigError(
            f"{source}: keypoint tables with poses of several settings ({', '.join(versions)}); name one of the folders"
        )


def _in_folder(path: str, source: str, kind: str) -> KeypointFile:
    uri = source if path == "." else f"{source}/{path}"
    is_results = PurePosixPath(path).name == RESULTS
    if is_results or kind in FOLDERS:
        folder = str(PurePosixPath(path).parent) if is_results else path
        name = PurePosixPath(source).name if folder == "." else folder
        return KeypointFile(uri, kind, name, objects.parent_uri(uri) if is_results else uri)
    return KeypointFile(uri, kind, "" if kind in MANY else str(PurePosixPath(path).with_suffix("")), uri)


def _text_files(source: str, uris: Sequence[str]) -> list[KeypointFile]:
    """Return the files with samples, each with its labels where they are there."""
    samples = [uri for uri in uris if _columns(uri) > 1]
    labels = [uri for uri in uris if _columns(uri) == 1]
    if not samples:
        raise ConfigError(f"{source}: files of labels, but none of samples ({shorten(uris[0])}); give both")
    twins = {uri: twin for uri in samples if (twin := _twin(uri)) in labels}
    if len(samples) == len(labels) == 1:
        twins = {samples[0]: labels[0]}
    names = [PurePosixPath(uri[len(source) + 1 :]).with_suffix("") for uri in samples]
    return [
        KeypointFile(uri, "report-text", str(name) if len(samples) > 1 else "", uri, twins.get(uri))
        for uri, name in zip(samples, names, strict=True)
    ]


def _twin(uri: str) -> str:
    """Return the name of the labels that belong to samples: X_train.txt, Y_train.txt."""
    folder, _, name = uri.rpartition("/")
    other = {"X": "Y", "x": "y"}.get(name[:1], name[:1])
    return f"{folder}/{other}{name[1:]}"


def _columns(uri: str) -> int:
    """Return how many numbers the first line of a text has, with commas between them; 0 where it is no such text."""
    seen = glimpse(uri)
    first = next((line for line in seen.lines if line.strip()), "") if seen is not None else ""
    values = first.split(",")
    return len(values) if all(_NUMBER.fullmatch(value.strip()) for value in values) else 0
