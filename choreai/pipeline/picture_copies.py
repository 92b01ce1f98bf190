"""Copies among a catalog's videos, told by their pictures."""

from collections.abc import Iterator, Mapping

import numpy as np

from choreai.motion.signature import SignatureMatch
from choreai.video.picture_match import MIN_LIKENESS, NO_MATCH, MovingPictures, PictureMatch, PictureMatcher
from choreai.video.picture_signature import PictureSignature

MIN_MOVING, MIN_STILL = 0.56, 0.8
"""Copies of real clips came to 0.62 and 0.95 at least, other performances to 0.53 and 0.96 at most, generated dancers
who do the same steps to 0.52 (docs/experiments.md)."""
NUM_CANDIDATES = 16
"""Videos that each video is laid over: those with the windows most alike."""


class PictureCopies:
    """Compares the pictures of videos; those without are never judged."""

    def __init__(self, signatures: Mapping[str, PictureSignature]) -> None:
        pictures = {name: MovingPictures(signature) for name, signature in signatures.items()}
        self._pictures = {name: each for name, each in pictures.items() if len(each.own)}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def pairs(self) -> Iterator[list[tuple[str, str]]]:
        """Yield of each video the pairs of it and its copies, none twice."""
        names = sorted(self._pictures, key=lambda name: len(self._pictures[name]))  # the shorter over the longer
        if not names:
            return
        courses = np.concatenate([self._pictures[name].own.courses for name in names])
        ends = np.cumsum([len(self._pictures[name].own) for name in names])
        for place, name in enumerate(names):
            matcher = PictureMatcher(self._pictures[name])
            likenesses = matcher.likenesses(courses[ends[place] :], ends[place:-1] - ends[place])
            nearest = np.argsort(-likenesses, kind="stable")[:NUM_CANDIDATES]
            others = [names[place + 1 + near] for near in nearest[likenesses[nearest] >= MIN_LIKENESS]]
            yield [(name, other) for other in others if _is_copy(matcher.match(self._pictures[other]))]

    def match(self, one: str, other: str) -> PictureMatch | None:
        """Return how the other lies over the first; None where one of them has no pictures in which something moves."""
        if not self.tell(one, other):
            return None
        first, second = self._pictures[one], self._pictures[other]
        if len(first) <= len(second):
            return PictureMatcher(first).match(second)
        back = PictureMatcher(second).match(first)
        return back if back == NO_MATCH else back.reversed()

    def tell(self, one: str, other: str) -> bool:
        """Return whether both videos have pictures in which something moves: these say whether they are copies."""
        return one in self._pictures and other in self._pictures

    def describe(self, one: str, other: str) -> SignatureMatch | None:
        """Return how the other lies over the first, where their pictures are copies."""
        found = self.match(one, other)
        if found is None or not _is_copy(found):
            return None
        return SignatureMatch(found.moving, found.mirrored, found.speed, found.offset_seconds)


def _is_copy(match: PictureMatch) -> bool:
    return match.moving >= MIN_MOVING and match.still >= MIN_STILL
