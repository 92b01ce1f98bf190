"""Beats, tempi, false beats, songs, dance against music, and their cost, each beside its goal: `make bench-music`.

Needs ../shared for the loops, the speech and the trumpet. With `--yardsticks FOLDER` (the site-packages of an
environment that has librosa) librosa's beats are beside ours. Half of the loops were looked at while settings were
chosen, and are printed apart from the others.
"""

import argparse
import csv
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from keypoint_sequences import sequence_from
from rhythms import RHYTHMS, SURROUNDINGS, draw_rhythm

from choreai.arrays import Float64Array, FloatArray
from choreai.demo.dancers import STYLES, Dancer
from choreai.motion.heard_beats import HeardBeats
from choreai.motion.on_beat import measure_on_beat
from choreai.motion.sequence import KeypointSequence
from choreai.music.analysis import Music, listen
from choreai.music.distractors import draw_crowd, draw_distractor
from choreai.music.landmarks import find_landmarks
from choreai.music.songs import SongIndex
from choreai.music.spectrum import SAMPLES_PER_SECOND
from choreai.music.synthesis import Song, add_room, draw_song
from choreai.video.audio import AudioReader

AUDIO = Path(__file__).parents[2] / "shared" / "data" / "audio"
LOOP_SECONDS = 30.0
TOLERANCE_SECONDS, TEMPO_TOLERANCE = 0.07, 0.04
SETTLING_SECONDS = 5.0
"""At the beginning, which beat trackers are not judged on: mir_eval's rule."""
BeatFinder = Callable[[FloatArray], tuple[Float64Array, float]]


def f_measure(found: Float64Array, true: Float64Array) -> float:
    """mir_eval's F: each beat matches one within 70 ms at most; of the first five seconds none counts."""
    found, true = found[found >= SETTLING_SECONDS], true[true >= SETTLING_SECONDS]
    hits, place = 0, 0
    for beat in true:
        while place < len(found) and found[place] < beat - TOLERANCE_SECONDS:
            place += 1
        if place < len(found) and found[place] <= beat + TOLERANCE_SECONDS:
            hits, place = hits + 1, place + 1
    return 2 * hits / max(1, len(found) + len(true))


@dataclass
class Score:
    """Of some pieces: mean F, share with the tempo, and with it up to a factor of 2, 3, 1/2 or 1/3."""

    f_values: list[float]
    exact: list[bool]
    octave: list[bool]

    def __str__(self) -> str:
        return f"F {np.mean(self.f_values):.2f}  exact {np.mean(self.exact):.2f}  octave {np.mean(self.octave):.2f}"


def ours(samples: FloatArray) -> tuple[Float64Array, float]:
    music = listen([samples])
    return music.beats, music.pulse.bpm if music.pulse is not None and music.status == "ok" else 0.0


def librosas(samples: FloatArray) -> tuple[Float64Array, float]:
    librosa = importlib.import_module("librosa")
    tempo, frames = librosa.beat.beat_track(y=samples, sr=SAMPLES_PER_SECOND)
    return librosa.frames_to_time(frames, sr=SAMPLES_PER_SECOND), float(np.atleast_1d(tempo)[0])


def score(songs: Iterable[tuple[str, Song]], find: BeatFinder, *, show: bool = False) -> Score:
    scored = Score([], [], [])
    for name, song in songs:
        beats, bpm = find(song.samples)
        scored.f_values.append(f_measure(beats, song.beats))
        near = [abs(bpm / (song.bpm * factor) - 1) <= TEMPO_TOLERANCE for factor in (1, 2, 3, 1 / 2, 1 / 3)]
        scored.exact.append(near[0])
        scored.octave.append(any(near))
        if show:
            print(f"      {name:<28} {song.bpm:6.1f} bpm, found {bpm:6.1f}, F {scored.f_values[-1]:.2f}")
    return scored


def rhythms(*, seeds: Sequence[int]) -> dict[str, list[tuple[str, Song]]]:
    return {
        surrounding: [(name, draw_rhythm(name, surrounding, seed)) for name in RHYTHMS for seed in seeds]
        for surrounding in SURROUNDINGS
    }


def loops() -> dict[str, list[tuple[str, Song]]]:
    """The loops whose tempo is certain, repeated for 30 seconds: those of even number in the list were looked at."""
    with (AUDIO / "tempos.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["file"].startswith("loop") and row["certain"] == "yes"]
    found: dict[str, list[tuple[str, Song]]] = {"looked at": [], "held out": []}
    for number, row in enumerate(sorted(rows, key=lambda row: row["file"])):
        one, bpm = read(AUDIO / row["file"]), float(row["true_bpm"])
        samples = np.resize(one, int(LOOP_SECONDS * SAMPLES_PER_SECOND))
        period = len(one) / SAMPLES_PER_SECOND / max(1, round(len(one) / SAMPLES_PER_SECOND * bpm / 60))
        beats = np.arange(0, LOOP_SECONDS, period)
        found["held out" if number % 2 else "looked at"].append((row["file"], Song(samples, beats, beats * 0, bpm)))
    return found


def read(path: Path) -> FloatArray:
    with path.open("rb") as file, AudioReader(file, uri=path.name, samples_per_second=SAMPLES_PER_SECOND) as reader:
        return np.concatenate(list(reader.samples()))


def without_beat() -> list[tuple[str, FloatArray]]:
    """Sixty sounds without a beat: three speakers in a dozen ways, a trumpet, and 47 that are computed."""
    sounds: list[tuple[str, FloatArray]] = []
    for path in sorted(AUDIO.glob("*-*-0000.hq.ogg")):
        speech = read(path)
        for speed in (0.85, 1.0, 1.15, 1.3):
            other = np.interp(np.arange(0, len(speech) - 1, speed), np.arange(len(speech)), speech)
            sounds.append((f"speech {path.name[:4]} at {speed}", other.astype(np.float32)))
    sounds.append(("trumpet", read(AUDIO / "sorohanro_-_solo-trumpet-06.hq.ogg")))
    for number in range(47):
        rng = np.random.default_rng((number, 4711))
        sounds.append((f"computed {number}", draw_distractor(rng, seconds=20)))
    return sounds


def bench_beats(finders: dict[str, BeatFinder], *, seeds: Sequence[int], show: bool) -> None:
    print("beats of twelve rhythms written by hand (goal F 0.95, tempo up to an octave 1.0)")
    for surrounding, songs in rhythms(seeds=seeds).items():
        for who, find in finders.items():
            print(f"  {surrounding:<10} {who:<8} {score(songs, find, show=show)}")
    print("CC0 loops (goal F 0.80, exact 0.80, octave 1.0)")
    for half, songs in loops().items():
        for who, find in finders.items():
            print(f"  {half:<10} {who:<8} {score(songs, find, show=show)}")


def bench_false_beats(*, show: bool) -> None:
    sounds = without_beat()
    heard = {name: listen([samples]) for name, samples in sounds}
    wrong = [name for name, music in heard.items() if music.status == "ok"]
    print(f"false beats: {len(wrong)} of {len(sounds)} (goal 0){': ' if wrong else ''}{', '.join(wrong)}")
    if show:
        for name, music in heard.items():
            print(f"      {name:<28} {music.status:<10} confidence {confidence_of(music):.2f}")


def confidence_of(music: Music) -> float:
    return music.pulse.confidence if music.pulse is not None else 0.0


def bench_songs(*, num: int = 100) -> None:
    """Half of the known songs are played 2 % faster, all through a room and people at 10 dB."""
    songs = [draw_song(np.random.default_rng((number, 99)), seconds=30).samples for number in range(2 * num)]
    index = SongIndex((str(number), find_landmarks(song)) for number, song in enumerate(songs[:num]))
    right, wrong, false = 0, 0, 0
    for number, song in enumerate(songs):
        rng = np.random.default_rng((number, 100))
        middle = song[10 * SAMPLES_PER_SECOND : 20 * SAMPLES_PER_SECOND]
        found = index.find(find_landmarks(recorded(middle, rng, number)))
        if number >= num:
            false += bool(found)
        elif found:
            right, wrong = right + (found[0].name == str(number)), wrong + (found[0].name != str(number))
    print(f"songs: {right} of {num} found (goal {0.95 * num:.0f}), {wrong} taken for another")
    print(f"       {false} of {num} unknown ones named (goal 0)")


def recorded(samples: FloatArray, rng: np.random.Generator, number: int) -> FloatArray:
    if number % 2:
        samples = np.interp(np.arange(0, len(samples) - 1, 1.02), np.arange(len(samples)), samples).astype(np.float32)
    roomy = add_room(samples, 0.5, 0.2, rng)
    crowd = draw_crowd(len(roomy), rng)
    return (roomy + crowd * np.float32(roomy.std() * 10 ** (-10 / 20))).astype(np.float32)


def bench_dance(*, num: int = 20, seconds: float = 8.0) -> None:
    """Generated dancers whose joints tremble by 5 cm, against their own beat and against another tempo's."""
    own, other, errors = [], [], []
    for style in STYLES:
        for seed in range(num):
            rng = np.random.default_rng((seed, 55))
            dancer = Dancer(style=style, seed=500 + seed)
            track, bpm = trembling(dancer, seconds, rng), dancer.beats_per_minute
            beats = np.arange((-dancer.choreography.first_beat * 60 / bpm) % (60 / bpm), seconds + 1, 60 / bpm)
            true = measure_on_beat(track, HeardBeats(beats))
            own.append(true.lead)
            wrong = other_tempo(bpm, rng)
            other.append(measure_on_beat(track, HeardBeats(np.arange(rng.uniform(0, 0.5), seconds + 1, wrong))).lead)
            for shift in (0.05, 0.10, 0.15):
                moved = measure_on_beat(track, HeardBeats(beats + shift))
                error = true.lag_seconds - moved.lag_seconds - shift
                errors.append((error * bpm / 60 + 0.5) % 1 * 60 / bpm - 30 / bpm)  # a beat late is in time
    auc = np.mean(np.array(own)[:, None] > np.array(other))
    known = np.abs(np.array(errors)[np.isfinite(errors)])
    print(f"dance: on against off the beat, {seconds:g} s, AUC {auc:.3f} (goal 0.85)")
    print(f"       shift of the sound by 50 to 150 ms told within 20 ms: {np.mean(known <= 0.02):.2f} of those told,")
    print(
        f"       {len(known) / len(errors):.2f} told, median error {1000 * np.median(known):.1f} ms (goal within 20 ms)"
    )


def trembling(dancer: Dancer, seconds: float, rng: np.random.Generator) -> KeypointSequence:
    times = np.arange(int(seconds * 15)) / 15
    xyz = dancer.skeleton(times).keypoints_xyz
    xy = (xyz + rng.normal(0, 0.05, xyz.shape))[..., :2] * (200, -200) + 300
    return sequence_from(times, xy)


def other_tempo(bpm: float, rng: np.random.Generator) -> float:
    """Seconds of a beat that is not in a simple ratio with `bpm`."""
    while True:
        other = float(rng.uniform(80, 160))
        if min(abs(np.log(other / bpm / factor)) for factor in (0.5, 1, 2)) > 0.08:
            return 60 / other


def bench_cost() -> None:
    song = draw_song(np.random.default_rng(1), seconds=60)
    pieces = np.array_split(song.samples, 60)
    listen(pieces[:5])
    started = time.process_time()
    listen(pieces)
    print(f"listening: {time.process_time() - started:.2f} CPU s a minute of sound, without decoding (goal 0.5 with)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yardsticks", help="site-packages that have librosa")
    parser.add_argument("--seeds", type=int, default=2, help="pieces of each rhythm")
    parser.add_argument("--show", action="store_true", help="every piece")
    parser.add_argument("--only", choices=["beats", "false", "songs", "cost", "dance"])
    args = parser.parse_args()
    finders: dict[str, BeatFinder] = {"ours": ours}
    if args.yardsticks:
        sys.path.append(args.yardsticks)
        finders["librosa"] = librosas
    if args.only in (None, "beats"):
        bench_beats(finders, seeds=range(args.seeds), show=args.show)
    if args.only in (None, "false"):
        bench_false_beats(show=args.show)
    if args.only in (None, "songs"):
        bench_songs()
    if args.only in (None, "dance"):
        bench_dance()
    if args.only in (None, "cost"):
        bench_cost()


if __name__ == "__main__":
    main()
