"""Know a song again: triples of landmarks found in two sounds in the same places.

What is compared of a triple does not change when a song is played a little faster or higher: two steps of pitch and the
ratio of two distances in time. A song is known where many triples agree on one shift and one speed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from choreai.arrays import BoolArray, Float64Array, IntArray
from choreai.music.landmarks import STEPS_PER_OCTAVE, Landmarks
from choreai.music.spectrum import FRAMES_PER_SECOND

FAN = 6
"""Later landmarks that an anchor is joined with; every two of them are a triple."""
NEAREST_FRAMES, FARTHEST_FRAMES = 3, 100
"""Distances of the last of a triple: 0.06 to 2 seconds."""
PITCH_STEP = STEPS_PER_OCTAVE // 24
NUM_RATIOS = 16
MAX_SPEED_CHANGE = 0.06
SPEED_STEP = 0.01
PLACE_FRAMES = 8
"""Triples agree if their shifts differ by less: 0.16 s."""
PIECE_SECONDS, PIECE_HOP_SECONDS = 20.0, 10.0
"""A sound is looked up in such pieces: over a longer one a small change of speed adds up, a shorter one has too few
triples."""
MIN_AGREEING = 16
"""Anchors that must agree: of 1,350 pairs of synthesised songs that are not the same, one reached 13."""


@dataclass(frozen=True, eq=False)
class _Triples:
    """M triples of landmarks."""

    keys: IntArray
    """(M,) what does not change with speed and pitch."""
    frames: IntArray
    """(M,) of the anchor."""
    lengths: IntArray
    """(M,) frames from the anchor to the last."""
    pitches: IntArray
    """(M,) of the anchor."""

    def where(self, chosen: BoolArray | IntArray) -> "_Triples":
        return _Triples(self.keys[chosen], self.frames[chosen], self.lengths[chosen], self.pitches[chosen])


@dataclass(frozen=True)
class SongMatch:
    """Two sounds that share a song."""

    name: str
    """Of the sound that was found."""
    num_agreeing: int
    """Anchors that agree."""
    shift_seconds: float
    """The moment in the found sound that is heard at the beginning of the piece that was looked up."""
    speed: float
    """How much faster the song goes in the sound that was looked up: 1.02 for two per cent."""


def _make_triples(landmarks: Landmarks, *, spread: bool) -> _Triples:
    """Return the triples of a sound. `spread`: near a rounding edge also those of the other side."""
    frames, pitches = landmarks.frames.astype(np.int64), landmarks.pitches.astype(np.int64)
    anchors, seconds, thirds = _index_triples(frames)
    lengths = frames[thirds] - frames[anchors]
    steps = ((pitches[other] - pitches[anchors]) / PITCH_STEP for other in (seconds, thirds))
    values = [*steps, (frames[seconds] - frames[anchors]) / np.maximum(1, lengths) * NUM_RATIOS]
    keys, rows = _combined(values, spread=spread)
    return _Triples(keys, frames[anchors][rows], lengths[rows], pitches[anchors][rows])


def _index_triples(frames: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return anchor, second and third landmark of all triples whose distances are allowed."""
    num = len(frames)
    first, second, third = [], [], []
    for a in range(1, FAN + 1):
        for b in range(a + 1, FAN + 2):
            anchors = np.arange(max(0, num - b))
            lengths = frames[anchors + b] - frames[anchors]
            chosen = anchors[
                (lengths >= NEAREST_FRAMES) & (lengths <= FARTHEST_FRAMES) & (frames[anchors + a] > frames[anchors])
            ]
            first.append(chosen)
            second.append(chosen + a)
            third.append(chosen + b)
    return np.concatenate(first), np.concatenate(second), np.concatenate(third)


def _combined(values: Sequence[Float64Array], *, spread: bool) -> tuple[IntArray, IntArray]:
    """Return keys of rounded values and the rows they belong to."""
    keys, rows = np.zeros(len(values[0]), np.int64), np.arange(len(values[0]))
    for value in values:
        near = np.round(value[rows]).astype(np.int64)
        keys_near = keys * 1024 + near + 512
        if spread:
            rest = value[rows] - near
            other = np.flatnonzero(np.abs(rest) > 0.25)
            beside = near[other] + np.sign(rest[other]).astype(np.int64)
            keys_near = np.concatenate([keys_near, keys[other] * 1024 + beside + 512])
            rows = np.concatenate([rows, rows[other]])
        keys = keys_near
    return keys, rows


class SongIndex:
    """Sounds by name, in which others are looked up."""

    def __init__(self, sounds: Iterable[tuple[str, Landmarks]]) -> None:
        """`sounds`: names and landmarks."""
        self.names: list[str] = []
        triples, owners = [], []
        for name, landmarks in sounds:
            triples.append(_make_triples(landmarks, spread=False))
            owners.append(np.full(len(triples[-1].keys), len(self.names)))
            self.names.append(name)
        columns = ("keys", "frames", "lengths", "pitches")
        joined = [np.concatenate([np.zeros(0, np.int64), *(getattr(t, name) for t in triples)]) for name in columns]
        order = np.argsort(joined[0], kind="stable")
        self._triples = _Triples(*(column[order] for column in joined))
        self._owners = np.concatenate([np.zeros(0, np.int64), *owners])[order]

    def find(self, landmarks: Landmarks, *, without: str = "") -> list[SongMatch]:
        """Return the sounds that share a song with this one, the surest first, each once."""
        best: dict[str, SongMatch] = {}
        for start, piece in _pieces(landmarks):
            for match in self._find_piece(piece, start, without):
                if match.name not in best or match.num_agreeing > best[match.name].num_agreeing:
                    best[match.name] = match
        return sorted(best.values(), key=lambda match: (-match.num_agreeing, match.name))

    def _find_piece(self, piece: Landmarks, start: int, without: str) -> Iterator[SongMatch]:
        asked = _make_triples(piece, spread=True)
        rows, found = self._lookup(asked.keys)
        speeds = self._triples.lengths[found] / asked.lengths[rows]
        shifts = np.abs(self._triples.pitches[found] - asked.pitches[rows])
        plausible = (np.abs(speeds - 1) < 2 * MAX_SPEED_CHANGE) & (shifts < STEPS_PER_OCTAVE * 2 * MAX_SPEED_CHANGE)
        rows, found = rows[plausible], found[plausible]
        owners = self._owners[found]
        counts = np.bincount(owners, minlength=len(self.names))
        for owner in np.flatnonzero(counts >= MIN_AGREEING):
            if self.names[owner] == without:
                continue
            own = owners == owner
            num, shift, speed = _agreement(asked.frames[rows[own]], self._triples.frames[found[own]], start)
            if num >= MIN_AGREEING:
                yield SongMatch(self.names[owner], num, shift / FRAMES_PER_SECOND, speed)

    def _lookup(self, keys: IntArray) -> tuple[IntArray, IntArray]:
        """Return pairs of an asked key's row and a known triple's with the same key."""
        first = np.searchsorted(self._triples.keys, keys, "left")
        counts = np.searchsorted(self._triples.keys, keys, "right") - first
        rows = np.repeat(np.arange(len(keys)), counts)
        offsets = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, first[rows] + offsets


def _pieces(landmarks: Landmarks) -> Iterator[tuple[int, Landmarks]]:
    """Yield the first frame and the landmarks of each piece."""
    size, hop = (int(seconds * FRAMES_PER_SECOND) for seconds in (PIECE_SECONDS, PIECE_HOP_SECONDS))
    last = int(landmarks.frames[-1]) if len(landmarks) else 0
    for start in range(0, max(1, last - size + hop + 1), hop):
        yield start, landmarks.between(start, start + size)


def _agreement(asked: IntArray, known: IntArray, start: int) -> tuple[int, float, float]:
    """Return how many anchors agree on one shift at one speed, that shift in frames, and the speed."""
    best = (0, 0.0, 1.0)
    for slower in np.arange(-MAX_SPEED_CHANGE, MAX_SPEED_CHANGE + SPEED_STEP / 2, SPEED_STEP):
        places = known - (asked - start) * (1 + slower)
        for offset in (0, PLACE_FRAMES // 2):
            cells = np.floor((places + offset) / PLACE_FRAMES).astype(np.int64)
            pairs = np.unique(np.stack([cells, asked]), axis=1)[0]
            values, counts = np.unique(pairs, return_counts=True)
            top = int(counts.argmax())
            if counts[top] > best[0]:
                best = (int(counts[top]), float(np.median(places[cells == values[top]])), float(1 + slower))
    return best


def share_groups(sounds: Sequence[tuple[str, Landmarks]]) -> list[frozenset[str]]:
    """Return the groups of sounds, two or more each, that share a song with another of the group."""
    index = SongIndex(sounds)
    group = {name: {name} for name, _ in sounds}
    for name, landmarks in sounds:
        for match in index.find(landmarks, without=name):
            if group[match.name] is not group[name]:
                merged = group[name] | group[match.name]
                group.update(dict.fromkeys(merged, merged))
    return sorted({frozenset(each) for each in group.values() if len(each) > 1}, key=min)
