"""Near-duplicates: videos of one performance, mirrored, cropped, at another speed or compressed again.

Told by their pictures where there is a pictures table (`choreai.pipeline.picture_copies`), and from the keypoint tables
by two signatures: of the most prominent dancer, which tells best what one dancer does, and of everybody, which finds
copies of crowds. Dancers of different videos may repeat the same steps: movement counts only where there are no
pictures. Signatures are not stored: they take 35 ms of CPU time a video, as long as reading the poses. In memory they
are 0.2 MB for ten seconds of a crowd.
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from choreai.arrays import FloatArray
from choreai.errors import ConfigError
from choreai.motion.crowd_match import CrowdMatcher, WholeMatcher, repetition
from choreai.motion.crowd_signature import CrowdSignature, MotionWindows, crowd_signature
from choreai.motion.sequence import KeypointSequence
from choreai.motion.signature import (
    MotionSignature,
    SignatureMatch,
    SignatureMatcher,
    match_signatures,
    motion_signature,
    outline,
)
from choreai.natural_order import natural_key
from choreai.pipeline.picture_copies import PictureCopies
from choreai.pipeline.progress import progress
from choreai.style.model import load_model, newest_model
from choreai.tables.compact import list_versions
from choreai.tables.keypoints import read_contents
from choreai.tables.parts import list_parts
from choreai.tables.pictures import read_pictures

MIN_CORRELATION = 0.74
"""On two estimators' poses of 183 clips, 10,600 pairs in all, other performances came to 0.73 at most."""
NUM_CANDIDATES = 32
"""Nearest outlines that each video is matched with, and as many of its mirror image."""
ROWS_AT_ONCE = 1024
MIN_AGREEMENT = 0.42
"""Of crowds. On two estimators' poses of 183 clips, 33,000 pairs in all, other performances came to 0.41 at most."""
NUM_PAIRS, AGREEMENT_BY_PAIRS = 183 * 182 // 2, 0.025
"""Of twice as many pairs as those, so much higher: as many pairs as before then reach it by chance."""
MIN_WHOLE_AGREEMENT = 0.3
"""Of crowds from beginning to end: other performances came to 0.29 at most."""
MAX_REPETITION, MIN_ADVANTAGE = 0.6, 0.05
"""A video that agrees so far with itself at another moment must agree more with its copy: the steps repeat."""
MAX_COMPARED = 1000
"""Videos of a training: 500,000 pairs, two minutes of CPU time."""
MAX_LENGTH_RATIO = 1.24
MIN_HITS = 3
NUM_CROWDS = 10
"""Videos that each video's crowd is laid over: those in which most of its windows have their like."""
MIN_SPEED_CHANGE = 0.03
MIN_OFFSET_SECONDS = 0.5
"""Smaller changes are not told: neighbouring speeds and lags fit nearly as well."""


UNTOLD = SignatureMatch(-1.0, False, 1.0, 0.0)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class VideoSignature:
    """By what copies of a video are told."""

    dancer: MotionSignature
    crowd: CrowdSignature

    @classmethod
    def of(cls, sequence: KeypointSequence) -> "VideoSignature":
        """Return the signature of a video with these keypoints."""
        return cls(motion_signature(sequence), crowd_signature(sequence))

    def match(self, other: "VideoSignature") -> SignatureMatch:
        """Return how the other lies over this one: by its dancer where that fits, else by its crowd."""
        dancer = match_signatures(self.dancer, other.dancer)
        if dancer.correlation >= MIN_CORRELATION:
            return dancer
        whole = WholeMatcher(self.crowd).match(other.crowd)
        found = (dancer, whole, CrowdMatcher(self.crowd).match(other.crowd.own))
        return max(found, key=lambda match: match.correlation)


@dataclass(frozen=True)
class Duplicate:
    """A video of a group, and how it lies over the group's first."""

    video_id: str
    match: SignatureMatch


@dataclass(frozen=True)
class DuplicateGroup:
    """Videos of one performance: each is a near-duplicate of another of them."""

    first: str
    """The id that is first in natural order."""
    others: tuple[Duplicate, ...]

    @property
    def video_ids(self) -> tuple[str, ...]:
        return (self.first, *(each.video_id for each in self.others))


def find_duplicates(output: str, pose_fingerprint: str) -> tuple[list[DuplicateGroup], int]:
    """Return the groups of near-duplicates among the videos of a keypoints table, and how many were compared."""
    signatures = read_signatures(output, pose_fingerprint)
    pictures = read_pictures(output, pose_fingerprint)
    return group_duplicates(signatures, PictureCopies(pictures)), len(signatures.keys() | pictures.keys())


def copies_among(
    output: str, pose_fingerprint: str, video_ids: Collection[str], *, by_movement: bool
) -> list[tuple[str, ...]]:
    """Return which of these videos show one performance, by their pictures where there is a pictures table.

    `by_movement`: and by everybody's movement from beginning to end, which takes people who repeat the same steps for
    copies where no pictures contradict. Of more than MAX_COMPARED videos none: a training should not wait for it.
    """
    if len(video_ids) > MAX_COMPARED:
        logger.info("copies were not looked for: more than %d videos; similar --duplicates lists them", MAX_COMPARED)
        return []
    names = frozenset(video_ids)
    pictures = PictureCopies(read_pictures(output, pose_fingerprint, names))
    crowds = {}
    for uri in sorted(list_parts(output, "keypoints", pose_fingerprint)) if by_movement else ():
        for video_id, _, rows in read_contents(uri):
            if video_id in names:
                crowds[video_id] = crowd_signature(rows)
    return whole_copies(crowds, pictures)


def whole_copies(crowds: dict[str, CrowdSignature], pictures: PictureCopies | None = None) -> list[tuple[str, ...]]:
    """Return the groups among these crowds, by video_id, that agree from beginning to end, or whose pictures do."""
    pictures = pictures or PictureCopies({})
    joined = _Groups({*crowds, *pictures.names}, pictures)
    with progress("looking for copies", len(pictures) + len(crowds)) as steps:
        for _ in _join_pictures(pictures, joined):
            steps.advance()
        for _ in _join_whole(crowds, joined):
            steps.advance()
    return [tuple(group) for group in joined.groups()]


def keypoints_version(output: str, model_uri: str | None) -> str:
    """Return the pose fingerprint of the keypoints under `output`: the model's, of several that of the newest model.

    Raises ConfigError where there are no keypoints, or several and no model.
    """
    versions = list_versions(output, "keypoints")
    if len(versions) == 1 and not model_uri:
        return versions[0]
    uri = model_uri or newest_model(output)
    wanted = load_model(uri).config.pose_fingerprint if uri else None
    if wanted not in versions:
        known = ", ".join(versions) or "none"
        raise ConfigError(
            f"{output}: which keypoints? There are {known}; "
            + ("run `choreai extract` first" if not versions else "name a model trained on some of these with --model")
        )
    return str(wanted)


def describe_match(match: SignatureMatch) -> str:
    """Return how one video of a group lies over the first, in a few words."""
    if match == UNTOLD:
        return "like another of the group"
    words = ["mirrored"] if match.mirrored else []
    words += [f"{match.speed:.2f} x"] if abs(match.speed - 1) > MIN_SPEED_CHANGE else []
    if abs(match.offset_seconds) >= MIN_OFFSET_SECONDS:
        words.append(f"begins {abs(match.offset_seconds):.1f} s {'later' if match.offset_seconds < 0 else 'earlier'}")
    return ", ".join(words) or "same"


def read_signatures(output: str, pose_fingerprint: str) -> dict[str, VideoSignature]:
    """Return by video_id the signatures of a keypoints table; of a video whose bytes have changed one of them."""
    parts = sorted(list_parts(output, "keypoints", pose_fingerprint))
    found = {}
    with progress("reading", len(parts)) as steps:
        for uri in parts:
            for video_id, _, rows in read_contents(uri):
                found[video_id] = VideoSignature.of(rows)
            steps.advance()
    return {video_id: signature for video_id, signature in found.items() if len(signature.dancer.poses)}


def group_duplicates(
    signatures: dict[str, VideoSignature], pictures: PictureCopies | None = None
) -> list[DuplicateGroup]:
    """Return the groups among these signatures, by video_id, in natural order of their first."""
    pictures = pictures or PictureCopies({})
    joined = _Groups({*signatures, *pictures.names}, pictures)
    crowds = {name: each.crowd for name, each in signatures.items()}
    with progress("comparing", len(pictures) + 3 * len(signatures)) as steps:
        for _ in _join_pictures(pictures, joined):
            steps.advance()
        for _ in _join_whole(crowds, joined):
            steps.advance()
        for _ in _join_dancers({name: each.dancer for name, each in signatures.items()}, joined):
            steps.advance()
        for _ in _join_crowds(crowds, joined):
            steps.advance()
    return [_group(signatures, pictures, names) for names in joined.groups()]


class _Groups:
    """Names that are put together two by two."""

    def __init__(self, names: Iterable[str], pictures: PictureCopies) -> None:
        self._parent = {name: name for name in names}
        self._pictures = pictures

    def first(self, name: str) -> str:
        """Return the name that stands for the group of this one."""
        while self._parent[name] != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def are_open(self, one: str, other: str) -> bool:
        """Return whether it is for movement to say if two videos are copies: they are in different groups, and one of
        them has no pictures."""
        return self.first(one) != self.first(other) and not self._pictures.tell(one, other)

    def join(self, one: str, other: str) -> None:
        """Put the groups of two names together."""
        self._parent[self.first(other)] = self.first(one)

    def groups(self) -> list[list[str]]:
        """Return the groups of two and more, each and all in natural order."""
        members: dict[str, list[str]] = {}
        for name in sorted(self._parent, key=natural_key):
            members.setdefault(self.first(name), []).append(name)
        return [names for names in members.values() if len(names) > 1]


def _join_pictures(pictures: PictureCopies, joined: _Groups) -> Iterator[None]:
    """Join the videos whose pictures are copies; yield after each video."""
    for pairs in pictures.pairs():
        for one, other in pairs:
            joined.join(one, other)
        yield


def _join_dancers(signatures: dict[str, MotionSignature], joined: _Groups) -> Iterator[None]:
    """Join the videos whose most prominent dancers do the same; yield after each video."""
    names = sorted(signatures, key=lambda name: len(signatures[name].poses))  # the shorter is laid over the longer
    for one, others in _candidates([signatures[name] for name in names]):
        matcher = SignatureMatcher(signatures[names[one]])
        for other in others:
            if joined.are_open(names[one], names[other]):
                match = matcher.match(signatures[names[other]])
                if match.correlation >= MIN_CORRELATION:
                    joined.join(names[one], names[other])
        yield


def _join_whole(signatures: dict[str, CrowdSignature], joined: _Groups) -> Iterator[None]:
    """Join the videos in which somebody does the same from beginning to end; yield after each video."""
    names = sorted((name for name in signatures if len(signatures[name].own)), key=lambda n: signatures[n].seconds)
    least = MIN_WHOLE_AGREEMENT + _agreement_by_chance(len(names))
    for place, name in enumerate(names):
        matcher = WholeMatcher(signatures[name])
        for other in names[place + 1 :]:
            if signatures[other].seconds > MAX_LENGTH_RATIO * signatures[name].seconds:
                break
            if joined.are_open(name, other):
                agreement = matcher.match(signatures[other]).correlation
                if agreement >= least and _is_telling(agreement, signatures[name]):
                    joined.join(name, other)
        yield


def _join_crowds(signatures: dict[str, CrowdSignature], joined: _Groups) -> Iterator[None]:
    """Join the videos in which somebody does the same at nearly every moment; yield after each video."""
    names = sorted((name for name in signatures if len(signatures[name].own)), key=lambda n: len(signatures[n].own))
    least = MIN_AGREEMENT + _agreement_by_chance(len(names))
    courses = MotionWindows.joined([signatures[name].own for name in names]).courses
    ends = np.cumsum([len(signatures[name].own) for name in names])
    for one, name in enumerate(names[:-1]):
        matcher = CrowdMatcher(signatures[name])
        likeness = matcher.windows.courses @ courses[ends[one] :].T
        stops = ends[one + 1 :] - ends[one]
        hits = matcher.num_hits(likeness, np.concatenate([[0], stops[:-1]]))
        nearest = np.argsort(-hits, kind="stable")[:NUM_CROWDS]
        for place in nearest[hits[nearest] >= MIN_HITS]:
            other = names[one + 1 + place]
            if joined.are_open(name, other):
                own = signatures[other].own
                match = matcher.match(own, likeness[:, stops[place] - len(own) : stops[place]])
                if match.correlation >= least and _is_telling(match.correlation, signatures[name]):
                    joined.join(name, other)
        yield


def _is_telling(agreement: float, signature: CrowdSignature) -> bool:
    """Return whether a video that agrees so far with another does not agree as far with itself at another moment."""
    repeated = repetition(signature)
    return repeated < MAX_REPETITION or repeated < agreement - MIN_ADVANTAGE


def _agreement_by_chance(num_videos: int) -> float:
    """Return how much more crowds must agree among so many videos than among those that were measured."""
    num_pairs = num_videos * (num_videos - 1) / 2
    return AGREEMENT_BY_PAIRS * float(np.log2(max(num_pairs / NUM_PAIRS, 1)))


def _group(signatures: dict[str, VideoSignature], pictures: PictureCopies, names: list[str]) -> DuplicateGroup:
    first, *others = names

    def match(other: str) -> SignatureMatch:
        found = pictures.describe(first, other)
        if found is None and first in signatures and other in signatures:
            return signatures[first].match(signatures[other])
        return found or UNTOLD  # a copy of a copy

    return DuplicateGroup(first, tuple(Duplicate(each, match(each)) for each in others))


def _candidates(signatures: list[MotionSignature]) -> Iterator[tuple[int, list[int]]]:
    """Yield of each signature, by place, those behind it whose outline is near its own or its mirror image's."""
    outlines = _standardised([*map(outline, signatures), *(outline(each.mirrored()) for each in signatures)])
    own, mirrored = np.split(outlines, 2)
    near = [set[int]() for _ in signatures]
    for first in range(0, len(own), ROWS_AT_ONCE):
        for sides in (own, mirrored):
            for place, others in enumerate(_nearest(sides[first : first + ROWS_AT_ONCE], own), start=first):
                for other in others:
                    if other != place:
                        near[min(place, other)].add(max(place, other))
    yield from ((place, sorted(others)) for place, others in enumerate(near))


def _nearest(some: FloatArray, outlines: FloatArray) -> Iterable[list[int]]:
    """Return of each of some outlines the places of the nearest NUM_CANDIDATES and itself."""
    squares = (some**2).sum(axis=1)[:, None] + (outlines**2).sum(axis=1) - 2 * some @ outlines.T
    num = min(NUM_CANDIDATES + 1, len(outlines))
    found: list[list[int]] = np.argpartition(squares, num - 1, axis=1)[:, :num].tolist()
    return found


def _standardised(outlines: list[FloatArray]) -> FloatArray:
    """Return (N, 52) outlines in standard deviations; missing numbers lie at the mean."""
    values = np.array(outlines, np.float32).reshape(len(outlines), -1)
    known = np.isfinite(values)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0).sum(axis=0) / counts
    deviations = np.where(known, values - mean, 0)
    return (deviations / np.sqrt((deviations**2).sum(axis=0) / counts + 1e-6)).astype(np.float32)
