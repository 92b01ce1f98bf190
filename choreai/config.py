"""The settings of the jobs: one TOML file each, overridden by a few flags, checked before a cluster does any work."""

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from choreai.errors import ConfigError
from choreai.pose.settings import PoseSettings
from choreai.storage.uris import resolve_uri, shorten
from choreai.style.settings import LabelsFrom, TrainSettings
from choreai.style.taxonomy import check_parents

ConfigT = TypeVar("ConfigT", bound="ExtractConfig")

# Strict, so that "8" is not a number and a misspelt key is an error; read by pydantic in `load_config`.
_STRICT = {"extra": "forbid", "strict": True}
_MAX_DAYS = 36_500
_MAX_WORKERS = 100_000


@dataclass(frozen=True)
class WorkerSettings:
    """The [workers] section: the number of actors, and what each requests from Ray."""

    __pydantic_config__ = _STRICT

    num_workers: int = 0
    """0: as many as fit into the cluster when the job starts. Give a number if an autoscaler is to add nodes."""
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    """May be a fraction: 0.5 puts two workers on each GPU."""
    spot_minutes: float = 0.0
    """Minutes that a worker waits for a spot node before an on-demand node is asked for; 0: any node will do."""
    max_video_minutes: float = 60.0
    """Wall time after which a video is quarantined and its worker replaced."""
    max_video_gib: float = 8.0
    """Memory by which a video may make its worker grow before the same happens, in GiB."""

    def __post_init__(self) -> None:
        if not 0 <= self.num_workers <= _MAX_WORKERS:
            raise ValueError(f"num_workers must be 0 (automatic) to {_MAX_WORKERS}, got {self.num_workers}")
        if not 0 < self.num_cpus < float("inf"):
            raise ValueError(f"num_cpus must be positive, got {self.num_cpus:g}")
        if not 0 <= self.num_gpus < float("inf") or (self.num_gpus > 1 and self.num_gpus != int(self.num_gpus)):
            raise ValueError(f"num_gpus must be a fraction up to 1, or a whole number, got {self.num_gpus:g}")
        if not 0 <= self.spot_minutes < float("inf"):
            raise ValueError(f"spot_minutes must be 0 (any node will do) or more, got {self.spot_minutes:g}")
        for name in ("max_video_minutes", "max_video_gib"):
            if not 0 < getattr(self, name) < float("inf"):  # NaN would switch the limit off
                raise ValueError(f"{name} must be a positive number, got {getattr(self, name):g}")


@dataclass(frozen=True)
class ReportSettings:
    """The [report] section: the page `runs/<run id>/report.html` and the message at the end of a run."""

    __pydantic_config__ = _STRICT

    reference_run: str = ""
    """Id of the run that drift is measured against. Empty: the previous tagging run."""
    price_per_hour: float = 0.0
    """Price of one worker node, in `currency`; 0: unknown, and no cost is reported."""
    currency: str = "USD"
    sns_topic_arn: str = ""
    """AWS SNS topic to notify when a run is done. The URL of a webhook is a secret and so not a setting: the jobs
    read it from CHOREAI_WEBHOOK_URL."""

    def __post_init__(self) -> None:
        if not 0 <= self.price_per_hour < float("inf"):
            raise ValueError(f"price_per_hour must be 0 (unknown) or more, got {self.price_per_hour:g}")
        if self.sns_topic_arn and not self.sns_topic_arn.startswith("arn:"):
            raise ValueError(f"sns_topic_arn must be an ARN (arn:aws:sns:...), got {self.sns_topic_arn!r}")


@dataclass(frozen=True)
class KeypointSettings:
    """The [keypoints] section: keypoints that somebody has already, in place of videos."""

    __pydantic_config__ = _STRICT

    source: str = ""
    """A file of keypoints, or a folder of such files, of any kind that `choreai convert` reads. Empty: poses are
    estimated from the catalog's videos."""
    frames_per_second: float | None = None
    """Of the keypoints; needed where their files have no times (AlphaPose JSON, report-text)."""
    made_by: str = ""
    """The estimator that made them, where their files do not tell: a model fits keypoints of one estimator only."""
    sequence_lines: int = 100
    """Lines of a sequence in report-text."""
    size_wh: tuple[int, int] | None = None
    """Width and height of the pictures in pixels, where the files have shares of them (ultralytics, MediaPipe)."""

    def __post_init__(self) -> None:
        if self.frames_per_second is not None and not 0 < self.frames_per_second < float("inf"):
            raise ValueError(f"frames_per_second must be a positive number, got {self.frames_per_second:g}")
        if self.sequence_lines < 2:
            raise ValueError(f"sequence_lines must be at least 2, got {self.sequence_lines}")
        if self.size_wh is not None and min(self.size_wh) < 1:
            raise ValueError(f"size_wh must be two positive numbers, got {list(self.size_wh)}")


@dataclass(frozen=True)
class MusicSettings:
    """The [music] section: what is heard of the videos."""

    __pydantic_config__ = _STRICT

    enabled: bool = False
    """`choreai tag` listens to the sound too, and writes the music table."""
    library: str = ""
    """A folder of songs; where one is heard in a video, `choreai music` names it by its file."""
    keep_songs_together: bool = False
    """In training, videos that share a song are one group: never on both sides of the train/test split."""

    def __post_init__(self) -> None:
        if self.library:
            object.__setattr__(self, "library", resolve_uri(self.library, against="."))


@dataclass(frozen=True)
class ExtractConfig:
    """catalog -> keypoint tables."""

    __pydantic_config__ = _STRICT

    catalog: str
    """A CSV, JSONL or Parquet file, a folder, a prefix in a store, or a video."""
    output: str
    """The folder, or prefix in a store (s3://, gs:// or az://), for all tables, models and run reports."""
    allowed_roots: tuple[str, ...] = ()
    """Folders, prefixes and addresses to read videos from; others are quarantined unopened. Empty: anywhere."""
    videos_per_shard: int = 8
    max_failed_fraction: float = 0.2
    """A run exits with 1 if a larger share of its videos fails, or a larger share of the catalog is quarantined."""
    retry_quarantined: bool = False
    limit: int | None = None
    """The most videos that one run processes: the first pending ones in the order of the catalog. None: all."""
    since: str | None = None
    """Process only videos written since: a date ("2026-11-01", UTC) or a number of days ("7"). Videos whose date
    cannot be read are kept and will be quarantined. None: no limit."""
    max_hours: float | None = None
    """After so many hours no more shards are started, and the next run resumes. None: run until all is done."""
    ray_address: str | None = None
    """None: the cluster this runs in (RAY_ADDRESS), else a local Ray."""
    pose: PoseSettings = field(default_factory=PoseSettings)
    workers: WorkerSettings = field(default_factory=WorkerSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    music: MusicSettings = field(default_factory=MusicSettings)

    def __post_init__(self) -> None:
        for name in ("catalog", "output"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        # Workers run in other folders and on other machines.
        object.__setattr__(self, "output", resolve_uri(self.output, against="."))
        roots = tuple(resolve_uri(root, against=".") for root in self.allowed_roots)
        object.__setattr__(self, "allowed_roots", roots)
        if self.videos_per_shard < 1:
            raise ValueError(f"videos_per_shard must be at least 1, got {self.videos_per_shard}")
        if not 0 <= self.max_failed_fraction <= 1:
            raise ValueError(f"max_failed_fraction must be in [0, 1], got {self.max_failed_fraction:g}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be at least 1, got {self.limit}; leave it out to process all videos")
        if self.max_hours is not None and not 0 < self.max_hours < float("inf"):
            raise ValueError(f"max_hours must be positive, got {self.max_hours:g}; leave it out for no limit")
        if self.since is not None:
            parse_since(self.since, now=datetime.now(UTC))


@dataclass(frozen=True)
class TrainConfig(ExtractConfig):
    """catalog with labels -> keypoint tables where missing -> style model."""

    labels: tuple[str, ...] = ()
    """The taxonomy. Empty: every label the catalog has."""
    labels_from: LabelsFrom = "catalog"
    """`catalog`: its label column; `folders`: the name of the folder each video lies in."""
    labels_file: str | None = None
    """A CSV with video_id, label and perhaps group that replaces the labels of the catalog."""
    not_dance: str | None = None
    """A catalog of videos of no dance, or of dances outside of the labels: what moves like them is not tagged."""
    parents: dict[str, str] = field(default_factory=dict)
    """A hierarchy of styles: the parent of each style that has one."""
    taxonomy_version: str = ""
    """A name for labels and parents. Empty: a hash of them."""
    train_workers: int = 1
    """Number of Ray Train workers; the result does not depend on it beyond float rounding."""
    min_train_workers: int = 0
    """Train with as few as this while the cluster has no room for more; 0: wait for all."""
    training: TrainSettings = field(default_factory=TrainSettings)
    keypoints: KeypointSettings = field(default_factory=KeypointSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if {self.limit, self.since, self.max_hours} != {None}:
            raise ValueError("limit, since and max_hours are for extract and tag: training needs all of its videos")
        if self.train_workers < 1:
            raise ValueError(f"train_workers must be at least 1, got {self.train_workers}")
        if not 0 <= self.min_train_workers <= self.train_workers:
            raise ValueError(f"min_train_workers must be 0 to {self.train_workers}, got {self.min_train_workers}")
        if self.not_dance is not None and self.keypoints.source:
            raise ValueError("not_dance is a catalog of videos; leave it out where there are keypoints")
        if self.labels_file is not None and self.labels_from == "folders":
            raise ValueError('labels_file and labels_from = "folders" exclude each other; leave one out')
        if self.labels:
            check_parents(self.labels, self.parents)


@dataclass(frozen=True)
class TagConfig(ExtractConfig):
    """catalog -> keypoint tables where missing -> tags."""

    model: str = ""
    """The folder of a style model, as printed by `train`. Empty: the newest one under `output`."""
    keypoints: KeypointSettings = field(default_factory=KeypointSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keypoints.source and {self.limit, self.since, self.max_hours} != {None}:
            raise ValueError("limit, since and max_hours are for videos; leave them out where there are keypoints")
        if self.model:
            object.__setattr__(self, "model", resolve_uri(self.model, against="."))


def load_config(
    cls: type[ConfigT],
    path: str | None,
    overrides: Mapping[str, object],
    *,
    defaults: Mapping[str, object] = MappingProxyType({}),
) -> ConfigT:
    """Load a `cls` from the TOML file at `path` (None: no file), with `overrides` on top and `defaults` below.

    The name of an override may be dotted ("workers.num_workers"); None means not given. Raises ConfigError, which
    names the file and key.
    """
    raw = {**defaults, **(_read_toml(path) if path else {})}
    for name, value in overrides.items():
        if value is not None:
            section, _, key = name.rpartition(".")
            target = raw.setdefault(section, {}) if section else raw
            if not isinstance(target, dict):
                raise ConfigError(f"{path}: {section} must be a table, [{section}], got {_shown(target)}")
            target[key] = value
    keypoints = raw.get("keypoints")
    if isinstance(keypoints, dict) and keypoints.get("source"):
        if raw.get("catalog"):
            raise ConfigError(
                f"{_shown(raw['catalog'])} and {_shown(keypoints['source'])}: give either a catalog of videos or their "
                "keypoints, not both"
            )
        raw["catalog"] = keypoints["source"]  # what runs, reports and tables name as the catalog
    return _validate(cls, raw, path or "settings")


def _validate(cls: type[ConfigT], raw: Mapping[str, object], where: str) -> ConfigT:
    from pydantic import TypeAdapter, ValidationError

    for name, value in _flat(raw):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{where}: {name} must be a finite number, got {value}")
    try:
        # By way of JSON: there a strict reader still takes an array for a tuple.
        return TypeAdapter(cls).validate_json(json.dumps(raw))
    except ValidationError as exc:
        problems = "; ".join(describe_error(dict(error)) for error in exc.errors())
        raise ConfigError(f"{where}: {problems}") from exc
    except (TypeError, UnicodeEncodeError) as exc:  # a TOML date, which no setting is; a flag that is no text
        raise ConfigError(f"{where}: {exc}") from exc


def _flat(raw: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield every key with its dotted name and value."""
    for key, value in raw.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield from ((f"{prefix}{key}", each) for each in value)
        else:
            yield f"{prefix}{key}", value


def _shown(value: object) -> str:
    return shorten(repr(value))


def load_pose_settings(path: str | None) -> PoseSettings:
    """Load the [pose] section of a job file; the defaults without a file."""
    raw = _read_toml(path) if path else {}
    config = {"catalog": "-", "output": "-", "pose": raw.get("pose", {})}
    return _validate(ExtractConfig, config, path or "settings").pose


def _read_toml(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as exc:  # ValueError: bytes that are not UTF-8, or a name no file can have
        raise ConfigError(f"{path}: cannot be read ({exc}); give --config the path of a TOML file") from exc
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{path}: not valid TOML ({shorten(str(exc))})") from exc


def describe_error(error: Mapping[str, object]) -> str:
    """Return what one of pydantic's errors says, in our words."""
    location = error["loc"]
    name = ".".join(str(part) for part in location) if isinstance(location, tuple) else str(location)
    match error["type"]:
        case "missing":
            return f"{name} is missing; give it on the command line or in the --config file"
        case "unexpected_keyword_argument":
            return f"unknown key {name!r}"
        case "value_error":
            return str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {error['msg']} (got {_shown(error['input'])})"


def parse_since(text: str, *, now: datetime) -> datetime:
    """Parse an ISO date or time (UTC if it has no zone), or a number of days before `now`. Raises ValueError."""
    try:
        days = float(text)
    except ValueError:
        return _parse_date(text)
    if not 0 <= days <= _MAX_DAYS:  # 20261101 is neither a number of days nor an ISO date
        raise ValueError(f"since must be 0 to {_MAX_DAYS} days, or a date such as 2026-11-01, got {text!r}")
    return now - timedelta(days=days)


def _parse_date(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(f"since must be a date such as 2026-11-01, or a number of days, got {text!r}") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
