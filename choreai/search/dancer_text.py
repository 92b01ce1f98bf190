"""Who dances, written as text in a review: `3@1.2:0.10,0.25,0.20,0.60`, for each person and about every second.

That is: track 3, at 1.2 seconds, left, top, width and height of the box as shares of the picture. `auto` leaves the
choice to choreai again.
"""

from collections.abc import Iterable
from dataclasses import asdict

import pyarrow as pa

from choreai.errors import TableError
from choreai.motion.named_dancers import PersonBox

AUTO = "auto"
DANCER_FIELDS = {"track_id": pa.int32(), **dict.fromkeys(("seconds", "left", "top", "width", "height"), pa.float32())}
"""A box of a dancer, as a table holds it."""


def format_dancers(boxes: Iterable[PersonBox]) -> str:
    """Return the boxes as text."""
    return " ".join(
        f"{box.track_id}@{box.seconds:g}:{box.left:g},{box.top:g},{box.width:g},{box.height:g}" for box in boxes
    ) or AUTO  # fmt: skip


def parse_dancers(value: object, where: str) -> list[dict[str, object]] | None:
    """Return the boxes of a review, from text or from a table's list; None where it says nothing about who dances.

    Raises TableError, which names the place `where`.
    """
    if isinstance(value, list):
        return [_checked(box, where) for box in value]
    text = str(value).strip() if isinstance(value, str) else ""
    if not text:
        return None
    return [] if text == AUTO else [_checked(_parse_box(each, where), where) for each in text.split()]


def _parse_box(text: str, where: str) -> dict[str, object]:
    track_id, _, place = text.partition("@")
    seconds, _, numbers = place.partition(":")
    try:
        left, top, width, height = (float(number) for number in numbers.split(","))
        return asdict(PersonBox(int(track_id), float(seconds), left, top, width, height))
    except ValueError as exc:
        raise TableError(
            f"{where}: dancers {text!r} is no box of a person; write ID@SECONDS:LEFT,TOP,WIDTH,HEIGHT in shares of the "
            f"picture, or {AUTO}, or let `choreai show VIDEO --output URI --person ID` write it"
        ) from exc


def _checked(box: object, where: str) -> dict[str, object]:
    try:
        return asdict(box_of(box))
    except (KeyError, TypeError, ValueError) as exc:
        raise TableError(f"{where}: dancers {box!r} is no box of a person ({exc})") from exc


def box_of(row: object) -> PersonBox:
    """Return the box that a table holds. Raises KeyError, TypeError or ValueError for anything else."""
    if not isinstance(row, dict):
        raise TypeError(f"it must be a struct of {', '.join(DANCER_FIELDS)}")
    numbers = {name: float(row[name]) for name in DANCER_FIELDS if name != "track_id"}
    return PersonBox(int(row["track_id"]), **numbers)
