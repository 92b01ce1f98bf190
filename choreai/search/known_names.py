"""What reviews may name: the styles and videos that the tags tables know.

A misspelt style would become a class of its own in the next training, and a misspelt video is nobody's.
"""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.spellings import spelling_key
from choreai.errors import TableError
from choreai.tables import schemas
from choreai.tables.compact import list_versions
from choreai.tables.parts import current_parts, open_part, read_consistently

MAX_NAMED = 5

Row = dict[str, object]


@dataclass(frozen=True)
class KnownNames:
    """Styles, and of some videos those that are in the tables."""

    styles: frozenset[str]
    """Of the models that have tagged here, and of earlier reviews."""
    video_ids: frozenset[str]
    has_tags: bool
    """False: nothing is known yet, and every name is as good as another."""


def find_known(root: str, video_ids: Collection[str], *, reviewed_styles: Collection[str]) -> KnownNames:
    """Return the styles known under `root`, and which of `video_ids` are."""
    return read_consistently(lambda: _find(root, pa.array(sorted(video_ids), pa.string()), frozenset(reviewed_styles)))


def labels_of_models(root: str) -> set[str]:
    """Return the styles of the models that have tagged here: every tag has the scores of all of its model's."""
    return read_consistently(lambda: set[str]().union(*(_labels(root, each) for each in list_versions(root, "tags"))))


def _labels(root: str, version: str) -> set[str]:
    for uri in current_parts(root, "tags", version).uris:
        with open_part(uri, schemas.TAGS) as part:
            for batch in part.iter_batches(columns=["distribution"]):
                for scores in batch["distribution"].to_pylist():
                    if scores:
                        return {score["style"] for score in scores}
    return set()


def _find(root: str, wanted: pa.Array, reviewed_styles: frozenset[str]) -> KnownNames:
    found, has_tags = set[str](), False
    for version in list_versions(root, "tags"):
        for uri in current_parts(root, "tags", version).uris:
            with open_part(uri, schemas.TAGS) as part:
                for batch in part.iter_batches(columns=["video_id"]):
                    has_tags = has_tags or bool(len(batch))
                    found |= set(batch["video_id"].filter(pc.is_in(batch["video_id"], wanted)).to_pylist())
    styles = (reviewed_styles | labels_of_models(root)) - {schemas.UNKNOWN}
    return KnownNames(frozenset(styles), frozenset(found), has_tags)


def known_spelling(style: str, known: Collection[str]) -> str | None:
    """Return the known style that differs from `style` in case, blanks, hyphens or Unicode form at most."""
    if style in known or style == schemas.UNKNOWN:
        return style
    keys = {spelling_key(each): each for each in sorted(known)}
    return schemas.UNKNOWN if spelling_key(style) == schemas.UNKNOWN else keys.get(spelling_key(style))


def style_doubt(style: str, known: Collection[str]) -> str:
    """Return what is to be said about a style that nobody knows."""
    keys = {spelling_key(each): each for each in known}
    near = difflib.get_close_matches(spelling_key(style), keys, n=1, cutoff=0.6)
    meant = f"did you mean {keys[near[0]]!r}?" if near else f"the styles are {', '.join(sorted(known))}"
    return f"no style {style!r} is known here; {meant}"


def settle_names(root: str, rows: Sequence[tuple[str, Row]], *, reviewed_styles: Collection[str]) -> list[Row]:
    """Return the reviews, each with its place in the file, in the known spelling of their styles.

    Raises TableError, which names the places, for styles and videos that are not known.
    """
    known = find_known(root, {str(row["video_id"]) for _, row in rows}, reviewed_styles=reviewed_styles)
    if not known.has_tags:
        return [row for _, row in rows]
    settled: list[Row] = []
    doubts: list[str] = []
    for where, row in rows:
        if row["video_id"] not in known.video_ids:
            doubts.append(f"{where}: no video {row['video_id']!r} is in the tags tables; check the id")
        style = row["style"] and known_spelling(str(row["style"]), known.styles)
        if row["style"] and style is None:
            doubts.append(f"{where}: {style_doubt(str(row['style']), known.styles)}")
        settled.append({**row, "style": style})
    if doubts:
        more = f"; and {len(doubts) - MAX_NAMED} more" if len(doubts) > MAX_NAMED else ""
        remedy = "Nothing was stored; if they are meant, --accept-unknown stores them"
        raise TableError(f"{'; '.join(doubts[:MAX_NAMED])}{more}. {remedy}")
    return settled
