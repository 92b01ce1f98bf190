"""Pose fingerprints and model versions under an output that nothing wants any more: found, weighed and deleted.

Wanted is what somebody names, the newest models, and what the newest runs made and read, each with the poses that it
needs. Runs, corrections, exports, weights and tombstones are never touched.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from choreai.errors import ConfigError, WeightsError
from choreai.storage import objects
from choreai.style.model import read_description
from choreai.tables.compact import list_versions
from choreai.tables.parts import current_parts, read_part
from choreai.tables.runs import RunManifest, read_runs
from choreai.tables.space_schemas import LIFTED_SCHEMAS

POSE_TABLES = ("videos", "shots", "kinematics", "pictures", "keypoints")
"""Tables that are versioned by pose fingerprint; the videos first, so that what is left is never taken for done."""
MODEL_TABLES = ("models", "tags", "embeddings", "video_embeddings")
"""What is versioned by model; the models first, so that no job begins with one whose tags are going."""
MAX_RUN_DAYS = 14
"""A run that began before and has not ended was killed."""
LIFTED_TABLES = ("movement3d", "poses3d")
"""What was lifted from poses goes with them: its versions are named otherwise, and its rows say from which."""
_JOBS = ("extract_poses", "tag_catalog")


@dataclass(frozen=True)
class Version:
    """All that one pose fingerprint or one model has under an output."""

    name: str
    kind: str
    """`poses` or `model`."""
    num_objects: int
    num_bytes: int
    tables: Mapping[str, int]
    """Bytes by table."""
    why: str
    """Why it is kept; empty: nothing wants it."""
    last_run: str
    """Id of the newest run that used it; empty where none has."""


@dataclass
class _Uses:
    """Why versions are wanted, by name, and their last run."""

    why: dict[str, str] = field(default_factory=dict)
    last_run: dict[str, str] = field(default_factory=dict)

    def want(self, name: str, why: str) -> None:
        if name:
            self.why.setdefault(name, why)


def find_versions(root: str, *, keep: Collection[str] = (), newest: int = 1) -> list[Version]:
    """Return every version under `root`, the wanted ones first, and of the others the largest first.

    `keep` names versions, `newest` says how many of the newest models, and of the newest runs of each job, are wanted.
    Raises ConfigError where `keep` names what is not there, or nothing at all is wanted: then only a person knows.
    """
    sizes, counts = _weigh(root)
    names = {name for _, name in sizes}
    if unknown := sorted(set(keep) - names):
        raise ConfigError(
            f"{root}: has no fingerprint or model {unknown[0]!r} to keep; it has {', '.join(sorted(names))}"
        )
    uses = _Uses()
    for name in keep:
        uses.want(name, "named by --keep")
    poses_of = _want_models(root, names, uses, newest=newest)
    _want_runs(root, uses, newest=newest)
    for model in [name for name in uses.why if name in poses_of]:
        uses.want(poses_of[model], f"poses of {model}")
    if names and not uses.why:
        raise ConfigError(f"{root}: no model and no run says what is in use; name what to keep with --keep")
    versions = [_version(name, sizes, counts, uses) for name in sorted(names)]
    return sorted(versions, key=lambda each: (not each.why, -each.num_bytes))


def _weigh(root: str) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Return bytes and objects by table and version."""
    sizes, counts = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for table in (*POSE_TABLES, *MODEL_TABLES):
        prefix = f"{objects.join_uri(root, table)}/"
        for info in objects.list_objects(prefix):
            version, slash, _ = info.uri.removeprefix(prefix).partition("/")
            if slash:
                sizes[table, version] += info.size
                counts[table, version] += 1
    for (table, version), pose_id in _lifted_from(root).items():
        for info in objects.list_objects(f"{objects.join_uri(root, table, version)}/"):
            sizes[table, pose_id] += info.size
            counts[table, pose_id] += 1
    return sizes, counts


def _lifted_from(root: str) -> dict[tuple[str, str], str]:
    """Return by table and version of what was lifted the pose fingerprint that it was made of."""
    found: dict[tuple[str, str], str] = {}
    for table in LIFTED_TABLES:
        for version in list_versions(root, table):
            for uri in current_parts(root, table, version).uris:
                rows = read_part(uri, LIFTED_SCHEMAS[table], columns=["pose_fingerprint"])
                if len(rows):
                    found[table, version] = rows["pose_fingerprint"][0].as_py()
                    break
    return found


def _version(name: str, sizes: Counter[tuple[str, str]], counts: Counter[tuple[str, str]], uses: _Uses) -> Version:
    tables = {table: size for (table, version), size in sizes.items() if version == name}
    return Version(
        name=name,
        kind="poses" if set(tables) & set(POSE_TABLES) else "model",
        num_objects=sum(num for (_, version), num in counts.items() if version == name),
        num_bytes=sum(tables.values()),
        tables=tables,
        why=uses.why.get(name, ""),
        last_run=uses.last_run.get(name, ""),
    )


def _want_models(root: str, names: Collection[str], uses: _Uses, *, newest: int) -> dict[str, str]:
    """Want the newest models, and return the pose fingerprint of every model under `root`."""
    poses_of: dict[str, str] = {}
    made: list[tuple[str, str]] = []
    for name in names:
        uri = objects.join_uri(root, "models", name)
        try:
            description = read_description(uri)
        except WeightsError:  # a pose fingerprint, or a model that lies elsewhere
            continue
        config = description.get("config")
        poses_of[name] = str(config.get("pose_fingerprint", "")) if isinstance(config, dict) else ""
        made.append((str(description.get("created_at", "")), name))
    for _, name in sorted(made, reverse=True)[:newest]:
        uses.want(name, "the newest model" if newest == 1 else f"one of the {newest} newest models")
    return poses_of


def _want_runs(root: str, uses: _Uses, *, newest: int) -> None:
    """Want what the newest runs of each job used, and what runs use that may still be at work."""
    seen = Counter[str]()
    for run in read_runs(root):
        for name in _used_by(run):
            uses.last_run.setdefault(name, run.run_id)
        if run.job in _JOBS:
            seen[run.job] += 1
            is_at_work = not run.finished and datetime.now(UTC) - run.started_at < timedelta(days=MAX_RUN_DAYS)
            if seen[run.job] <= newest or is_at_work:
                for name in _used_by(run):
                    uses.want(name, f"run {run.run_id}" + ("" if run.finished else ", which has not ended"))


def _used_by(run: RunManifest) -> list[str]:
    return [name for name in (run.model_version, run.pose_fingerprint) if name]


def delete_versions(root: str, versions: Sequence[Version]) -> int:
    """Delete all that these versions have, and return how many objects; done again, it goes on where it was stopped."""
    num = 0
    lifted = _lifted_from(root)
    for version in versions:
        folders = [(table, version.name) for table in (POSE_TABLES if version.kind == "poses" else MODEL_TABLES)]
        folders += [folder for folder, pose_id in lifted.items() if pose_id == version.name]
        for table, name in folders:
            prefix = f"{objects.join_uri(root, table, name)}/"
            # model.json marks a whole model: it goes first. A listing is not read on while what it lists is deleted.
            infos = sorted(objects.list_objects(prefix), key=lambda info: not info.uri.endswith("/model.json"))
            for info in infos:
                objects.delete_object(info.uri)
            num += len(infos)
    return num
