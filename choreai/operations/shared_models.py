"""Models that travel: pushed to a folder, a store or the Hugging Face hub, pulled from there, and listed.

Only files of known names travel, and nothing is ever unpickled. What travels is loaded first, on either way, so that
a model that is damaged, or something else, arrives nowhere.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from choreai.errors import ConfigError, ObjectMissingError, StorageError, WeightsError
from choreai.storage import hub, objects
from choreai.storage.scratch import scratch_folder
from choreai.style.evaluation.card import CARD_NAME, with_terms, write_head
from choreai.style.evaluation.report_data import DATA_FILES
from choreai.style.model import (
    DESCRIPTION_NAME,
    MAX_DESCRIPTION_BYTES,
    MAX_WEIGHTS_BYTES,
    WEIGHTS_NAME,
    load_model,
    read_description,
)

FIGURES = ("confusion_matrix", "rivals", "reliability", "risk_coverage", "clip_lengths", "learning_curves")
FILES = {
    WEIGHTS_NAME: MAX_WEIGHTS_BYTES,
    CARD_NAME: 16 << 20,
    **{f"{name}.png": 64 << 20 for name in FIGURES},
    **dict.fromkeys(DATA_FILES, 64 << 20),
    DESCRIPTION_NAME: MAX_DESCRIPTION_BYTES,  # last: its presence marks a complete model
}
"""What travels, and the most bytes of each."""
REPORT_FILES = {"report.html": 1 << 30, "metrics.json": 256 << 20, "predictions.parquet": 4 << 30}
"""What names videos and shows people, and travels only where that is asked for."""
HUB_CARD = "README.md"
_MAGIC = {".png": b"\x89PNG", ".parquet": b"PAR1"}
_CHUNK_BYTES = 1 << 20
_BARE_HEAD = {"library_name": "choreai", "pipeline_tag": "video-classification", "tags": ["dance", "pose", "lstm"]}


@dataclass(frozen=True)
class SharedModel:
    """A model that has arrived."""

    model_version: str
    uri: str
    """Where it is now."""
    files: tuple[str, ...]
    left: tuple[str, ...]
    """Files beside it that did not travel."""
    was_there: bool
    commit: str | None = None
    """Of the hub."""


@dataclass(frozen=True)
class _Copy:
    """A model's files in a folder of its own, loaded once to be sure."""

    folder: Path
    model_version: str
    left: tuple[str, ...]

    @property
    def files(self) -> dict[str, Path]:
        """By name, `model.json` last."""
        order = [name for name in FILES if name != DESCRIPTION_NAME] + [*REPORT_FILES, DESCRIPTION_NAME]
        return {name: self.folder / name for name in order if (self.folder / name).is_file()}


def push_model(
    model_uri: str,
    target: str,
    *,
    licence: str | None = None,
    datasets: Sequence[str] = (),
    with_report: bool = False,
    public: bool = False,
) -> SharedModel:
    """Put a model into the folder, prefix or hub repository `target`; its card says `licence` and `datasets`.

    A folder or prefix is written once: the same model is left as it is there, and another one refused. In a repository
    it becomes a commit with the model's version as its tag; a new repository is private unless `public`.
    """
    with _checked_copy(model_uri, with_report=with_report) as copy:
        _write_terms(copy.folder / CARD_NAME, licence=licence, datasets=datasets)
        if not hub.is_hub(target):
            return _put(copy, target)
        files = {_hub_name(name): path for name, path in copy.files.items()}
        version = copy.model_version
        commit = hub.send_files(hub.parse_hub_uri(target), files, message=f"Add {version}", tag=version, public=public)
        return SharedModel(version, target, tuple(files), copy.left, False, commit)


def pull_model(source: str, folder_uri: str, *, with_report: bool = False) -> SharedModel:
    """Put the model of a folder, store, https:// address or hub repository into `folder_uri`, which is written once.

    Raises WeightsError for what is no model of this release, whole and unchanged: then nothing is written.
    """
    if hub.is_hub(folder_uri):
        raise ConfigError(f"{folder_uri}: a model is pulled into a folder or a prefix; give one, such as models/theirs")
    with _checked_copy(source, with_report=with_report) as copy:
        return _put(copy, folder_uri)


@contextmanager
def _checked_copy(source: str, *, with_report: bool) -> Iterator[_Copy]:
    """Yield a copy of the model that could be loaded. Raises WeightsError for what cannot."""
    names = {**FILES, **REPORT_FILES} if with_report else FILES
    with scratch_folder() as folder:
        left = _fetch(source, names, folder)
        try:
            for name in names:
                _check_kind(folder / name)
            model_version = load_model(str(folder)).model_version
        except WeightsError as exc:  # about the copy, of which nobody knows
            raise WeightsError(str(exc).replace(str(folder), source)) from exc
        yield _Copy(folder, model_version, left)


def _fetch(source: str, names: Mapping[str, int], folder: Path) -> tuple[str, ...]:
    """Bring the files that are there, and return the names of the others where the place can list them."""
    if hub.is_hub(source):
        of_hub = {_hub_name(name): most for name, most in names.items()}
        left = hub.fetch_files(hub.parse_hub_uri(source), of_hub, folder)
        if (folder / HUB_CARD).is_file():
            (folder / HUB_CARD).rename(folder / CARD_NAME)
        return left
    for name, most in names.items():
        _fetch_object(objects.join_uri(source, name), folder / name, most)
    return tuple(sorted(_names_in(source) - names.keys()))


def _names_in(source: str) -> set[str]:
    """Return the names of the files there; none where the place cannot list them, or not to us."""
    if source.startswith(("https://", "http://")):
        return set()
    with suppress(StorageError):
        return {info.uri.rpartition("/")[2] for info in objects.list_objects(f"{source}/", sub_folders=False)}
    return set()


def _fetch_object(uri: str, path: Path, most: int) -> None:
    try:
        with objects.open_object(uri) as file, open(path, "wb") as copy:
            shutil.copyfileobj(_Limited(file, uri, most), copy, _CHUNK_BYTES)
    except ObjectMissingError:  # loading says which ones are needed
        path.unlink(missing_ok=True)


class _Limited:
    """A file that raises WeightsError when more than so many bytes of it are read."""

    def __init__(self, file: BinaryIO, uri: str, most: int) -> None:
        self._file, self._uri, self._most, self._done = file, uri, most, 0

    def read(self, num_bytes: int = -1) -> bytes:
        data = self._file.read(num_bytes)
        self._done += len(data)
        if self._done > self._most:
            raise WeightsError(f"{self._uri} is larger than {self._most >> 20} MiB; it is not a style model's")
        return data


def _check_kind(path: Path) -> None:
    """Raise WeightsError for a file that is not what its name says; `load_model` looks at the two it needs."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        head = file.read(4)
    if path.suffix in _MAGIC and head != _MAGIC[path.suffix]:
        raise WeightsError(f"{path}: this is no {path.suffix} file, whatever its name says; leave it out")
    if path.suffix in (".md", ".html", ".json"):
        try:
            path.read_text(encoding="utf-8")
        except ValueError as exc:
            raise WeightsError(f"{path}: this is no text, whatever its name says; leave it out") from exc


def _write_terms(path: Path, *, licence: str | None, datasets: Sequence[str]) -> None:
    card = path.read_text(encoding="utf-8") if path.is_file() else write_head(_BARE_HEAD)
    path.write_text(with_terms(card, licence=licence, datasets=datasets), encoding="utf-8")


def _put(copy: _Copy, folder_uri: str) -> SharedModel:
    """Write the files, `model.json` last. Raises WeightsError where another model is."""
    there = objects.stat_object(objects.join_uri(folder_uri, DESCRIPTION_NAME)) is not None
    if there and (found := str(read_description(folder_uri).get("model_version"))) != copy.model_version:
        raise WeightsError(f"{folder_uri}: here is {found} already, not {copy.model_version}; name another folder")
    for name, path in copy.files.items():
        uri = objects.join_uri(folder_uri, name)
        written = objects.put_if_absent(uri, path)
        if not written and name == WEIGHTS_NAME and objects.read_object(uri) != path.read_bytes():
            raise WeightsError(f"{uri}: here are the weights of another model; name another folder")
    return SharedModel(copy.model_version, folder_uri, tuple(copy.files), copy.left, there)


def _hub_name(name: str) -> str:
    return HUB_CARD if name == CARD_NAME else name
