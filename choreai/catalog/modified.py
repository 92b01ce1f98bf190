"""When the bytes of videos were last written: a file's modification time, an object's LastModified."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.listings import MAX_SEEN, MIN_WANTED
from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError
from choreai.storage import s3
from choreai.storage.objects import stat_object
from choreai.storage.uris import S3Place, locate

MODIFIED = pa.timestamp("us", tz="UTC")
_ASK_AT_ONCE = 8192
_NUM_THREADS = 32


def modified_at(uris: pa.Array) -> pa.Array:
    """For each URI when its bytes were written, as `MODIFIED`; null where that is not known, as for a null.

    Where many lie in one S3 folder, it is listed instead of asking for each. Raises StorageError where the store
    itself fails.
    """
    times = _listed(uris)
    asked = uris.filter(pc.and_(times.is_null(), uris.is_valid()))
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        found = [
            moment
            for start in range(0, len(asked), _ASK_AT_ONCE)  # or the executor would queue them all
            for moment in pool.map(_modified, asked.slice(start, _ASK_AT_ONCE).to_pylist())
        ]
    places = pc.index_in(uris, value_set=asked)
    return pc.coalesce(times, pa.array(found, MODIFIED).take(places))


def _modified(uri: str) -> datetime | None:
    try:
        place = locate(uri)
        if isinstance(place, str):
            info = stat_object(uri)
            return None if info is None else _time_of_file(info.content_id)
        with s3._s3_errors(uri):
            return s3._client().head_object(Bucket=place.bucket, Key=place.key)["LastModified"]
    except (ObjectUnusableError, ObjectMissingError, ConfigError):
        return None  # it becomes a quarantine row, with the reason, where it is processed


def _time_of_file(content_id: str) -> datetime:
    """From a file's content id, `size-mtime` (nanoseconds)."""
    return datetime.fromtimestamp(int(content_id.split("-", 1)[1]) / 1e9, UTC)


def _listed(uris: pa.Array) -> pa.Array:
    """The times that listings of S3 folders show."""
    times = pa.nulls(len(uris), MODIFIED)
    on_s3 = uris.filter(pc.fill_null(pc.starts_with(uris, "s3://"), False))
    folders = pc.value_counts(pc.replace_substring_regex(on_s3, r"[^/]*$", ""))
    for folder in folders.filter(pc.greater_equal(folders.field("counts"), MIN_WANTED)).to_pylist():
        place = locate(folder["values"])
        assert isinstance(place, S3Place)
        entries = islice(_entries(folder["values"], place), MAX_SEEN * folder["counts"])
        with suppress(ObjectUnusableError):  # s3:ListBucket is not granted: not needed to read
            while batch := list(islice(entries, 8 * _ASK_AT_ONCE)):
                found = pc.index_in(uris, value_set=pa.array([uri for uri, _ in batch]))
                times = pc.coalesce(times, pa.array([moment for _, moment in batch], MODIFIED).take(found))
    return times


def _entries(uri: str, place: S3Place) -> Iterator[tuple[str, datetime]]:
    where = {"Bucket": place.bucket, "Prefix": place.key, "Delimiter": "/"}
    with s3._s3_errors(uri):
        for page in s3._client().get_paginator("list_objects_v2").paginate(**where):
            for entry in page.get("Contents", ()):
                yield f"s3://{place.bucket}/{entry['Key']}", entry["LastModified"]
