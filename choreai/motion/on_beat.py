"""Dance and music together: how much of a movement goes with the beat that was heard, how fast, and how late.

A movement goes with the beat as far as it repeats with two beats, one or half a beat. AIST++'s beat alignment, the
distance of stops from beats, does not tell a dance on the beat from one off it; the share of explained variance does.
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.heard_beats import HeardBeats
from choreai.motion.movement import Parts, without_trend
from choreai.motion.sequence import KeypointSequence
from choreai.motion.trajectory import STEP_SECONDS, Samples

HARMONICS = (0.5, 1.0, 2.0)
"""Repetitions a beat."""
LAG_HARMONICS = (0.5, 1.0, 1.5, 2.0)
WRONG_TEMPI = tuple(float(x) for x in np.concatenate([np.geomspace(0.72, 0.92, 9), np.geomspace(1.09, 1.39, 9)]))
"""Times the true tempo: what a movement explains there, it explains by chance."""
MIN_BEATS = 8
SPREAD_BEATS = 8
"""The lag is measured once for every so many beats, too, and its spread is over those."""
MIN_LEAD = 0.04
"""By which the explained share must exceed that of wrong tempi for a dance to be on the beat."""
MIN_SWING = 0.12
"""Of an accent that repeats with the beat, in means of the curve that it is read from, for a lag to be told."""
_RIDGE = 1e-6


@dataclass(frozen=True)
class OnBeat:
    """One person's movement against the beats of the music; NaN where a value is missing."""

    seconds: float
    """In which both were known."""
    bpm: float
    """Of the music in that time."""
    coherence: float
    """The share of the joints' variance, slow trends left out, that repeats with two beats, one or a half; 0 to 1."""
    chance: float
    """The same for tempi that nobody plays, the mean."""
    tempo_ratio: float
    """Repetitions of the movement a beat that explain most: 0.5 (half time), 1 or 2; NaN off the beat."""
    lag_seconds: float
    """By how much the accents of the movement come after the beats, before them if negative; NaN off the beat.

    Accents are the lowest points of a body that bounces once a beat, and else the stops between movements."""
    lag_spread_seconds: float
    """Standard deviation of the lag over stretches of SPREAD_BEATS beats."""

    @property
    def lead(self) -> float:
        """How much more the beat explains than chance."""
        return self.coherence - self.chance

    @property
    def is_on_beat(self) -> bool:
        """Whether the movement goes with the music."""
        return self.lead >= MIN_LEAD

    @property
    def words(self) -> str:
        """All of it, as a person would say: "122 bpm, danced in half time, 40 ms late"."""
        if np.isnan(self.coherence):
            return ""
        if not self.is_on_beat:
            return f"{self.bpm:.0f} bpm, not danced on the beat"
        how = _HOW[self.tempo_ratio]
        return ", ".join(filter(None, [f"{self.bpm:.0f} bpm", f"danced {how}", _lag_in_words(self.lag_seconds)]))


_HOW = {0.5: "in half time", 1.0: "on every beat", 2.0: "in double time"}
PUNCTUAL_SECONDS = 0.025
"""A smaller lag is none: it is less than a frame of most videos."""


def _lag_in_words(seconds: float) -> str:
    if np.isnan(seconds):
        return ""
    if abs(seconds) < PUNCTUAL_SECONDS:
        return "in time"
    return f"{abs(seconds) * 1000:.0f} ms {'late' if seconds > 0 else 'early'}"


NOTHING = OnBeat(0.0, *[float("nan")] * 6)


def measure_on_beat(track: KeypointSequence, beats: HeardBeats) -> OnBeat:
    """Return how one track goes with the beats. Raises ValueError for a sequence of more than one track."""
    samples = Samples.from_track(track)
    if len(beats) < MIN_BEATS or not len(samples.seconds):
        return NOTHING
    parts = Parts.from_trajectory(samples.smooth_in_picture())
    seconds = samples.seconds[0] + np.arange(len(parts.hips)) * STEP_SECONDS
    count = beats.counted_at(seconds)
    whole = np.concatenate([parts.whole.reshape(len(seconds), -1), parts.hips], axis=1)
    signals = np.stack([without_trend(signal) for signal in whole.T], axis=1)
    usable = np.isfinite(signals).mean(axis=0) > 0.5
    known = np.isfinite(count) & np.isfinite(signals[:, usable]).all(axis=1)
    num_beats = known.sum() * STEP_SECONDS / np.median(np.diff(beats.seconds))
    if not usable.any() or num_beats < MIN_BEATS:
        return NOTHING
    return _measure(_Movement(seconds[known], count[known], signals[known][:, usable], parts.hips[known, 1]))


@dataclass(frozen=True, eq=False)
class _Movement:
    """T moments of a movement whose beat is known."""

    seconds: Float64Array
    count: Float64Array
    """(T,) beats so far."""
    signals: Float64Array  # (T, S)
    height: Float64Array
    """(T,) of the hips, downwards."""

    def within(self, first: float, last: float) -> "_Movement":
        chosen = (self.count >= first) & (self.count < last)
        return _Movement(self.seconds[chosen], self.count[chosen], self.signals[chosen], self.height[chosen])


def _measure(movement: _Movement) -> OnBeat:
    coherence = explained_share(movement.signals, movement.count, HARMONICS)
    wrong = [explained_share(movement.signals, movement.count * factor, HARMONICS) for factor in WRONG_TEMPI]
    alone = {h: explained_share(movement.signals, movement.count, (h,)) for h in HARMONICS}
    beat_seconds = float(np.ptp(movement.seconds) / np.ptp(movement.count))
    found = OnBeat(
        seconds=len(movement.seconds) * STEP_SECONDS,
        bpm=60 / beat_seconds,
        coherence=coherence,
        chance=float(np.mean(wrong)),
        tempo_ratio=max(alone, key=lambda h: alone[h]),
        lag_seconds=float("nan"),
        lag_spread_seconds=float("nan"),
    )
    if not found.is_on_beat:
        return OnBeat(*(*list(vars(found).values())[:4], *[float("nan")] * 3))
    lag = _accent(movement, bounces=alone[1.0] > alone[0.5])
    spread = _spread(movement, lag, bounces=alone[1.0] > alone[0.5])
    values = {**vars(found), "lag_seconds": lag * beat_seconds, "lag_spread_seconds": spread * beat_seconds}
    return OnBeat(**values)


def explained_share(signals: Float64Array, count: Float64Array, harmonics: tuple[float, ...]) -> float:
    """Return the share of the variance of (T, S) signals that repeats as the harmonics of (T,) counted beats do.

    Adjusted for the number of harmonics: of noise it is zero in the mean.
    """
    centred = signals - signals.mean(axis=0)
    total = float((centred**2).sum())
    fitted = _waves(count, harmonics) @ _coefficients(centred, count, harmonics)
    share = float((fitted**2).sum()) / total if total > 0 else 0.0
    free = max(1, _free_numbers(len(signals)) - 2 * len(harmonics))
    return 1 - (1 - share) * (free + 2 * len(harmonics)) / free


def _free_numbers(num_steps: int) -> int:
    """Return how many numbers a movement of so many steps really has: smoothing leaves six a second."""
    return max(1, round(num_steps * STEP_SECONDS * 6))


def _waves(count: Float64Array, harmonics: tuple[float, ...]) -> Float64Array:
    angles = 2 * np.pi * np.outer(count, harmonics)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _coefficients(signals: Float64Array, count: Float64Array, harmonics: tuple[float, ...]) -> Float64Array:
    waves = _waves(count, harmonics)
    weights: Float64Array = np.linalg.solve(waves.T @ waves + _RIDGE * np.eye(waves.shape[1]), waves.T @ signals)
    return weights


def _accent(movement: _Movement, *, bounces: bool) -> float:
    """Return by how much of a beat the accents come after the beats, in [-0.5, 0.5); NaN where there are none."""
    grid = np.arange(0, 2, 1 / 64)
    if bounces:
        curve = _waves(grid, (1.0,)) @ _coefficients(movement.height - movement.height.mean(), movement.count, (1.0,))
        wave = np.mean(curve * np.exp(-2j * np.pi * grid))
        return _wrapped(-float(np.angle(wave)) / (2 * np.pi)) if abs(wave) > 1e-9 else float("nan")
    step = 1e-3
    weights = _coefficients(movement.signals - movement.signals.mean(axis=0), movement.count, LAG_HARMONICS)
    velocity = (_waves(grid + step, LAG_HARMONICS) - _waves(grid - step, LAG_HARMONICS)) @ weights
    energy = (velocity**2).sum(axis=1)
    wave = np.mean(energy * np.exp(-2j * np.pi * grid))
    if abs(wave) < MIN_SWING / 2 * energy.mean():
        return float("nan")
    return _wrapped(-float(np.angle(-wave)) / (2 * np.pi))


def _wrapped(lag: float) -> float:
    return (lag + 0.5) % 1 - 0.5


def _spread(movement: _Movement, lag: float, *, bounces: bool) -> float:
    """Return the standard deviation of the lag over stretches, in beats; NaN for fewer than two."""
    first, last = float(movement.count[0]), float(movement.count[-1])
    starts = np.arange(first, last - SPREAD_BEATS + 1e-9, SPREAD_BEATS)
    stretches = [movement.within(start, start + SPREAD_BEATS) for start in starts]
    lags = [_accent(each, bounces=bounces) for each in stretches if len(each.seconds) > 4 * len(LAG_HARMONICS)]
    around = [_wrapped(each - lag) for each in lags if not np.isnan(each)]
    return float(np.std(around)) if len(around) > 1 else float("nan")
