"""Corrections: styles given by reviewers, which override tags in search and labels in training, and dancers named by
them, whom tags and training are then about.

They are kept for ever, as parts under `corrections/` named by a hash of their content: importing a file twice
changes nothing. Of several reviews of a video the last one with a style counts, and the last one with dancers. A part
is taken back by another one that withdraws it, which can be taken back too.
"""

import csv
import hashlib
import io
import json
import posixpath
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from choreai.catalog.catalog import Video
from choreai.errors import ChoreaiWarning, ObjectMissingError, TableError
from choreai.search.dancer_text import DANCER_FIELDS, parse_dancers
from choreai.search.known_names import settle_names
from choreai.search.spreadsheet import unescape_formula
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.storage.uris import shorten
from choreai.tables import schemas
from choreai.tables.forgotten import read_forgotten
from choreai.tables.parts import read_part_of, write_part

_STYLES_ONLY = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string()),
        pa.field("style", pa.string(), nullable=False),
        pa.field("reviewer", pa.string(), nullable=False),
        pa.field("reviewed_at", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("note", pa.string()),
    ],
    metadata={"choreai.table": "corrections", "choreai.schema_version": "1"},
)
"""Of reviews that name no dancer: as 0.1.0 wrote them, and writes them still, so that it can read them."""

CORRECTIONS = pa.schema(
    [
        *(field.with_nullable(True) if field.name == "style" else field for field in _STYLES_ONLY),
        pa.field("dancers", pa.list_(pa.struct(list(DANCER_FIELDS.items())))),
        pa.field("pose_fingerprint", pa.string()),
    ],
    metadata={"choreai.table": "corrections", "choreai.schema_version": "2"},
)
"""One row per review. `content_id` null: it holds for any version of the video. `style` null: it says nothing about the
style; `dancers` null: nor about who dances; no `dancers`: choreai chooses them again."""

WITHDRAWALS = pa.schema(
    [*CORRECTIONS, pa.field("withdraws", pa.string())],
    metadata={"choreai.table": "corrections", "choreai.schema_version": "3"},
)
"""Of parts that take another one back. `withdraws`: the name of that part, whose reviews of the video no longer count;
such a row says nothing else."""
_NAME = re.compile(r"[0-9a-f]{16}")

_NEEDED = ("video_id", "reviewer", "reviewed_at")


@dataclass(frozen=True)
class Import:
    """The outcome of importing a file of reviews."""

    uri: str
    """The part that holds them."""
    num_reviews: int
    is_new: bool
    """False: exactly these reviews had been imported before."""

    @property
    def name(self) -> str:
        """What `withdraw` takes."""
        return _name_of(self.uri)


def import_corrections(root: str, file_uri: str, *, accept_unknown: bool = True) -> Import:
    """Import the reviews in `file_uri` into `root` and return the outcome.

    A .csv, .jsonl or .parquet file with video_id, style or dancers (`choreai.search.dancer_text`), reviewer,
    reviewed_at (ISO 8601; UTC if it names no zone) and, where it has them, content_id, note and pose_fingerprint.
    Raises TableError, which names file, row and remedy, before anything is stored; without `accept_unknown` also for
    styles and videos that the tags tables do not know.
    """
    rows = [(where, _check_review(row, where)) for where, row in _read(file_uri)]
    if not rows:
        raise TableError(f"{file_uri}: no reviews in this file")
    rows = _without_forgotten(root, rows)
    if accept_unknown:
        return store_reviews(root, [row for _, row in rows])
    reviewed_styles = set(read_corrections(root)["style"].drop_null().to_pylist())
    return store_reviews(root, settle_names(root, rows, reviewed_styles=reviewed_styles))


def _without_forgotten(root: str, rows: list[tuple[str, dict[str, object]]]) -> list[tuple[str, dict[str, object]]]:
    """Return the reviews without those of videos that `choreai forget` has forgotten."""
    forgotten = read_forgotten(root)
    kept = [row for row in rows if not (forgotten and forgotten.has_video(str(row[1]["video_id"])))]
    if len(kept) < len(rows):
        warnings.warn(f"{len(rows) - len(kept)} reviews of forgotten videos are left out", ChoreaiWarning, stacklevel=3)
    return kept


def store_reviews(root: str, rows: list[dict[str, object]]) -> Import:
    """Store reviews, with the columns of `CORRECTIONS`, under `root`."""
    schema = CORRECTIONS if any(row["dancers"] is not None for row in rows) else _STYLES_ONLY
    if any(row.get("withdraws") is not None for row in rows):
        schema = WITHDRAWALS
    order = ("reviewed_at", "video_id", "reviewer", "style", "content_id", "note")
    chosen = [
        {name: row[name] for name in schema.names}
        for row in sorted(rows, key=lambda row: tuple(str(row[name]) for name in order))
    ]
    name = hashlib.sha256(json.dumps(chosen, default=str).encode()).hexdigest()[:16]
    uri = _uri(root, name)
    with scratch_folder() as folder:
        is_new = write_part(uri, pa.Table.from_pylist(chosen, schema=schema), folder / "corrections.parquet")
    return Import(uri, len(rows), is_new)


def withdraw(root: str, name: str, *, reviewer: str | None = None) -> tuple[Import, list[str]] | None:
    """Take back the reviews of a part by its `Import.name`; return what was stored, which can be withdrawn too, and
    the ids of the videos. None where there is no such part, or nothing of it counts any more.

    `reviewer` None: whoever wrote the part.
    """
    if not _NAME.fullmatch(name):
        return None
    counting = _counting(root)
    known = set(counting.filter(pc.equal(counting["part"], name))["video_id"].to_pylist())
    try:
        stored = _read_stored(_uri(root, name)).select(["video_id", "content_id", "reviewer"]).to_pylist()
    except ObjectMissingError:
        return None
    now = datetime.now(UTC)
    moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
    rows: dict[str, dict[str, object]] = {
        row["video_id"]: {
            **dict.fromkeys(WITHDRAWALS.names),
            **row,
            "reviewer": reviewer or row["reviewer"],
            "reviewed_at": moment,
            "withdraws": name,
        }
        for row in stored
        if row["video_id"] in known
    }
    if not rows:
        return None
    return store_reviews(root, list(rows.values())), list(rows)


def read_corrections(root: str) -> pa.Table:
    """Read all reviews under `root` that count, oldest first (`CORRECTIONS` schema)."""
    counting = _counting(root)
    reviews = counting.filter(pc.is_null(counting["withdraws"])).select(CORRECTIONS.names)
    return pa.table(reviews.columns, schema=CORRECTIONS)


def _counting(root: str) -> pa.Table:
    """Return the rows that nothing withdraws, oldest first, with `part`, the name of each one's part."""
    parts = [WITHDRAWALS.append(pa.field("part", pa.string())).empty_table()]
    for uri in sorted(info.uri for info in objects.list_objects(objects.join_uri(root, "corrections") + "/")):
        if uri.endswith(".parquet"):
            try:
                stored = _read_stored(uri)
            except TableError as exc:  # reviews by hand: the others still count
                warnings.warn(f"left out: {exc}", ChoreaiWarning, stacklevel=3)
                continue
            parts.append(stored.append_column("part", pa.repeat(pa.scalar(_name_of(uri)), len(stored))))
    order = [(name, "ascending") for name in ("reviewed_at", "video_id", "reviewer", "style")]
    return _without_withdrawn(pa.concat_tables(parts).sort_by(order))


def _without_withdrawn(rows: pa.Table) -> pa.Table:
    """Return the rows without those that a later one withdraws which itself counts."""
    withdrawals = rows.filter(pc.is_valid(rows["withdraws"])).select(["part", "video_id", "withdraws"]).to_pylist()
    if not withdrawals:
        return rows
    gone: set[tuple[str, str]] = set()
    for row in reversed(withdrawals):
        if (row["part"], row["video_id"]) not in gone:
            gone.add((row["withdraws"], row["video_id"]))
    names = zip(rows["part"].to_pylist(), rows["video_id"].to_pylist(), strict=True)
    return rows.filter(pa.array([name not in gone for name in names], pa.bool_()))


def _read_stored(uri: str) -> pa.Table:
    """Read one part of any version, as the newest one."""
    stored = read_part_of(uri, WITHDRAWALS, CORRECTIONS, _STYLES_ONLY)
    missing = [pa.nulls(len(stored), field.type) for field in WITHDRAWALS if field.name not in stored.column_names]
    return pa.table([*stored.columns, *missing], schema=WITHDRAWALS)


def _uri(root: str, name: str) -> str:
    return objects.join_uri(root, "corrections", f"part-{name}.parquet")


def _name_of(uri: str) -> str:
    return uri.rpartition("part-")[2].removesuffix(".parquet")


@dataclass(frozen=True)
class CorrectedLabels:
    """Videos whose labels have been replaced by their reviews."""

    videos: tuple[Video, ...]
    num_changed: int
    """Videos that had another label before, or none."""
    num_removed: int
    """Videos that have lost their label, as a reviewer found none of the styles."""


def correct_labels(videos: Iterable[Video], corrections: pa.Table) -> CorrectedLabels:
    """Return `videos` with the last reviewed style of each as its label; a review of other bytes does not count."""
    corrected: list[Video] = []
    num_changed = num_removed = 0
    for video, style in _with_last_style(videos, corrections):
        label = video.label
        if style is not None:
            label = None if style == schemas.UNKNOWN else style
        num_changed += label is not None and label != video.label
        num_removed += label is None and video.label is not None
        corrected.append(replace(video, label=label))
    return CorrectedLabels(tuple(corrected), num_changed, num_removed)


def reviewed_as_none_of(labels: Collection[str], videos: Iterable[Video], corrections: pa.Table) -> list[Video]:
    """Return the videos whose last review says that they are of none of the styles, or names one that is not among
    `labels`, if there are any."""
    return [
        video
        for video, style in _with_last_style(videos, corrections)
        if style == schemas.UNKNOWN or (style is not None and labels and style not in labels)
    ]


def _with_last_style(videos: Iterable[Video], corrections: pa.Table) -> Iterator[tuple[Video, str | None]]:
    """Yield each video with the style of its last review, None where it has none for these bytes."""
    reviews: dict[str, list[tuple[str | None, str]]] = {}
    with_style = corrections.filter(pc.is_valid(corrections["style"]))
    for row in with_style.select(["video_id", "content_id", "style"]).to_pylist():  # oldest first
        reviews.setdefault(row["video_id"], []).append((row["content_id"], row["style"]))
    for video in videos:
        styles = [s for content, s in reviews.get(video.video_id, []) if content in (None, video.content_id)]
        yield video, styles[-1] if styles else None


def _csv_rows(uri: str, text: str) -> Iterator[tuple[str, dict[str, object]]]:
    lines = csv.reader(io.StringIO(text, newline=""))
    try:
        header = next(lines, [])
        for values in lines:
            where = f"{uri}, line {lines.line_num}"
            if len(values) > len(header):
                raise TableError(f"{where}: {len(values)} values, but the header has {len(header)} names")
            if values:
                yield where, dict(zip(header, map(unescape_formula, values), strict=False))
    except csv.Error as exc:
        raise TableError(f"{uri}, line {lines.line_num}: not CSV ({exc})") from exc


def _read(uri: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (place for messages, row) for each row of a file."""
    extension = posixpath.splitext(uri)[1].lower()
    data = objects.read_object(uri)
    if extension == ".parquet":
        try:
            rows = pq.read_table(io.BytesIO(data)).to_pylist()
        except (
            pa.ArrowException,
            OSError,
            UnicodeDecodeError,
            OverflowError,
        ) as exc:  # Parquet that is damaged inside is an OSError to pyarrow
            raise TableError(f"{uri}: not readable as Parquet ({exc})") from exc
        yield from ((f"{uri}, row {number}", row) for number, row in enumerate(rows, start=1))
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise TableError(f"{uri}: not UTF-8 text ({exc}); save it as UTF-8") from exc
    if extension == ".csv":
        yield from _csv_rows(uri, text)
    elif extension == ".jsonl":
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield f"{uri}, line {number}", _json_row(line, f"{uri}, line {number}")
    else:
        raise TableError(f"{uri}: unknown extension {extension!r}; reviews are a .csv, .jsonl or .parquet file")


def _json_row(line: str, where: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as exc:
        raise TableError(f"{where}: not valid JSON ({exc})") from exc
    if not isinstance(row, dict):
        raise TableError(f"{where}: not a JSON object")
    return row


def _check_review(row: dict[str, object], where: str) -> dict[str, object]:
    if missing := [name for name in _NEEDED if _text(row.get(name)) is None and not _is_time(row.get(name))]:
        raise TableError(f"{where}: {', '.join(missing)} missing or empty; a review needs {', '.join(_NEEDED)}")
    checked: dict[str, object] = {name: _text(row.get(name)) for name in CORRECTIONS.names}
    checked["dancers"] = parse_dancers(row.get("dancers"), where)
    if checked["style"] is None and checked["dancers"] is None:
        raise TableError(f"{where}: style missing or empty; a review needs one, or dancers")
    video_id = row["video_id"]  # not stripped: blanks may be part of an id
    checked["video_id"] = video_id if isinstance(video_id, str) else str(video_id)
    checked["reviewed_at"] = _parse_time(row["reviewed_at"], where)
    return checked


def _text(value: object) -> str | None:
    return str(value).strip() or None if isinstance(value, str | int) else None


def _is_time(value: object) -> bool:
    return isinstance(value, datetime)


def _parse_time(value: object, where: str) -> datetime:
    if isinstance(value, datetime):
        moment = value
    else:
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError as exc:
            raise TableError(
                f"{where}: reviewed_at {shorten(str(value))!r} is not a time; write 2026-11-22T14:30:00Z"
            ) from exc
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
