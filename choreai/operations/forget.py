"""Forgetting videos: a person's right to have every row about a video taken out, and none written again.

The tombstone comes first: from then on no job takes the videos up. Then the files that name them, the keypoints, the
other tables, and the videos table last, since it says where the rest is. Killed anywhere and done again, it ends in
the same place.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from choreai.errors import ConfigError, StorageError
from choreai.operations.forgotten_files import Change, Files
from choreai.storage import objects
from choreai.tables.compact import COMPACTED_TABLES, list_versions
from choreai.tables.forgotten import TrainedModel, read_forgotten, read_tombstone, write_tombstone
from choreai.tables.parts import current_parts, is_part, list_parts, read_consistently
from choreai.tables.removal import (
    Places,
    count_rows,
    find_places,
    find_same_bytes,
    keypoints_parts,
    remove_in_place,
    remove_rows,
)
from choreai.tables.runs import read_runs

logger = logging.getLogger(__name__)
_WITH_PLACES = ("videos", "tags", "video_embeddings", "movement3d", "music")
"""Tables that have URI and content id of a video."""
_ORDER = (
    "keypoints", "poses3d", "movement3d", "pictures", "shots", "tags", "kinematics", "embeddings", "video_embeddings",
    "music", "videos",
)  # fmt: skip
MAX_RUNS = 20
"""The newest runs, among which one that has not ended may still be at work."""


@dataclass(frozen=True)
class TableRows:
    """What one table version has of the videos."""

    table: str
    version: str
    """Empty for the corrections."""
    num_rows: int
    num_parts: int


@dataclass(frozen=True)
class Forgetting:
    """What was forgotten, or would be."""

    video_ids: tuple[str, ...]
    unknown: tuple[str, ...]
    """Those of `video_ids` that no table had."""
    is_done: bool
    """False: a dry run, which changed nothing."""
    tombstone: str
    """Its URI; empty in a dry run."""
    tables: tuple[TableRows, ...]
    files: tuple[Change, ...]
    """Objects that were changed or deleted."""
    left: tuple[Change, ...]
    """Objects that still name a video: not ours to change, or not to be changed without breaking them."""
    models: tuple[TrainedModel, ...]
    """Models trained on one of the videos: they stay as they are, and should be trained again."""
    unfinished_runs: tuple[str, ...]
    """Ids of runs that have not ended: one that is still at work may write rows of the videos once more."""


def forget(
    root: str,
    video_ids: Sequence[str],
    *,
    act: bool,
    same_bytes: bool = False,
    unseen: bool = False,
    web_data: str | None = None,
) -> Forgetting:
    """Take everything about these videos out of what is under `root`; without `act` only find it.

    `same_bytes`: other ids of the same bytes go too, and those bytes are refused under any id. `unseen`: ids that no
    table has are refused in future too. `web_data`: the data folder of `choreai serve`, for stills and uploads.
    Raises ConfigError for an id that is not known here, StorageError while a compaction is under way.
    """
    tables = list(_table_versions(root))
    ids = frozenset(video_ids)
    places = _places(root, tables, ids)
    contents = places.content_ids if same_bytes else frozenset[str]()
    if contents:
        ids |= _others_of(root, tables, contents)
        places = _places(root, tables, ids)
    found = [(table, version, _count(root, table, version, ids)) for table, version in tables]
    seen = {video_id for _, _, counts in found for each in counts.values() for video_id in each}
    unknown = tuple(sorted(ids - seen))
    forgotten = read_forgotten(root)
    if not unseen and (strange := [each for each in unknown if not forgotten.has_video(each)]):
        raise ConfigError(
            f"{root}: no table has a video {strange[0]!r}; give its video_id as the videos table has it, or add "
            "--unseen to refuse an id that was never processed"
        )
    files = Files(root, ids, uris=places.uris, act=False, web_data=web_data)
    files.forget()
    models, tombstone = tuple(files.models), ""
    if act:
        tombstone = write_tombstone(root, ids, contents, models=models)
        models = tuple(dict.fromkeys([*read_tombstone(tombstone).models, *models]))
        objects.sweep_temporaries(root)
        files = Files(root, ids, uris=places.uris, act=True, web_data=web_data)
        files.forget()
        for table, version, _ in sorted(found, key=lambda each: _rank(each[0])):
            _remove(root, table, version, ids)
    files.find_left()
    return Forgetting(
        video_ids=tuple(sorted(ids)),
        unknown=unknown,
        is_done=act,
        tombstone=tombstone,
        tables=tuple(
            TableRows(table, version, sum(each.total() for each in counts.values()), len(counts))
            for table, version, counts in sorted(found, key=lambda each: _rank(each[0]))
            if counts
        ),
        files=tuple(files.changes),
        left=tuple(files.left),
        models=models,
        unfinished_runs=_unfinished_runs(root),
    )


def forget_again(root: str, catalog: pa.Table) -> int:
    """Forget the videos of a run's catalog (video_id, content_id) that were forgotten while it was at work, and return
    how many: it may have written them once more. It has left out at its start those forgotten before.

    Where the store does not let this run delete, that is a warning.
    """
    found = catalog["video_id"].filter(pa.array(read_forgotten(root).find(catalog))).to_pylist()
    if found:
        logger.info("%d videos were forgotten meanwhile: taking out what this run has written of them", len(found))
        try:
            forget(root, found, act=True, unseen=True)
        except StorageError as exc:
            logger.warning("forgotten meanwhile, and perhaps written again: forget %s once more (%s)", found, exc)
    return len(found)


def _table_versions(root: str) -> Iterator[tuple[str, str]]:
    """Yield table and version of everything under `root` that consists of parts; no version for the corrections."""
    for table in ("keypoints", "pictures", *COMPACTED_TABLES):
        yield from ((table, version) for version in list_versions(root, table))
    yield "corrections", ""


def _rank(table: str) -> int:
    return _ORDER.index(table) if table in _ORDER else len(_ORDER)


def _places(root: str, tables: Sequence[tuple[str, str]], ids: Collection[str]) -> Places:
    found = [find_places(root, version, table=table, video_ids=ids) for table, version in _with_places(tables)]
    return Places(
        uris=frozenset(uri for each in found for uri in each.uris),
        content_ids=frozenset(content for each in found for content in each.content_ids),
    )


def _others_of(root: str, tables: Sequence[tuple[str, str]], contents: Collection[str]) -> set[str]:
    found = [find_same_bytes(root, version, table=table, content_ids=contents)
             for table, version in _with_places(tables)]  # fmt: skip
    return set().union(*found)


def _with_places(tables: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(table, version) for table, version in tables if table in _WITH_PLACES]


def _count(root: str, table: str, version: str, ids: Collection[str]) -> dict[str, Counter[str]]:
    return read_consistently(lambda: count_rows(_parts_with(root, table, version, ids), ids))


def _parts_with(root: str, table: str, version: str, ids: Collection[str]) -> list[str]:
    """Return the parts of a table version to look into."""
    if table == "keypoints":
        return keypoints_parts(root, version, ids)
    if table == "corrections":
        return [info.uri for info in objects.list_objects(f"{objects.join_uri(root, table)}/") if is_part(info.uri)]
    if table == "pictures":
        return list(list_parts(root, table, version))
    return list(current_parts(root, table, version).uris)


def _remove(root: str, table: str, version: str, ids: Collection[str]) -> None:
    if table in COMPACTED_TABLES:
        remove_rows(root, table, version, ids)
    else:
        for uri in _parts_with(root, table, version, ids):
            remove_in_place(uri, ids)


def _unfinished_runs(root: str) -> tuple[str, ...]:
    """Return the ids of runs that have not ended, and that no later run of the same job has taken up."""
    found: list[str] = []
    done = set[tuple[str, str]]()
    for number, run in enumerate(read_runs(root)):  # newest first
        if number == MAX_RUNS:
            break
        if run.finished:
            done.add((run.job, run.pose_fingerprint))
        elif (run.job, run.pose_fingerprint) not in done:
            found.append(run.run_id)
    return tuple(found)
