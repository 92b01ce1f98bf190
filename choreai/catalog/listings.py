"""Content ids by the thousand: from listings of S3 folders, where asking for each object would take hours."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from choreai.errors import ObjectUnusableError
from choreai.storage.objects import list_objects
from choreai.storage.uris import ObjectInfo

MIN_WANTED = 200
"""A page of a listing holds 1,000 objects; for fewer than this in one folder, asking for each is as quick."""
MAX_SEEN = 20
"""A listing is given up after so many objects for each that was wanted."""
_BATCH = 65_536


def listed_content_ids(uris: pa.Array) -> pa.Array:
    """For each URI its content id, or null where no listing showed it: it may well be there."""
    ids = pa.nulls(len(uris), pa.string())
    on_s3 = uris.filter(pc.starts_with(uris, "s3://"))
    folders = pc.value_counts(pc.replace_substring_regex(on_s3, r"[^/]*$", ""))
    for folder in folders.filter(pc.greater_equal(folders.field("counts"), MIN_WANTED)).to_pylist():
        objects = islice(list_objects(folder["values"], sub_folders=False), MAX_SEEN * folder["counts"])
        with suppress(ObjectUnusableError):  # no such bucket, or s3:ListBucket is not granted: not needed to read
            for listed in _tables(objects):
                found = pc.index_in(uris, value_set=listed["uri"])
                ids = pc.coalesce(ids, listed["content_id"].combine_chunks().take(found))
    return ids


def _tables(objects: Iterator[ObjectInfo]) -> Iterator[pa.Table]:
    while batch := list(islice(objects, _BATCH)):
        yield pa.table({"uri": [info.uri for info in batch], "content_id": [info.content_id for info in batch]})
