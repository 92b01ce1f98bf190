"""The catalog for the web pages: search for tagged videos by expression, and show all details of one video.

An ordinary class around one temporary database of tags; Ray Serve runs it in a replica, tests call it directly. A
video's key is a hash of its id, so that URLs contain no ids and ids can contain any character.
"""

import hashlib
import io
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from PIL import Image

from choreai.arrays import BoolArray
from choreai.catalog.pictures import open_source
from choreai.errors import ConfigError, MediaError, ObjectMissingError, StorageError, TableError
from choreai.motion.named_dancers import NamedDancers
from choreai.motion.prominence import dancing_rows
from choreai.motion.sequence import KeypointSequence
from choreai.search.corrections import CORRECTIONS
from choreai.search.dancer_reviews import Found, dancer_reviews, find_named, store_dancers
from choreai.search.exports import export_lines
from choreai.search.known_names import known_spelling, labels_of_models, style_doubt
from choreai.search.search import MEASURES, Search, open_found
from choreai.search.tag_database import TagDatabase, open_tag_database
from choreai.search.words import styles_seen
from choreai.storage.files import write_atomically
from choreai.tables import schemas
from choreai.tables.keypoints import read_videos, sequence_of
from choreai.tables.parts import open_part, part_uri
from choreai.video.pictures import open_reader
from choreai.visualize.stills import draw_people_at
from choreai.web.catalog_reviews import Corrections, Reviewed, Undoing
from choreai.web.catalog_search import (
    ENTRY_COLUMNS,
    Facets,
    Page,
    Query,
    count_facets,
    found_rows,
    make_shown,
    search_page,
    update_shown,
)
from choreai.web.json_values import json_value
from choreai.web.nights import NightsReader
from choreai.web.people import people_json

REFRESH_SECONDS = 60.0
"""How often the tags are read again; twenty times the time that reading takes, if that is longer."""
STILL_WIDTH = 480
MAX_STILL_SECONDS = 15.0
"""A still comes from the first seconds of a video, so that long videos cost no more."""
MAX_KEYPOINT_SECONDS = 600.0

AnswerT = TypeVar("AnswerT")
_DETAILS = ["distribution", "segments", "tracks", "kinematics", "reasons"]


@dataclass(frozen=True)
class _Place:
    """Where a video and its keypoints are stored."""

    video_id: str
    uri: str
    content_id: str
    pose_fingerprint: str


@dataclass(frozen=True, eq=False)
class NamedRows:
    """A video's keypoints, to tag it anew."""

    rows: KeypointSequence
    named: list[int] | None
    """Who dances, by the last review; None: choreai chooses."""
    model_version: str
    """Of the model that tagged the video."""


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="catalog", daemon=True).start()


class CatalogBrowser(NightsReader):
    """Answers the catalog pages' queries from the tables under `output`. Thread-safe."""

    def __init__(
        self,
        output: str,
        stills_folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        in_background: Callable[[Callable[[], None]], None] = _start_thread,
    ) -> None:
        super().__init__(output, clock=clock)
        self._output, self._stills, self._clock, self._in_background = output, stills_folder, clock, in_background
        self._stills.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._undoing = Undoing(output)
        self._lock = threading.RLock()
        self._open = ExitStack()
        self._is_reading = False
        self._corrected: list[str] = []
        self._database: TagDatabase | None = None
        self._read_at, self._read_seconds = -math.inf, 0.0

    def search(self, query: Query, *, offset: int, limit: int) -> Page | str:
        """Return the videos that match, from the `offset`-th on; why not, if the search is not understood."""
        return self._ask(Page(0, [], []), lambda database: search_page(database, query, offset=offset, limit=limit))

    def facets(self, query: Query) -> Facets | str:
        """Return how many of the videos that match are of each kind; why not, if the search is not understood."""
        return self._ask(Facets([], [], [], {}), lambda database: count_facets(database, query))

    def _ask(self, nothing: AnswerT, answer: Callable[[TagDatabase], AnswerT]) -> AnswerT | str:
        """Return the answer of the database, `nothing` where there are no tags, or the mistake in the search."""
        with self._lock:
            database = self._refresh()
            try:
                return nothing if database is None else answer(database)
            except ConfigError as exc:
                return str(exc)

    def video(self, key: str) -> dict[str, Any] | None:
        """Return all that is known about a video; None if no video has this key."""
        try:
            return self._video(key)
        except ObjectMissingError:  # its part has been compacted into another since the tags were read
            with self._lock:
                self._read()
            return self._video(key)

    def _video(self, key: str) -> dict[str, Any] | None:
        row = self._row(key, [*ENTRY_COLUMNS, "part", "row_in_part"])
        if row is None:
            return None
        place = {name: row.pop(name) for name in ("part", "row_in_part")}
        return json_value({**row, **_details(**place)})

    def media_uri(self, key: str) -> str | None:
        """Return the URI of the video file; None if no video has this key."""
        place = self._place(key)
        return place.uri if place else None

    def keypoints(self, key: str) -> list[dict[str, Any]] | None:
        """Return a video's skeletons by time, in frame pixels; None if no video has this key."""
        place = self._place(key)
        if place is None:
            return None
        rows = self._keypoint_rows(place)
        dances = dancing_rows(rows, self._named(place, rows).track_ids)
        flat = np.concatenate([rows.keypoints_xy, rows.keypoint_scores[..., None]], axis=2).reshape(len(rows), -1)
        flat = np.where(np.isfinite(flat), flat, 0).astype(float).round(2)
        order = np.argsort(rows.pts_seconds, kind="stable")
        frames: dict[float, list[dict[str, Any]]] = {}
        for i in order[rows.pts_seconds[order] < MAX_KEYPOINT_SECONDS].tolist():
            people = frames.setdefault(round(float(rows.pts_seconds[i]), 3), [])
            person = {"track_id": int(rows.track_id[i]), "dances": bool(dances[i]), "keypoints": flat[i].tolist()}
            people.append(person)
        return [{"seconds": seconds, "people": people} for seconds, people in frames.items()]

    def people(self, key: str) -> dict[str, Any] | None:
        """Return who is in a video and who of them dances (`people_json`); None if no video has this key."""
        place = self._place(key)
        if place is None:
            return None
        rows = self._keypoint_rows(place)
        return people_json(rows, self._named(place, rows).track_ids, size_wh=self._size_wh(place))

    def named_rows(self, key: str) -> NamedRows | None:
        """Return a video's keypoints with those whom the last review names; None if no video has this key."""
        row = self._row(key, ["model_version"])
        place = self._place(key)
        if row is None or place is None:
            return None
        rows = self._keypoint_rows(place)
        return NamedRows(rows, self._named(place, rows).track_ids, row["model_version"])

    def name_dancers(self, key: str, *, track_ids: Sequence[int], reviewer: str, note: str) -> list[int] | None:
        """Store who dances, or with no ids that choreai chooses; the next `choreai tag` tags the video again.

        Returns the ids that the video does not have; if there are any, nothing is stored. None if no video has this
        key.
        """
        place = self._place(key)
        size_wh = None if place is None else self._size_wh(place)
        if place is None or size_wh is None:
            return None
        rows = self._keypoint_rows(place)
        if unknown := sorted(set(track_ids) - set(rows.track_ids)):
            return unknown
        store_dancers(
            self._output,
            rows,
            track_ids,
            video_id=place.video_id,
            content_id=place.content_id,
            pose_fingerprint=place.pose_fingerprint,
            size_wh=size_wh,
            reviewer=reviewer,
            note=note,
        )
        self._reload_corrections([place.video_id])
        return []

    def still(self, key: str) -> bytes | None:
        """Return a JPEG of one frame with its skeletons; None if there is no such video or it cannot be read."""
        place = self._place(key)
        if place is None:
            return None
        review = self._review(place)
        drawn = place.content_id if review is None else f"{place.content_id} {review.reviewed_at}"
        name = f"{key}-{place.pose_fingerprint}-{hashlib.sha256(drawn.encode()).hexdigest()[:16]}.jpg"
        path = self._stills / name
        if not path.exists():
            try:
                rows = self._keypoint_rows(place)
                found = find_named(review, rows, pose_fingerprint=place.pose_fingerprint)
                picture = _draw_still(place.uri, rows, dancing_rows(rows, found.track_ids))
            except (MediaError, StorageError, ConfigError):
                return None  # the video may have been deleted since
            with write_atomically(path) as temporary:
                temporary.write_bytes(picture)
        return path.read_bytes()

    def meant_style(self, style: str) -> dict[str, str]:
        """Return the `style` in its known spelling, and a `doubt`, empty where it is known or nothing is known yet."""
        with self._lock:
            database = self._refresh()
            known = set() if database is None else {*styles_seen(database), *labels_of_models(self._output)}
        spelling = known_spelling(style, known) if known else style
        return {"style": spelling or style, "doubt": "" if spelling else style_doubt(style, known)}

    def correct(self, keys: Sequence[str], *, style: str, reviewer: str, note: str) -> Corrections:
        """Store the reviewer's style of these videos, which overrides their tags here and in `choreai search`.

        Keys that no video has are not counted.
        """
        with self._lock:
            database = self._refresh()
            rows = [] if database is None else database.rows(
                f"SELECT video_id, content_id FROM shown WHERE key IN ({', '.join('?' * len(keys))})", list(keys)
            )  # fmt: skip
        if not rows:
            return Corrections(0, "")
        stored = self._undoing.store([Reviewed(**row) for row in rows], style=style, reviewer=reviewer, note=note)
        self._reload_corrections([row["video_id"] for row in rows])
        return stored

    def undo(self, name: str) -> int | None:
        """Take back a correction made here (`Corrections.undo`); return of how many videos, None if there is none."""
        video_ids = self._undoing.undo(name)
        if video_ids is None:
            return None
        self._reload_corrections(video_ids)
        return len(video_ids)

    def export(self, query: Query, *, keys: Sequence[str] = ()) -> bytes | str:
        """Return the videos that match, or those of `keys` among them, as CSV; why not, if nothing is understood."""
        return self._ask(b"", lambda database: b"".join(export_lines(found_rows(database, query, keys=keys), to="csv")))

    def _reload_corrections(self, video_ids: Sequence[str]) -> None:
        """Read the corrections again, which have changed for these videos."""
        with self._lock:
            if self._database is not None and video_ids:
                self._database.load_corrections()
                update_shown(self._database, video_ids)
            self._corrected += video_ids if self._is_reading else []

    def _refresh(self) -> TagDatabase | None:
        """Return the database, None while there are no tags; one that is old is read again in the background.

        Call with the lock held.
        """
        age = self._clock() - self._read_at
        if self._database is None:
            if age > max(1.0, 20 * self._read_seconds):
                self._read()
        elif not self._is_reading and age > max(REFRESH_SECONDS, 20 * self._read_seconds):
            self._is_reading = True
            self._in_background(self._read)
        return self._database

    def _read(self) -> None:
        """Read the tables into a new database, and answer from it from then on."""
        started = self._clock()
        try:
            with ExitStack() as opening:
                database = opening.enter_context(open_tag_database(self._output))
                has_tags = _load(database)
                with self._lock:
                    self._open.close()
                    self._open = opening.pop_all()
                    self._database = database if has_tags else None
                    self._reload_corrections(self._corrected)  # that were stored while this one was read
                    self._corrected = []
        finally:
            self._read_at, self._is_reading = self._clock(), False
            self._read_seconds = self._read_at - started

    def _row(self, key: str, columns: list[str]) -> dict[str, Any] | None:
        with self._lock:
            database = self._refresh()
            if database is None:
                return None
            rows = database.rows(f"SELECT {', '.join(columns)} FROM shown WHERE key = ?", [key])
        return rows[0] if rows else None

    def _place(self, key: str) -> _Place | None:
        row = self._row(key, ["video_id", "uri", "content_id", "pose_fingerprint"])
        return None if row is None else _Place(**row)

    def _review(self, place: _Place) -> NamedDancers | None:
        """Return the last review that says who dances in the video; None where none does."""
        with self._lock:
            database = self._refresh()
            reviews = [] if database is None else database.rows(
                f"SELECT {', '.join(CORRECTIONS.names)} FROM corrections WHERE video_id = ? "
                "ORDER BY reviewed_at, reviewer",
                [place.video_id],
            )  # fmt: skip
        table = pa.Table.from_pylist(reviews, schema=CORRECTIONS)
        named = dancer_reviews(table, root=self._output).get(place.video_id, place.content_id)
        return None if named is None else replace(named, size_wh=self._size_wh(place))

    def _named(self, place: _Place, rows: KeypointSequence) -> Found:
        """Return whom the last review names, as found in `rows`."""
        return find_named(self._review(place), rows, pose_fingerprint=place.pose_fingerprint)

    def _size_wh(self, place: _Place) -> tuple[int, int] | None:
        """Return width and height of the video's picture; None where the tables have none."""
        with self._lock:
            database = self._refresh()
            rows = [] if database is None else database.rows(
                "SELECT width, height FROM videos WHERE video_id = ? AND content_id = ? AND version = ? "
                "AND width > 0 AND height > 0",
                [place.video_id, place.content_id, place.pose_fingerprint],
            )  # fmt: skip
        return (int(rows[-1]["width"]), int(rows[-1]["height"])) if rows else None

    def _keypoint_rows(self, place: _Place) -> KeypointSequence:
        with self._lock:
            database = self._refresh()
            shards = [] if database is None else database.rows(
                "SELECT shard_id FROM videos WHERE video_id = ? AND content_id = ? AND version = ?",
                [place.video_id, place.content_id, place.pose_fingerprint],
            )  # fmt: skip
        for row in shards:
            part = part_uri(self._output, "keypoints", place.pose_fingerprint, row["shard_id"])
            for _, rows in read_videos(part, {place.video_id: place.content_id}, with_others=True):
                return rows
        return sequence_of(schemas.KEYPOINTS.empty_table())


def _load(database: TagDatabase) -> bool:
    """Load all tables that the pages need; return whether there are tags."""
    try:
        open_found(database, Search(""), labels=None, features=MEASURES)
    except ConfigError:
        return False
    database.load_videos(["video_id", "content_id", "duration_seconds", "shard_id", "width", "height"])
    make_shown(database)
    return True


def _details(part: str, row_in_part: int) -> dict[str, Any]:
    """Return the long columns of one tags row, which the database does not hold."""
    with open_part(part, schemas.TAGS) as file:
        for batch in file.iter_batches(columns=_DETAILS):
            if row_in_part < len(batch):
                return batch.slice(row_in_part, 1).to_pylist()[0]
            row_in_part -= len(batch)
    raise TableError(f"{part}: it has fewer rows than when it was first read; restart the server")


def _draw_still(uri: str, rows: KeypointSequence, dances: BoolArray) -> bytes:
    """Return a JPEG of the middle one of the first seconds' frames that have people in them."""
    times = np.unique(rows.pts_seconds[rows.pts_seconds < MAX_STILL_SECONDS])
    wanted = float(times[len(times) // 2]) if len(times) else 0.0
    with open_source(uri) as file, open_reader(file, uri=uri) as reader:
        chosen = next(frame for frame in reader.frames() if frame.pts_seconds >= wanted - 1e-3)
    image = draw_people_at(chosen.image, rows, dances, seconds=chosen.pts_seconds)
    picture = Image.fromarray(image)
    picture.thumbnail((STILL_WIDTH, 2 * STILL_WIDTH))
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=82)
    return target.getvalue()
