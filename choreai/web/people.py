"""The people of a catalog video for its page: who dances, by choreai or by a reviewer, and everybody to choose from."""

from collections.abc import Collection
from typing import Any

from choreai.motion.people import Person, describe_people, listed
from choreai.motion.prominence import choose_dancers
from choreai.motion.sequence import KeypointSequence
from choreai.style.tagging import MIN_DANCER_CONFIDENCE

NUM_LISTED = 12


def people_json(
    rows: KeypointSequence, named: Collection[int] | None, *, size_wh: tuple[int, int] | None
) -> dict[str, Any]:
    """Return the people, first who dances for longest, and whether it is uncertain who does. `named`: the ids of those
    whom a reviewer named, as they are found in `rows`; None: choreai chooses."""
    people = describe_people(rows, named)
    shown = listed(people, num=NUM_LISTED)
    return {
        "uncertain": choose_dancers(rows, named).confidence < MIN_DANCER_CONFIDENCE,
        "named": None if named is None else sorted(named),
        "num_more": len(people) - len(shown),
        "people": [_person_json(person, size_wh) for person in shown],
    }


def _person_json(person: Person, size_wh: tuple[int, int] | None) -> dict[str, Any]:
    return {
        "track_id": person.track_id,
        "seconds": round(person.seconds, 1),
        "height_share": None if size_wh is None else round(person.height_pixels / size_wh[1], 3),
        "movement": round(person.movement, 2),
        "prominence": round(person.prominence, 2),
        "dancing_share": round(person.dancing_share, 3),
        "clearest_seconds": round(person.clearest_seconds, 3),
    }
