"""The question who dances, for review: a picture of each of a video's people, and what to store when one is chosen."""

from dataclasses import dataclass

from choreai.motion.named_dancers import boxes_of
from choreai.motion.people import Person, describe_people, listed
from choreai.motion.sequence import KeypointSequence
from choreai.search.dancer_text import format_dancers
from choreai.visualize.portraits import draw_portraits

NUM_PEOPLE = 8
"""As many as there are letters from `a` to `h`, the page's keys for them."""
MAX_SECONDS = 60.0
"""People are shown as in a video's first minute, so that a long one costs no more to decode."""


@dataclass(frozen=True)
class PossibleDancer:
    """One of the people to choose from."""

    person: Person
    portrait: bytes
    """A JPEG."""
    text: str
    """`dancers` of a review that names this person (`choreai.search.dancer_text`)."""


def possible_dancers(uri: str, rows: KeypointSequence, *, size_wh: tuple[int, int]) -> tuple[PossibleDancer, ...]:
    """Return who may dance, first whom choreai takes to dance for longest.

    Raises MediaError or StorageError where the video cannot be read.
    """
    shown = listed(describe_people(rows.between(0.0, MAX_SECONDS)), num=NUM_PEOPLE)
    portraits = draw_portraits(uri, rows, {person.track_id: person.clearest_seconds for person in shown})
    return tuple(
        PossibleDancer(
            person,
            portraits[person.track_id],
            format_dancers(boxes_of(rows, [person.track_id], size_wh=size_wh)),
        )
        for person in shown
        if person.track_id in portraits
    )
