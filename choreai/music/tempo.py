"""The tempo of a piece, what else it might be, and whether there is one at all."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from choreai.arrays import Float64Array
from choreai.music.beat_network import Heard, class_bpm
from choreai.music.beats import Beats, find_beats, periodicity, tempo_shares
from choreai.music.spectrum import FRAMES_PER_SECOND

MIN_PRESENCE = 0.5
"""Of the network's belief that it hears music with a beat, over PRESENCE_SECONDS."""
PRESENCE_SECONDS = 4.0
MIN_BEATS = 6
MIN_CONFIDENCE = 0.45
"""Below it there is no beat: of 36 synthesised sounds without one none came above 0.30, of 55 pieces two below 0.54.
Nearer to the pieces than to the sounds: a tempo from nothing is worse than none."""
BELIEF_SHARE = 0.6
"""What belief and likeness count: of plain music both are about 0.8."""
CANDIDATE_SHARE, CANDIDATE_WIDTH = 0.05, 0.04
"""A tempo is named if the network gives it so large a share, within so much of it."""


@dataclass(frozen=True)
class TempoCandidate:
    """A tempo that the piece may have."""

    bpm: float
    share: float
    """Of the network's belief, within CANDIDATE_WIDTH."""


@dataclass(frozen=True, eq=False)
class Pulse:
    """The beats of a piece and its tempo."""

    beats: Beats
    bpm: float
    """By the slope of the beats' times where they are steady; NaN without beats."""
    steadiness: float
    """1 less the median change from one interval to the next, in intervals; NaN without beats."""
    confidence: float
    """That there is music with this beat, in [0, 1]."""
    candidates: tuple[TempoCandidate, ...]
    """The likeliest first; the piece's own tempo is among them."""

    @property
    def has_beat(self) -> bool:
        """Whether there is a beat at all."""
        return len(self.beats) >= MIN_BEATS and self.confidence >= MIN_CONFIDENCE


def find_pulse(heard: Heard) -> Pulse:
    """Return the beats and the tempo of what was heard. Where it has no beat, `has_beat` is False."""
    found = find_beats(heard)
    presence = uniform_filter1d(heard.presence, int(PRESENCE_SECONDS * FRAMES_PER_SECOND), mode="nearest")
    frames = np.clip(np.round(found.seconds * FRAMES_PER_SECOND).astype(int), 0, len(presence) - 1)
    beats = found.where(presence[frames] >= MIN_PRESENCE)
    if len(beats) < MIN_BEATS:
        return Pulse(beats, float("nan"), float("nan"), 0.0, ())
    bpm = tempo_of(beats.seconds)
    return Pulse(beats, bpm, _steadiness(beats.seconds), _confidence(heard, beats, bpm), _candidates(heard, bpm))


def _confidence(heard: Heard, beats: Beats, bpm: float) -> float:
    """Return how sure the network is of music and its beats, and how like itself the sound is some beats later."""
    frames = np.round(beats.seconds * FRAMES_PER_SECOND).astype(int)
    belief = heard.presence[np.minimum(frames, len(heard) - 1)].mean() * np.sqrt(beats.strengths.mean())
    seconds = np.unique(np.minimum(beats.seconds.astype(int), len(heard.tempo) - 1))
    likeness = periodicity(heard, np.array([60 / bpm]))[seconds].mean()
    return float(np.clip(BELIEF_SHARE * (belief + max(0.0, likeness)), 0, 1))


def tempo_of(seconds: Float64Array) -> float:
    """Return the tempo in bpm by the slope over the intervals near the median; gaps and slips do not count."""
    intervals = np.diff(seconds)
    usual = float(np.median(intervals))
    steady = intervals[np.abs(intervals - usual) < 0.1 * usual]
    return 60 / float(steady.mean() if len(steady) else usual)


def _steadiness(seconds: Float64Array) -> float:
    intervals = np.diff(seconds)
    return float(max(0.0, 1 - np.median(np.abs(np.diff(intervals))) / np.median(intervals)))


def _candidates(heard: Heard, bpm: float) -> tuple[TempoCandidate, ...]:
    """Return the tempo and what else is likely: its half, double, two thirds, and the network's own favourites."""
    shares, classes = tempo_shares(heard), class_bpm()
    peaks = [float(classes[k]) for k in np.argsort(shares)[::-1][:3]]
    found: list[TempoCandidate] = []
    for tempo in (bpm, bpm / 2, bpm * 2, bpm * 2 / 3, bpm * 3 / 2, *peaks):
        share = float(shares[np.abs(np.log(classes / tempo)) < CANDIDATE_WIDTH].sum())
        is_new = all(abs(np.log(tempo / other.bpm)) > 2 * CANDIDATE_WIDTH for other in found)
        if is_new and (tempo == bpm or share >= CANDIDATE_SHARE):
            found.append(TempoCandidate(tempo, share))
    return tuple(sorted(found, key=lambda each: -each.share))
