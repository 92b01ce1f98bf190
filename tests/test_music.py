"""What is heard in computed sounds: beats, tempo, bars, key, loudness and songs; and no tempo where there is none."""

import numpy as np
import pytest
from songs import drums, sine, sound_file, speech

from choreai.arrays import Float64Array, FloatArray
from choreai.music.analysis import Music, listen
from choreai.music.beat_network import hear, shipped_network
from choreai.music.key import find_key, pitch_classes
from choreai.music.landmarks import find_landmarks, landmarks_of
from choreai.music.loudness import LoudnessMeter
from choreai.music.songs import SongIndex, share_groups
from choreai.music.spectrum import SAMPLES_PER_SECOND
from choreai.music.synthesis import draw_song


def pieces(samples: FloatArray, size: int) -> list[FloatArray]:
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def heard(samples: FloatArray) -> Music:
    return listen([samples])


def share_found(found: Float64Array, true: Float64Array, *, within: float) -> float:
    return float(np.mean([np.abs(found - each).min() <= within for each in true]))


@pytest.mark.parametrize("bpm", [97.0, 120.0, 138.0])
def test_the_beats_of_a_drum_pattern_are_found_with_their_tempo(bpm: float) -> None:
    song = drums(bpm)
    music = heard(song.samples)
    assert music.status == "ok"
    assert music.pulse is not None
    assert music.pulse.bpm == pytest.approx(bpm, rel=0.02)
    assert share_found(music.beats, song.beats[1:-1], within=0.05) >= 0.9


@pytest.mark.parametrize("name", ["speech", "noise", "tone"])
def test_what_has_no_beat_gets_no_tempo(name: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 12 * SAMPLES_PER_SECOND).astype(np.float32)
    music = heard({"speech": speech(), "noise": noise, "tone": sine(seconds=12)}[name])
    assert music.status == "no_beat"
    assert not len(music.beats)


def test_silence_and_what_is_short_have_a_status_of_their_own() -> None:
    assert heard(np.zeros(6 * SAMPLES_PER_SECOND, np.float32)).status == "silent"
    assert heard(sine(seconds=1)).status == "too_short"
    assert heard(np.zeros(0, np.float32)).status == "too_short"


def test_the_same_is_heard_whatever_the_pieces() -> None:
    samples = np.tile(drums(97.0).samples, 5)  # longer than is measured at once
    whole, cut = heard(samples), listen(pieces(samples, 4097))
    assert np.allclose(whole.beats, cut.beats)
    assert whole.lufs == pytest.approx(cut.lufs)
    assert whole.seconds == cut.seconds == pytest.approx(80, abs=0.01)


def test_a_long_sound_is_heard_in_pieces_with_the_same_result() -> None:
    logs = np.random.default_rng(0).normal(-3, 1, (5000, 40)).astype(np.float32)
    network = shipped_network()
    whole = network.logits_of(logs)
    assert np.allclose(1 / (1 + np.exp(-whole[:, 0])), hear(network, logs).beat, atol=1e-4)


def test_loudness_is_that_of_the_standard() -> None:
    """A sine of 997 Hz and -20 dB of full scale on one channel is -23 LUFS: the standard's own check."""
    meter = LoudnessMeter(SAMPLES_PER_SECOND)
    for piece in pieces(sine(997, seconds=10, peak=0.1), 1000):
        meter.add(piece)
    assert meter.lufs == pytest.approx(-23.0, abs=0.1)
    assert meter.peak_dbfs == pytest.approx(-20.0, abs=0.1)
    assert meter.silent_share == 0


def test_the_key_of_three_chords_is_their_tonic() -> None:
    chords = [(261.63, 329.63, 392.0), (349.23, 440.0, 523.25), (392.0, 493.88, 587.33), (261.63, 329.63, 392.0)]
    samples = np.concatenate([sum(sine(hz, seconds=1, peak=0.2) for hz in chord) for chord in chords])
    assert (key := heard(samples).key) is not None
    assert key.name == "C major"
    assert find_key(pitch_classes(np.zeros((4, 3), np.float32), np.array([100.0, 200.0, 300.0], np.float32))) is None


def noisy(samples: FloatArray, *, decibels: float = 10.0) -> FloatArray:
    noise = np.random.default_rng(0).normal(size=len(samples))
    return (samples + noise * samples.std() * 10 ** (-decibels / 20)).astype(np.float32)


def faster(samples: FloatArray, speed: float) -> FloatArray:
    return np.interp(np.arange(0, len(samples) - 1, speed), np.arange(len(samples)), samples).astype(np.float32)


@pytest.mark.parametrize("speed", [1.0, 1.02, 0.97])
def test_a_song_is_known_again_through_noise_and_at_another_speed(speed: float) -> None:
    songs = [draw_song(np.random.default_rng((5, number)), seconds=20).samples for number in range(6)]
    index = SongIndex((str(number), find_landmarks(song)) for number, song in enumerate(songs[:4]))
    for number in (1, 2):
        asked = noisy(faster(songs[number][5 * SAMPLES_PER_SECOND : 16 * SAMPLES_PER_SECOND], speed))
        best, *others = index.find(find_landmarks(asked))
        assert best.name == str(number)
        assert best.speed == pytest.approx(speed, abs=0.011)
        assert best.shift_seconds == pytest.approx(5.0, abs=0.5)
        assert not others
    assert not index.find(find_landmarks(noisy(songs[5])))


def test_sounds_that_share_a_song_are_a_group() -> None:
    one, two, three = (draw_song(np.random.default_rng((6, n)), seconds=16).samples for n in range(3))
    sounds = [("a", one), ("b", noisy(one)), ("c", two), ("d", noisy(faster(one, 1.02))), ("e", three)]
    assert share_groups([(name, landmarks_of([samples])) for name, samples in sounds]) == [frozenset("abd")]


def test_a_sound_has_the_same_landmarks_as_in_a_library() -> None:
    samples = drums(110.0).samples
    alone, among = landmarks_of(pieces(samples, 5000)), heard(samples).landmarks
    assert len(alone) == pytest.approx(len(among), rel=0.05)
    assert share_groups([("alone", alone), ("among", among)]) == [frozenset({"alone", "among"})]


def test_a_file_of_sound_alone_can_be_made() -> None:
    assert sound_file(sine(seconds=1), codec="flac", container="flac")[:4] == b"fLaC"
