"""The catalog for the web pages: search for tagged videos by expression, and show all details of one video.

An ordinary class around one temporary database of tags; Ray Serve runs it in a replica, tests call it directly. A
video's key is a hash of its id, so that URLs contain no ids and ids can contain any character.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from choreai.arrays import BoolArray
from choreai.errors import ConfigError, ObjectMissingError, TableError
from choreai.motion.named_dancers import NamedDancers
from choreai.motion.prominence import dancing_rows
from choreai.motion.sequence import KeypointSequence
from choreai.search.corrections import CORRECTIONS
from choreai.search.dancer_reviews import Found, dancer_reviews, find_named, store_dancers
from choreai.search.known_names import known_spelling, labels_of_models, style_doubt
from choreai.search.tag_database import TagDatabase
from choreai.search.words import styles_seen
from choreai.tables import schemas
from choreai.tables.keypoints import read_videos, sequence_of
from choreai.tables.parts import open_part, part_uri
from choreai.web.catalog_export import ExportKind, export
from choreai.web.catalog_pictures import CatalogPictures
from choreai.web.catalog_reviews import Corrections, Reviewed, store_styles, take_back
from choreai.web.catalog_search import (
    ENTRY_COLUMNS,
    Facets,
    Page,
    Query,
    count_facets,
    found_rows,
    search_page,
)
from choreai.web.json_values import json_value
from choreai.web.nights import NightsReader
from choreai.web.people import people_json
from choreai.web.shown_tags import AnswerT, ShownTags, start_thread
from choreai.web.similar_videos import SimilarVideos

MAX_KEYPOINT_SECONDS = 600.0

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


class CatalogBrowser(NightsReader):
    """Answers the catalog pages' queries from the tables under `output`. Thread-safe."""

    def __init__(
        self,
        output: str,
        stills_folder: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        in_background: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        super().__init__(output, clock=clock)
        self._output = output
        self._pictures = CatalogPictures(stills_folder)
        self._tags = ShownTags(output, clock=clock, in_background=in_background)
        self._similar = SimilarVideos(output, clock=clock)

    def search(self, query: Query, *, offset: int, limit: int) -> Page | str:
        """Return the videos that match, from the `offset`-th on; why not, if the search is not understood."""
        return self._ask(Page(0, [], []), lambda database: search_page(database, query, offset=offset, limit=limit))

    def facets(self, query: Query) -> Facets | str:
        """Return how many of the videos that match are of each kind; why not, if the search is not understood."""
        return self._ask(Facets([], [], [], {}), lambda database: count_facets(database, query))

    def _ask(self, nothing: AnswerT, answer: Callable[[TagDatabase], AnswerT]) -> AnswerT | str:
        """Return the answer of the database, `nothing` where there are no tags, or the mistake in the search."""
        try:
            return self._tags.ask(nothing, answer)
        except ConfigError as exc:
            return str(exc)

    def video(self, key: str) -> dict[str, Any] | None:
        """Return all that is known about a video; None if no video has this key."""
        try:
            return self._video(key)
        except ObjectMissingError:  # its part has been compacted into another since the tags were read
            self._tags.read_again()
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
        flat = np.concatenate([rows.keypoints_xy, rows.keypoint_scores[..., None]], axis=2).reshape(len(rows), 51)
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
        self._tags.reload_corrections([place.video_id])
        return []

    def still(self, key: str) -> bytes | None:
        """Return a JPEG of one frame with its skeletons; None if there is no such video or it cannot be read."""
        place = self._place(key)
        if place is None:
            return None
        review = self._review(place)

        def rows() -> tuple[KeypointSequence, BoolArray]:
            found = self._keypoint_rows(place)
            named = find_named(review, found, pose_fingerprint=place.pose_fingerprint)
            return found, dancing_rows(found, named.track_ids)

        drawn = place.content_id if review is None else f"{place.content_id} {review.reviewed_at}"
        return self._pictures.still(key, version=place.pose_fingerprint, drawn=drawn, uri=place.uri, rows=rows)

    def portrait(self, key: str, track_id: int) -> bytes | None:
        """Return a JPEG of one of a video's people; None if there is no such video, or no portrait of them."""
        place = self._place(key)
        if place is None:
            return None
        return self._pictures.portrait(
            key,
            track_id,
            version=place.pose_fingerprint,
            drawn=place.content_id,
            uri=place.uri,
            rows=lambda: self._keypoint_rows(place),
        )

    def meant_style(self, style: str) -> dict[str, str]:
        """Return the `style` in its known spelling, and a `doubt`, empty where it is known or nothing is known yet."""
        seen: set[str] | None = self._tags.ask(None, lambda database: set(styles_seen(database)))
        known = set() if seen is None else {*seen, *labels_of_models(self._output)}
        spelling = known_spelling(style, known) if known else style
        return {"style": spelling or style, "doubt": "" if spelling else style_doubt(style, known)}

    def correct(self, keys: Sequence[str], *, style: str, reviewer: str, note: str) -> Corrections:
        """Store the reviewer's style of these videos, which overrides their tags here and in `choreai search`.

        Keys that no video has are not counted.
        """
        rows = self._tags.rows(
            f"SELECT video_id, content_id FROM shown WHERE key IN ({', '.join('?' * len(keys))})", list(keys)
        )
        if not rows:
            return Corrections(0, "")
        videos = [Reviewed(**row) for row in rows]
        stored = store_styles(self._output, videos, style=style, reviewer=reviewer, note=note)
        self._tags.reload_corrections(stored.video_ids)
        return stored

    def undo(self, name: str, *, reviewer: str | None = None) -> Corrections | None:
        """Take back a correction or an undoing (`Corrections.undo`), whichever process stored it; None if nothing of it
        counts."""
        taken = take_back(self._output, name, reviewer=reviewer)
        if taken is not None:
            self._tags.reload_corrections(taken.video_ids)
        return taken

    def similar(self, key: str, *, count: int) -> dict[str, Any] | None:
        """Return the videos that move like this one; None if no video has this key."""
        row = self._row(key, ["video_id", "model_version"])
        if row is None:
            return None
        alike = self._similar.like(row["video_id"], model_version=row["model_version"], count=count)
        ids = [each.video_id for each in alike.found]
        columns = ", ".join(ENTRY_COLUMNS)
        shown = self._tags.rows(f"SELECT {columns} FROM shown WHERE video_id IN (SELECT unnest(?))", [ids])
        entries = {entry["video_id"]: entry for entry in shown}
        videos = [{**entries[each.video_id], **asdict(each)} for each in alike.found if each.video_id in entries]
        return json_value(
            {
                "video_id": row["video_id"],
                "videos": videos,
                "model_version": alike.model_version,
                "num_videos": alike.num_videos,
                "why_none": alike.why_none,
            }
        )

    def export(self, query: Query, *, keys: Sequence[str] = (), to: ExportKind = "csv") -> bytes | str:
        """Return the videos that match, or those of `keys` among them, as a file; why not, if nothing is understood."""
        about = json.dumps({"q": query.q, **query.chosen, "sort": query.sort})
        return self._ask(b"", lambda database: export(found_rows(database, query, keys=keys), to=to, about=about))

    def _row(self, key: str, columns: list[str]) -> dict[str, Any] | None:
        rows = self._tags.rows(f"SELECT {', '.join(columns)} FROM shown WHERE key = ?", [key])
        return rows[0] if rows else None

    def _place(self, key: str) -> _Place | None:
        row = self._row(key, ["video_id", "uri", "content_id", "pose_fingerprint"])
        return None if row is None else _Place(**row)

    def _review(self, place: _Place) -> NamedDancers | None:
        """Return the last review that says who dances in the video; None where none does."""
        reviews = self._tags.rows(
            f"SELECT {', '.join(CORRECTIONS.names)} FROM corrections WHERE video_id = ? ORDER BY reviewed_at, reviewer",
            [place.video_id],
        )
        table = pa.Table.from_pylist(reviews, schema=CORRECTIONS)
        named = dancer_reviews(table, root=self._output).get(place.video_id, place.content_id)
        return None if named is None else replace(named, size_wh=self._size_wh(place))

    def _named(self, place: _Place, rows: KeypointSequence) -> Found:
        """Return whom the last review names, as found in `rows`."""
        return find_named(self._review(place), rows, pose_fingerprint=place.pose_fingerprint)

    def _size_wh(self, place: _Place) -> tuple[int, int] | None:
        """Return width and height of the video's picture; None where the tables have none."""
        rows = self._tags.rows(
            "SELECT width, height FROM videos WHERE video_id = ? AND content_id = ? AND version = ? "
            "AND width > 0 AND height > 0",
            [place.video_id, place.content_id, place.pose_fingerprint],
        )
        return (int(rows[-1]["width"]), int(rows[-1]["height"])) if rows else None

    def _keypoint_rows(self, place: _Place) -> KeypointSequence:
        shards = self._tags.rows(
            "SELECT shard_id FROM videos WHERE video_id = ? AND content_id = ? AND version = ?",
            [place.video_id, place.content_id, place.pose_fingerprint],
        )
        for row in shards:
            part = part_uri(self._output, "keypoints", place.pose_fingerprint, row["shard_id"])
            for _, rows in read_videos(part, {place.video_id: place.content_id}, with_others=True):
                return rows
        return sequence_of(schemas.KEYPOINTS.empty_table())


def _details(part: str, row_in_part: int) -> dict[str, Any]:
    """Return the long columns of one tags row, which the database does not hold."""
    with open_part(part, schemas.TAGS) as file:
        for batch in file.iter_batches(columns=_DETAILS):
            if row_in_part < len(batch):
                return batch.slice(row_in_part, 1).to_pylist()[0]
            row_in_part -= len(batch)
    raise TableError(f"{part}: it has fewer rows than when it was first read; restart the server")
