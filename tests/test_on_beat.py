"""Dance and music together: a body that moves with beats that are known, late, early, in half time and off the beat."""

import numpy as np
import pytest
from keypoint_sequences import sequence_from
from measured_dancers import TORSO, standing, times

from choreai.arrays import Float64Array
from choreai.motion.heard_beats import HeardBeats
from choreai.motion.on_beat import NOTHING, OnBeat, explained_share, measure_on_beat

BPM = 110.0
BEATS = HeardBeats(np.arange(0.2, 12.0, 60 / BPM))


def danced(*, a_beat: float, late: float = 0.0, beats: HeardBeats = BEATS, seconds: float = 10.0) -> OnBeat:
    """What is measured of somebody who sways, `a_beat` times a beat, and stands still on the beats (or `late`)."""
    t = times(seconds, 30)
    xy = standing(len(t))
    phase = (t - BEATS.seconds[0] - late) * BPM / 60 * a_beat
    xy[:, :11, 0] += 0.3 * TORSO * np.cos(2 * np.pi * phase)[:, None]
    xy[:, :11, 1] -= 0.1 * TORSO * np.cos(2 * np.pi * phase)[:, None]
    xy += np.random.default_rng(0).normal(0, 0.05 * TORSO, xy.shape)
    return measure_on_beat(sequence_from(t, xy), beats)


def test_a_sway_of_two_beats_is_danced_in_half_time() -> None:
    found = danced(a_beat=0.5)
    assert found.is_on_beat
    assert found.tempo_ratio == 0.5
    assert found.bpm == pytest.approx(BPM, abs=0.5)
    assert found.coherence > 0.5
    assert abs(found.chance) < 0.1
    assert found.words == "110 bpm, danced in half time, in time"


@pytest.mark.parametrize("late", [-0.08, 0.05, 0.12])
def test_who_comes_late_is_late_by_as_much(late: float) -> None:
    found = danced(a_beat=0.5, late=late)
    assert found.lag_seconds == pytest.approx(late, abs=0.02)
    assert found.lag_spread_seconds < 0.03
    assert ("late" if late > 0 else "early") in found.words


def test_another_tempo_is_not_danced_to() -> None:
    found = danced(a_beat=0.5, beats=HeardBeats(np.arange(0.1, 12.0, 60 / 131)))
    assert not found.is_on_beat
    assert np.isnan(found.lag_seconds)
    assert found.words == "131 bpm, not danced on the beat"


def test_a_bounce_on_every_beat_is_on_every_beat() -> None:
    t = times(10.0, 30)
    xy = standing(len(t))
    phase = (t - BEATS.seconds[0]) * BPM / 60
    xy[:, :13, 1] += 0.2 * TORSO * np.cos(2 * np.pi * phase)[:, None]  # lowest on the beat
    found = measure_on_beat(sequence_from(t, xy), BEATS)
    assert found.tempo_ratio == 1.0
    assert found.lag_seconds == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_nothing_is_said_of_a_short_dance(seconds: float) -> None:
    t = times(seconds, 30)
    found = measure_on_beat(sequence_from(t, standing(len(t))), BEATS)
    assert found.words == NOTHING.words == ""
    assert not found.is_on_beat


def test_noise_explains_nothing_in_the_mean() -> None:
    rng = np.random.default_rng(0)
    count: Float64Array = np.arange(300) / 30 * BPM / 60
    smooth = np.stack([np.convolve(rng.normal(size=304), np.ones(5), "valid") for _ in range(40)], axis=1)
    assert abs(explained_share(smooth, count, (0.5, 1.0, 2.0))) < 0.06


def test_beats_that_do_not_follow_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="increase"):
        HeardBeats(np.array([1.0, 1.0]))
