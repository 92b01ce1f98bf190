"""Cuts found and made up, on made-up scenes from real clips and on the clips as they are; and what a frame costs.

    python tests/bench_shots.py [--scenes 20]

Needs the street-dance clips of ../shared. The constants of `choreai.video.shots` were chosen on the sources in
`CHOSEN_ON`; the other clips judge them. `golden/street_cuts.json` has the cuts seen by eye on contact sheets of all
clips, as the sample (of 15 a second) with which the new shot begins; a clip that is not in it has none.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from cut_scenes import MAKERS, Piece, Score, score

from choreai.video.decode import VideoReader
from choreai.video.frame import Frame
from choreai.video.shots import ShotDetector, mark_shots

CLIPS = Path(__file__).parents[2] / "shared" / "data" / "streetdance" / "clips"
CUTS: dict[str, list[int]] = json.loads((Path(__file__).parent / "golden" / "street_cuts.json").read_text())
CHOSEN_ON = ("0003", "1002", "3001")
PIECE_FRAMES, MARGIN_SECONDS = 60, 0.2
POOL = 40
"""Pieces of each half that scenes are made from."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=20, metavar="N", help="of each kind and half (default: 20)")
    num_scenes = parser.parse_args().scenes
    paths = sorted(CLIPS.glob("*.mp4"))
    if not paths:
        raise SystemExit(f"no clips in {CLIPS}")
    cv2.setNumThreads(1)
    for name, half in (("chosen on", paths_of(paths, chosen_on=True)), ("judged by", paths_of(paths, chosen_on=False))):
        pieces = cut_pieces(half, np.random.default_rng(0))
        for every in (1, 2, 4):
            print_scenes(f"made-up scenes, {name}, {30 / every:g} samples a second", pieces, num_scenes, every)
        print_real(f"real clips, {name}", half)
    print_speed(paths[0])


def paths_of(paths: list[Path], *, chosen_on: bool) -> list[Path]:
    return [path for path in paths if (path.name.split("_")[0] in CHOSEN_ON) == chosen_on]


def cut_pieces(paths: list[Path], rng: np.random.Generator) -> list[tuple[str, Piece]]:
    """(source, piece) of stretches without a cut."""
    found: list[tuple[str, Piece]] = []
    for index in rng.permutation(len(paths)):
        path = paths[index]
        for start, stop in stretches(path.stem):
            first = rng.uniform(start, max(start, stop - 2.6))
            piece = read_piece(path, first, stop)
            if len(piece) == PIECE_FRAMES:
                found.append((path.name.split("_")[0], piece))
                break
        if len(found) == POOL:
            break
    return found


def stretches(clip: str) -> Iterator[tuple[float, float]]:
    """The seconds between cuts, longer than a piece."""
    edges = [0.0, *(cut / 15 for cut in CUTS.get(clip, [])), 9.8]
    for start, stop in pairwise(edges):
        if stop - start > 2.6 + 2 * MARGIN_SECONDS:
            yield start + MARGIN_SECONDS, stop - MARGIN_SECONDS


def read_piece(path: Path, start: float, stop: float) -> Piece:
    images: list[np.ndarray] = []
    with path.open("rb") as file, VideoReader(file, uri=path.name) as reader:
        for frame in reader.frames():
            if start <= frame.pts_seconds < stop and len(images) < PIECE_FRAMES:
                images.append(cv2.resize(frame.image, (160, 90), interpolation=cv2.INTER_AREA))
    return np.array(images, np.uint8)


def starts_of(frames: Iterable[Frame]) -> list[int]:
    shots = [frame.shot_index for frame in mark_shots(frames)]
    return [i for i in range(1, len(shots)) if shots[i] != shots[i - 1]]


def print_scenes(title: str, pieces: list[tuple[str, Piece]], num_scenes: int, every: int) -> None:
    rng, totals = np.random.default_rng(1), defaultdict[str, Score](Score)
    for make in MAKERS:
        for _ in range(num_scenes):
            source, first = pieces[rng.integers(len(pieces))]
            others = [piece for other, piece in pieces if other != source]
            scene = make(first, others[rng.integers(len(others))], rng)
            totals[scene.kind] += score(scene.sampled_cuts(every=every), starts_of(scene.sampled(every=every)))
    print(f"\n{title}: {num_scenes} scenes of each kind\n{'':24} found missed made up")
    for kind, total in totals.items():
        print(f"{kind:24} {total.found:5} {total.missed:6} {total.made_up:7}")
    print_total(sum(totals.values(), Score()))


def print_real(title: str, paths: list[Path]) -> None:
    total = Score()
    for path in paths:
        with path.open("rb") as file, VideoReader(file, uri=path.name) as reader:
            said = starts_of(reader.sample(frames_per_second=15))
        found = score(tuple(CUTS.get(path.stem, [])), said)
        total += found
        if found.missed or found.made_up:
            print(f"{path.stem}: seen by eye {CUTS.get(path.stem, [])}, found {said}")
    print(f"\n{title}: {len(paths)} clips\n{'':24} {total.found:5} {total.missed:6} {total.made_up:7}")
    print_total(total)


def print_total(total: Score) -> None:
    print(f"precision {total.precision:.3f}, recall {total.recall:.3f}")


def print_speed(path: Path) -> None:
    with path.open("rb") as file, VideoReader(file, uri=path.name) as reader:
        images = [np.asarray(cv2.resize(f.image, (1920, 1080)), np.uint8) for f in reader.sample(frames_per_second=15)]
    detector, started = ShotDetector(), time.process_time()
    for index, image in enumerate(images):
        detector.add(image, pts_seconds=index / 15)
    print(f"\n{(time.process_time() - started) / len(images) * 1e3:.2f} ms a frame at 1080p")


if __name__ == "__main__":
    main()
