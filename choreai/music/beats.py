"""The beats of a piece: of all ways to count through it, the one that what the network heard supports best.

A way to count is a chain of beats whose intervals change little from one to the next. `find_beats` finds the best
chain by dynamic programming over the time of a beat and the interval before it: a hidden Markov model whose states
between two beats need not be gone through one by one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray
from choreai.music.beat_network import Heard, class_bpm
from choreai.music.spectrum import FRAMES_PER_SECOND

STEPS_PER_SECOND = 100
"""Of counting; at 50 a second, intervals of a fast piece would differ by seven per cent."""
MIN_BPM, MAX_BPM = 55.0, 215.0
MAX_CHANGE = 3
"""Steps by which an interval may differ from the one before it."""
CHANGE_COST = 1.2
"""Per step of such a change."""
TEMPO_WEIGHT = 1.5
"""What the network's idea of the tempo counts in a second, against its idea of the beats."""
TEMPO_SECONDS = 20
PERIOD_SECONDS, PERIOD_WEIGHT = 12, 8.0
"""Over which onsets are compared with themselves, and what their likeness counts."""
USUAL_BPM, USUAL_SPREAD, USUAL_WEIGHT = 115.0, 0.45, 0.5
"""People count at about this tempo, whatever they hear: a bell over its logarithm, and what that counts."""
"""Over which that idea is averaged."""
Int8Array = npt.NDArray[np.int8]
BASS_SHARE = 0.3
"""Of a beat that the network is sure of, what is taken off where no bass swells: off-beats have less of it."""
QUIET_WEIGHT = 0.5
"""What a peak of the network that is left out counts, against one that is not there where a beat is counted."""
NEAR_STEPS = 3
"""Steps to either side of a beat in which the network may still be sure of it: its peaks are that wide."""
_LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class Beats:
    """The beats of a piece, N of them."""

    seconds: Float64Array  # (N,)
    strengths: FloatArray
    """(N,) how sure the network was of each, in [0, 1]."""

    def __len__(self) -> int:
        return len(self.seconds)

    def where(self, chosen: BoolArray) -> "Beats":
        """Return the chosen ones."""
        return Beats(self.seconds[chosen], self.strengths[chosen])


def find_beats(heard: Heard) -> Beats:
    """Return the beats of what was heard, from its first frame to its last, whether there is a beat or not."""
    beat = _finer(heard.beat * (1 - BASS_SHARE + BASS_SHARE * heard.bass))
    intervals = np.arange(int(60 * STEPS_PER_SECOND / MAX_BPM), int(60 * STEPS_PER_SECOND / MIN_BPM) + 1)
    steps = _best_chain(beat, intervals, _tempo_scores(heard, intervals))
    seconds = _between_steps(beat, steps) / STEPS_PER_SECOND
    return Beats(seconds, beat[steps].astype(np.float32))


def _finer(trace: FloatArray) -> FloatArray:
    """Return a trace of frames with STEPS_PER_SECOND."""
    ratio = STEPS_PER_SECOND // FRAMES_PER_SECOND
    places = np.arange((len(trace) - 1) * ratio + 1) / ratio
    return np.interp(places, np.arange(len(trace)), trace).astype(np.float32)


def tempo_shares(heard: Heard) -> FloatArray:
    """Return the share of each tempo class (`class_bpm`) in the whole of what was heard; they add up to 1."""
    return _softmax(heard.tempo.mean(axis=0))


def _tempo_scores(heard: Heard, intervals: IntArray) -> FloatArray:
    """Return (seconds, intervals): what an interval gains per step by the tempo that was heard around it."""
    logs = np.log(_softmax(uniform_filter1d(heard.tempo, TEMPO_SECONDS, axis=0, mode="nearest")) + _LEAST)
    bpm = 60 * STEPS_PER_SECOND / intervals
    heard_tempo = np.stack([np.interp(np.log(bpm), np.log(class_bpm()), row) for row in logs])
    usual = -0.5 * (np.log(bpm / USUAL_BPM) / USUAL_SPREAD) ** 2
    scores = TEMPO_WEIGHT * heard_tempo + USUAL_WEIGHT * usual
    scores = scores + PERIOD_WEIGHT * periodicity(heard, intervals / STEPS_PER_SECOND)
    return (scores / STEPS_PER_SECOND).astype(np.float32)


def periodicity(heard: Heard, periods: Float64Array) -> Float64Array:
    """Return (seconds, periods): how like itself what is heard is after one to four periods, from -1 to 1.

    By autocorrelation of the onsets and of the network's beats, over PERIOD_SECONDS around each second.
    """
    num, size = len(heard.tempo), PERIOD_SECONDS * FRAMES_PER_SECOND
    lags = periods[:, None] * FRAMES_PER_SECOND * np.arange(1, 5)
    found = np.zeros((num, len(periods)))
    for trace in (np.log1p(20 * heard.rise), heard.beat):
        padded = np.pad(trace, (size // 2, size))
        for second in range(num):
            around = padded[second * FRAMES_PER_SECOND : second * FRAMES_PER_SECOND + size]
            likeness = _autocorrelation(around - around.mean())
            found[second] += np.interp(lags, np.arange(size), likeness).mean(axis=1) / 2
    return found


def _autocorrelation(values: FloatArray) -> Float64Array:
    spectrum = np.abs(np.fft.rfft(values, 2 * len(values))) ** 2
    sums = np.fft.irfft(spectrum)[: len(values)]
    return sums / max(float(sums[0]), 1e-9)


def _softmax(logits: FloatArray) -> FloatArray:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: FloatArray = shifted / shifted.sum(axis=-1, keepdims=True)
    return shares


def _best_chain(beat: FloatArray, intervals: IntArray, tempo: FloatArray) -> IntArray:
    """Return the steps of the chain of beats with the highest score.

    Row t, column i of a score is the best chain that ends with a beat at t after interval i. All rows up to the
    shortest interval ahead depend only on earlier ones, so that many are found at once, and only those of the longest
    interval are kept.
    """
    num, longest, block = len(beat), int(intervals[-1]), int(intervals[0])
    sure = np.log(np.clip(beat, _LEAST, 1 - _LEAST))
    unsure = np.log(1 - np.clip(beat, _LEAST, 1 - _LEAST))
    quiet = np.concatenate([[0.0], QUIET_WEIGHT * np.cumsum(unsure)])
    onward = np.zeros((longest, len(intervals)))  # the first beat may follow one before the sound
    recent = np.zeros((longest, len(intervals)))
    source = np.zeros((num, len(intervals)), np.int8)
    columns = np.arange(len(intervals))
    for start in range(0, num, block):
        steps = np.arange(start, min(num, start + block))
        silent = _between(quiet, steps[:, None] - intervals + NEAR_STEPS + 1, (steps - NEAR_STEPS)[:, None])
        second = np.minimum(steps // STEPS_PER_SECOND, len(tempo) - 1)
        gains = sure[steps][:, None] + silent + tempo[second] * intervals
        scores = onward[(steps - start)[:, None] + longest - intervals, columns] + gains
        after, source[steps] = _after_changes(scores)
        onward = np.concatenate([onward, after])[len(steps) :]
        recent = np.concatenate([recent, scores])[len(steps) :]
    return _trace_back(recent, source, intervals, quiet)


def _between(quiet: Float64Array, first: IntArray, stop: IntArray) -> Float64Array:
    """Return the score of no beat in the steps [first, stop)."""
    top = len(quiet) - 1
    return quiet[np.clip(stop, 0, top)] - quiet[np.clip(np.minimum(first, stop), 0, top)]


def _after_changes(scores: Float64Array) -> tuple[Float64Array, Int8Array]:
    """Return for each next interval the best score, and by how many columns the one before it differs."""
    onward, source = scores.copy(), np.zeros(scores.shape, np.int8)
    for change in (*range(-MAX_CHANGE, 0), *range(1, MAX_CHANGE + 1)):
        moved = np.full_like(scores, -np.inf)
        if change > 0:
            moved[:, :-change] = scores[:, change:]
        else:
            moved[:, -change:] = scores[:, :change]
        moved -= CHANGE_COST * abs(change)
        is_better = moved > onward
        onward[is_better], source[is_better] = moved[is_better], change
    return onward, source


def _trace_back(recent: Float64Array, source: Int8Array, intervals: IntArray, quiet: Float64Array) -> IntArray:
    """Return the steps of the best chain, from its end: a beat within the longest interval from the end."""
    num = len(source)
    lasts = np.arange(num - len(recent), num)
    tail = quiet[-1] - quiet[np.clip(lasts + NEAR_STEPS + 1, 0, num)]
    may_end = (num - lasts[:, None] <= intervals) & (lasts >= 0)[:, None]
    ends = np.where(may_end, recent + tail[:, None], -np.inf)
    row, column = np.unravel_index(int(np.argmax(ends)), ends.shape)
    step, place = int(lasts[row]), int(column)
    chain = []
    while step >= 0:
        chain.append(step)
        step -= int(intervals[place])
        if step >= 0:
            place += int(source[step, place])
    return np.array(chain[::-1], np.int64)


def _between_steps(trace: FloatArray, steps: IntArray) -> Float64Array:
    """Return the places of the peaks by the centre of the trace around each of the steps."""
    around = steps[:, None] + np.arange(-NEAR_STEPS, NEAR_STEPS + 1)
    inside = np.clip(around, 0, len(trace) - 1)
    weights = trace[inside] ** 2 + 1e-4
    centres: Float64Array = (weights * around).sum(axis=1) / weights.sum(axis=1)
    return np.clip(centres, 0, len(trace) - 1)
