"""Near-duplicates: videos of one performance, mirrored, cropped, at another speed or compressed again.

Read from the keypoint tables. Signatures are not stored: they take 6 ms of CPU time a video, which storing them
would hardly save. In memory they are 12 kB for ten seconds of video, a minute at most.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from choreai.arrays import FloatArray
from choreai.errors import ConfigError
from choreai.motion.signature import (
    MotionSignature,
    SignatureMatch,
    SignatureMatcher,
    match_signatures,
    motion_signature,
    outline,
)
from choreai.natural_order import natural_key
from choreai.pipeline.progress import progress
from choreai.style.model import load_model, newest_model
from choreai.tables.compact import list_versions
from choreai.tables.keypoints import read_contents
from choreai.tables.parts import list_parts

MIN_CORRELATION = 0.74
"""On two estimators' poses of 183 clips, 10,600 pairs in all, other performances came to 0.73 at most."""
NUM_CANDIDATES = 32
"""Nearest outlines that each video is matched with, and as many of its mirror image."""
ROWS_AT_ONCE = 1024
MIN_SPEED_CHANGE = 0.03
MIN_OFFSET_SECONDS = 0.5
"""Smaller changes are not told: neighbouring speeds and lags fit nearly as well."""


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
    return group_duplicates(signatures), len(signatures)


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
    words = ["mirrored"] if match.mirrored else []
    words += [f"{match.speed:.2f} x"] if abs(match.speed - 1) > MIN_SPEED_CHANGE else []
    if abs(match.offset_seconds) >= MIN_OFFSET_SECONDS:
        words.append(f"begins {abs(match.offset_seconds):.1f} s {'later' if match.offset_seconds < 0 else 'earlier'}")
    return ", ".join(words) or "same"


def read_signatures(output: str, pose_fingerprint: str) -> dict[str, MotionSignature]:
    """Return by video_id the signatures of a keypoints table; of a video whose bytes have changed one of them."""
    parts = sorted(list_parts(output, "keypoints", pose_fingerprint))
    found = {}
    with progress("reading", len(parts)) as steps:
        for uri in parts:
            for video_id, _, rows in read_contents(uri):
                found[video_id] = motion_signature(rows)
            steps.advance()
    return {video_id: signature for video_id, signature in found.items() if len(signature.poses)}


def group_duplicates(signatures: dict[str, MotionSignature]) -> list[DuplicateGroup]:
    """Return the groups among these signatures, by video_id, in natural order of their first."""
    names = sorted(signatures, key=lambda name: len(signatures[name].poses))  # the shorter is laid over the longer
    all_signatures = [signatures[name] for name in names]
    group_of = list(range(len(names)))
    with progress("comparing", len(names)) as steps:
        for one, others in _candidates(all_signatures):
            matcher = SignatureMatcher(all_signatures[one])
            for other in others:
                apart = _root(group_of, one) != _root(group_of, other)
                if apart and matcher.match(all_signatures[other]).correlation >= MIN_CORRELATION:
                    _join(group_of, one, other)
            steps.advance()
    members: dict[int, list[int]] = {}
    for place in range(len(names)):
        members.setdefault(_root(group_of, place), []).append(place)
    together = [sorted((names[place] for place in places), key=natural_key) for places in members.values()]
    groups = [_group(signatures, group) for group in together if len(group) > 1]
    return sorted(groups, key=lambda group: natural_key(group.first))


def _group(signatures: dict[str, MotionSignature], names: list[str]) -> DuplicateGroup:
    first, *others = names
    own = signatures[first]
    return DuplicateGroup(first, tuple(Duplicate(each, match_signatures(own, signatures[each])) for each in others))


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


def _root(group_of: list[int], place: int) -> int:
    while group_of[place] != place:
        group_of[place] = group_of[group_of[place]]
        place = group_of[place]
    return place


def _join(group_of: list[int], one: int, other: int) -> None:
    """Put two groups together under the first of both."""
    first, last = sorted((_root(group_of, one), _root(group_of, other)))
    group_of[last] = first
