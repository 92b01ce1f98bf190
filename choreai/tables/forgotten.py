"""Forgotten videos: whose rows were taken out for good, and which no job takes up again.

`forgotten/` under an output has a salt, written once, and a tombstone for each `choreai forget`. A tombstone holds no
id, only salted SHA-256 hashes of video ids, and of content ids where the same bytes are refused under another id too.
So nothing under the output says whom it was about, but whoever has an id can find out that it was forgotten: every job
does, and so can anyone who may read the output and guesses the id.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import BoolArray
from choreai.errors import TableError
from choreai.fingerprint import fingerprint
from choreai.storage import objects
from choreai.storage.uris import shorten

FOLDER = "forgotten"
_SALT_NAME = "salt"
_ROWS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class TrainedModel:
    """A model that was trained on some of the videos."""

    model_version: str
    num_videos: int
    is_taught: bool
    """Whether a video is an example of a taught style: then `model.json` names it, and cannot be changed."""


@dataclass(frozen=True)
class Tombstone:
    """What one `choreai forget` has left of its videos."""

    videos: frozenset[str]
    """Hashes of their ids."""
    contents: frozenset[str]
    """Hashes of content ids that are refused under any video id."""
    models: tuple[TrainedModel, ...]
    """Those that were trained on them: once predictions no longer have the videos, nothing else says so."""


@dataclass(frozen=True)
class Forgotten:
    """What the tombstones under an output say."""

    salt: str = ""
    """Empty: nothing was ever forgotten here."""
    videos: frozenset[str] = frozenset()
    """Hashes of video ids."""
    contents: frozenset[str] = frozenset()
    """Hashes of content ids that are refused under any video id."""

    def __bool__(self) -> bool:
        return bool(self.videos or self.contents)

    def has_video(self, video_id: str) -> bool:
        """Return whether the video with this id was forgotten, whatever its bytes."""
        return _hash(self.salt, video_id) in self.videos

    def find(self, table: pa.Table) -> BoolArray:
        """Return for each row of `table` (video_id and, where it is known, content_id) whether it was forgotten."""
        found = np.zeros(len(table), np.bool_)
        for name, hashes in (("video_id", self.videos), ("content_id", self.contents)):
            if hashes and name in table.column_names:
                found |= self._find(table.select([name]), name, hashes)
        return found

    def _find(self, table: pa.Table, name: str, hashes: frozenset[str]) -> BoolArray:
        import duckdb

        found = [np.zeros(0, np.bool_)]
        wanted = pa.array(sorted(hashes), pa.string())
        with duckdb.connect() as connection:
            connection.execute("SET threads = 1")  # which keeps the rows in their order
            for start in range(0, len(table), _ROWS_AT_ONCE):
                rows = connection.from_arrow(table.slice(start, _ROWS_AT_ONCE))
                hashed = rows.project(f"sha256('{self.salt}' || chr(10) || {name}) AS hash").to_arrow_table()
                found.append(pc.is_in(hashed["hash"], value_set=wanted).to_numpy())
        return np.concatenate(found)


def read_forgotten(root: str) -> Forgotten:
    """Return what was forgotten under `root`; one listing where nothing was.

    Raises TableError for a tombstone that cannot be read: a job that went on would take up what it names.
    """
    uris = sorted(info.uri for info in objects.list_objects(objects.join_uri(root, FOLDER) + "/"))
    tombstones = [read_tombstone(uri) for uri in uris if uri.endswith(".json")]
    if not tombstones:
        return Forgotten()
    return Forgotten(
        salt=_read_salt(root),
        videos=frozenset[str]().union(*(each.videos for each in tombstones)),
        contents=frozenset[str]().union(*(each.contents for each in tombstones)),
    )


def write_tombstone(
    root: str, video_ids: Iterable[str], content_ids: Iterable[str] = (), *, models: Sequence[TrainedModel] = ()
) -> str:
    """Write the tombstone of these videos under `root` and return its URI; a second one of the same changes nothing."""
    salt_uri = objects.join_uri(root, FOLDER, _SALT_NAME)
    if objects.stat_object(salt_uri) is None:
        objects.put_if_absent(salt_uri, secrets.token_hex(32).encode())
    salt = _read_salt(root)
    hashes = {
        "videos": sorted(_hash(salt, each) for each in video_ids),
        "contents": sorted(_hash(salt, each) for each in content_ids),
    }
    uri = objects.join_uri(root, FOLDER, f"{fingerprint(hashes)}.json")
    text = json.dumps({**hashes, "models": [asdict(each) for each in models]}, indent=1) + "\n"
    objects.put_if_absent(uri, text.encode())
    return uri


def read_tombstone(uri: str) -> Tombstone:
    """Return the tombstone at `uri`. Raises TableError if it is none."""
    try:
        found = json.loads(objects.read_object(uri))
        videos, contents = (frozenset(map(str, found[name])) for name in ("videos", "contents"))
        return Tombstone(videos, contents, tuple(TrainedModel(**each) for each in found["models"]))
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise TableError(
            f"{uri}: not a tombstone that this release can read ({shorten(repr(exc))}); restore it from a copy, or "
            "delete it and forget its videos again"
        ) from exc


def _hash(salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt}\n{name}".encode("utf-8", "surrogatepass")).hexdigest()


def _read_salt(root: str) -> str:
    uri = objects.join_uri(root, FOLDER, _SALT_NAME)
    salt = objects.read_object(uri).decode("ascii", "replace")
    if re.fullmatch("[0-9a-f]{64}", salt) is None:
        raise TableError(f"{uri}: not the salt that `choreai forget` wrote; restore it from a copy")
    return salt
