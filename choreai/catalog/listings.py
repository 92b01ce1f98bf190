"""Content ids and modification times by the thousand, from listings of folders in stores.

A listing shows 1,000 objects a page, where asking for each object would take hours.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError
from choreai.storage.objects import list_objects, stat_object
from choreai.storage.uris import IN_STORE, ObjectInfo

MIN_WANTED = 200
"""Folders with fewer wanted objects than this are not listed: asking for each is as quick."""
MAX_SEEN = 20
"""A listing is given up after so many objects for each that is wanted."""
MODIFIED = pa.timestamp("us", tz="UTC")
_BATCH = 65_536
_ASK_AT_ONCE = 8192
_NUM_THREADS = 32


def listed_content_ids(uris: pa.Array) -> pa.Array:
    """Return the content id of each URI, or null where no listing showed it: the object may exist all the same."""
    return _list_values(uris, lambda info: info.content_id, pa.string())


def modified_at(uris: pa.Array) -> pa.Array:
    """Return when the bytes at each URI were last written, as `MODIFIED`; null for a null and where it is not known.

    Objects that no listing shows are asked for one by one. Raises StorageError where the store itself fails.
    """
    times = _list_values(uris, _microseconds, pa.int64())
    asked = uris.filter(pc.and_(times.is_null(), uris.is_valid()))
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        found = [
            time
            for start in range(0, len(asked), _ASK_AT_ONCE)  # or the executor would queue them all
            for time in pool.map(_ask_modified, asked.slice(start, _ASK_AT_ONCE).to_pylist())
        ]
    places = pc.index_in(uris, value_set=asked)
    return pc.coalesce(times, pa.array(found, pa.int64()).take(places)).cast(MODIFIED)


def _ask_modified(uri: str) -> int | None:
    try:
        info = stat_object(uri)
    except (ObjectUnusableError, ObjectMissingError, ConfigError):
        return None  # it becomes a quarantine row, with the reason, where it is processed
    return None if info is None else _microseconds(info)


def _microseconds(info: ObjectInfo) -> int | None:
    return None if info.modified_seconds is None else round(info.modified_seconds * 1e6)


def _list_values(uris: pa.Array, value_of: Callable[[ObjectInfo], Any], kind: pa.DataType) -> pa.Array:
    """Return `value_of` each object that listings of well-filled folders show, null for all other URIs."""
    values = pa.nulls(len(uris), kind)
    in_store = uris.filter(pc.fill_null(pc.match_substring_regex(uris, IN_STORE), False))
    folders = pc.value_counts(pc.replace_substring_regex(in_store, r"[^/]*$", ""))
    for folder in folders.filter(pc.greater_equal(folders.field("counts"), MIN_WANTED)).to_pylist():
        objects = islice(list_objects(folder["values"], sub_folders=False), MAX_SEEN * folder["counts"])
        # s3:ListBucket is not granted, which reading does not need; or there is no such bucket, as each row will say.
        with suppress(ObjectUnusableError, ObjectMissingError):
            for batch in _batches(objects):
                found = pc.index_in(uris, value_set=pa.array([info.uri for info in batch]))
                values = pc.coalesce(values, pa.array([value_of(info) for info in batch], kind).take(found))
    return values


def _batches(objects: Iterator[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    while batch := list(islice(objects, _BATCH)):
        yield batch
