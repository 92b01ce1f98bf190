"""A copy of cached weights for machines without a network: a folder or an s3:// prefix, files named by hash.

`index.json` beside them says what they are, to people and to other programs; fetching needs the files alone.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from choreai.errors import ConfigError, StorageError, WeightsError
from choreai.storage import objects
from choreai.weights.cache import Cache, os_errors, sha256_of
from choreai.weights.catalogue import Catalogue, WeightsFile
from choreai.weights.sources import is_http

INDEX = "index.json"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Mirrored:
    """One file in the mirror."""

    entry: WeightsFile
    uri: str
    was_there: bool


def resolve_mirror(target: str) -> str:
    """Return the folder or prefix, absolute. Raises ConfigError for what cannot be written to."""
    if is_http(target):
        raise ConfigError(f"{target}: a mirror is written to a folder or an s3:// prefix; http:// can only be read")
    return objects.resolve_uri(target, against=".")


def copy_to_mirror(entries: Iterable[WeightsFile], cache: Cache, target: str) -> Iterator[Mirrored]:
    """Put each cached file into the mirror, unless it is there; one after the other, as they are asked for.

    Raises WeightsError for a file that is not in the cache or damaged there, StorageError where the mirror has
    something else under the name.
    """
    for entry in entries:
        path = cache.find(entry)
        if path is None:
            raise WeightsError(f"{entry.name} is not in {cache.folder}; `choreai weights fetch {entry.name}` first")
        with os_errors(path):
            if (found := sha256_of(path)) != entry.sha256:
                raise WeightsError(
                    f"{entry.name}: {path} is damaged: sha256 {found}, expected {entry.sha256}; "
                    f"`choreai weights fetch {entry.name}` replaces it"
                )
        uri = objects.join_uri(target, entry.file_name)
        was_there = not objects.put_if_absent(uri, path)
        _check_size(uri, path.stat().st_size)
        yield Mirrored(entry, uri, was_there)


def write_index(catalogue: Catalogue, target: str) -> str:
    """Write what the mirror holds to its index, and return the index's URI. Files nobody knows are left out."""
    held = {info.uri.rpartition("/")[2]: info.size for info in objects.list_objects(target, sub_folders=False)}
    rows = [_row(entry, held[entry.file_name]) for entry in catalogue.weights.values() if entry.file_name in held]
    uri = objects.join_uri(target, INDEX)
    objects.put_object(uri, (json.dumps({"version": 1, "files": rows}, indent=1) + "\n").encode())
    return uri


def hash_in_mirror(entry: WeightsFile, target: str) -> str | None:
    """Return the sha256 of the mirror's file, read whole; None where there is none."""
    uri = objects.join_uri(target, entry.file_name)
    if objects.stat_object(uri) is None:
        return None
    digest = hashlib.sha256()
    with objects.open_object(uri) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _check_size(uri: str, num_bytes: int) -> None:
    info = objects.stat_object(uri)
    if info is None or info.size != num_bytes:
        size = "nothing" if info is None else f"{info.size:,} bytes"
        raise StorageError(uri, f"has {size} instead of {num_bytes:,} bytes; delete it and mirror again")


def _row(entry: WeightsFile, num_bytes: int) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "file": entry.file_name,
        "num_bytes": num_bytes,
        "sha256": entry.sha256,
        "url": entry.url,
        "licence": entry.licence,
        "trained_on": entry.data.name,
        "data_terms": entry.data.terms,
        "accuracy": f"{entry.accuracy} on {entry.measured_on}",
        "preprocessing": entry.preprocessing,
        "input_hw": list(entry.input_hw),
    }
