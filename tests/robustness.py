"""How far style recognition bears what goes wrong with keypoints: accuracy on generated dancers, curve by curve.

    make robustness      (or: python tests/robustness.py --output FOLDER)

Trains on as many dancers as the demo, from their true keypoints with a pixel of noise, and tests dancers of other
seeds whose clips are disturbed more and more. Nothing here is a test: it prints tables and writes robustness.png.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from keypoint_sequences import sequence_from
from matplotlib.figure import Figure

from choreai.cli.console import print_table
from choreai.cli.demo import NUM_FOLDS, TRAIN_PER_STYLE, UNSEEN_SEED
from choreai.demo.body import pose_skeleton
from choreai.demo.choreography import BEATS_PER_MINUTE
from choreai.demo.dancers import STYLES, Dancer
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, MIRROR, NUM_KEYPOINTS, RIGHT_HIP, RIGHT_SHOULDER
from choreai.motion.windows import cut_windows
from choreai.style.evaluation import plots
from choreai.style.examples import Examples, Inputs
from choreai.style.model import log_scores_of
from choreai.style.networks import build_network
from choreai.style.predictions import mean_by_video
from choreai.style.settings import TrainSettings
from choreai.style.training.fit_state import FitState
from choreai.style.training.fitting import WorkerShare, fit

Array = npt.NDArray[np.float64]
Draw = np.random.Generator

SETTINGS = replace(TrainSettings(), num_folds=NUM_FOLDS)
UNSEEN_PER_STYLE = 24
FRAMES_PER_SECOND = 15
CLIP_SECONDS = 5.0
SIZE_WH = (640, 360)
SCORE = 0.9
PIXEL_NOISE = 1.0
LIMBS = ((0, 1, 2, 3, 4), (7, 9), (8, 10), (13, 15), (14, 16))
"""Head, arms, legs: what something in the way or the picture's edge hides."""


@dataclass(frozen=True, eq=False)
class Clip:
    """What an estimator would have found in N frames of one dancer."""

    pts_seconds: Array
    keypoints_xy: Array
    """(N, 17, 2) pixels."""
    keypoint_scores: Array


@dataclass(frozen=True)
class Take:
    """How a dancer is filmed."""

    seconds: float = CLIP_SECONDS
    frames_per_second: int = FRAMES_PER_SECOND
    turn_degrees: float = 0.0
    """Of the camera around the dancer, who faces it at 0 but for 17 degrees either way."""
    tilt_degrees: float = 0.0
    """Of the camera downwards from where it stood."""
    beats_per_minute: float | None = None
    """None: the dancer's own."""


PLAIN = Take()


def film(dancer: Dancer, take: Take, rng: Draw) -> Clip:
    """The dance as the take shows it, each coordinate off by about PIXEL_NOISE."""
    times = np.arange(round(take.seconds * take.frames_per_second)) / take.frames_per_second
    dance = dancer.choreography
    if take.beats_per_minute is not None:
        dance = replace(dance, beats_per_minute=take.beats_per_minute)
    xyz = pose_skeleton(dancer.body, dance.pose(times, dancer.body)).keypoints_xyz
    camera, middle = dancer.camera(SIZE_WH), np.array([0.0, 0.6 * dancer.body.height, 0.0])
    turned = (xyz - middle) @ _rotation(0, 2, take.turn_degrees).T @ _rotation(1, 2, take.tilt_degrees).T + middle
    xy = camera.view(turned)[..., :2]
    return Clip(times, xy + rng.normal(0.0, PIXEL_NOISE, xy.shape), np.full(xy.shape[:2], SCORE))


def _rotation(first: int, second: int, degrees: float) -> Array:
    rotation = np.eye(3)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation[[first, first, second, second], [first, second, first, second]] = cos, -sin, sin, cos
    return rotation


def unchanged(clip: Clip, rng: Draw) -> Clip:
    return clip


def without(clip: Clip, missing: npt.NDArray[np.bool_]) -> Clip:
    """The clip whose keypoints (N, 17) are `missing` here and there: NaN, score 0."""
    xy = np.where(missing[..., None], np.nan, clip.keypoints_xy)
    return replace(clip, keypoints_xy=xy, keypoint_scores=np.where(missing, 0.0, clip.keypoint_scores))


def with_gaps(share: float) -> "Disturbance":
    return lambda clip, rng: without(clip, rng.random(clip.keypoint_scores.shape) < share)


def without_limbs(num_limbs: int) -> "Disturbance":
    def disturb(clip: Clip, rng: Draw) -> Clip:
        hidden = [k for limb in rng.permutation(len(LIMBS))[:num_limbs] for k in LIMBS[limb]]
        return without(clip, np.broadcast_to(np.isin(np.arange(NUM_KEYPOINTS), hidden), clip.keypoint_scores.shape))

    return disturb


def with_noise(torso_lengths: float) -> "Disturbance":
    def disturb(clip: Clip, rng: Draw) -> Clip:
        xy = clip.keypoints_xy
        torsos = xy[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1) - xy[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1)
        spread = torso_lengths * float(np.median(np.linalg.norm(torsos, axis=1)))
        return replace(clip, keypoints_xy=xy + rng.normal(0.0, spread, xy.shape))

    return disturb


def mirrored(clip: Clip, rng: Draw) -> Clip:
    xy = clip.keypoints_xy[:, MIRROR] * [-1, 1] + [SIZE_WH[0] - 1, 0]
    return replace(clip, keypoints_xy=xy)


Disturbance = Callable[[Clip, Draw], Clip]


@dataclass(frozen=True)
class Case:
    """One point of a curve."""

    at: float
    take: Take = PLAIN
    disturb: Disturbance = unchanged


def curves() -> dict[str, list[Case]]:
    """The cases by what changes along the curve."""
    own = sum(BEATS_PER_MINUTE) / 2
    turns, tilts = (-90, -60, -45, -30, -15, 0, 15, 30, 45, 60, 90), (-20, -10, 0, 10, 20, 30)
    slow, fast = (round(share * own) for share in (0.6, 1.6))
    return {
        "mirrored (1) or not (0)": [Case(0), Case(1, disturb=mirrored)],
        "keypoints missing at random, share": [Case(s, disturb=with_gaps(s)) for s in np.arange(7) / 10],
        "limbs hidden throughout, of head, arms, legs": [Case(n, disturb=without_limbs(n)) for n in range(5)],
        "noise, torso lengths": [Case(s, disturb=with_noise(s)) for s in (0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.125, 0.15)],
        "frames per second": [Case(r, Take(frames_per_second=r)) for r in (4, 5, 6, 8, 10, 12, 15, 24, 30)],
        "seconds of the clip": [Case(s, Take(seconds=s)) for s in (1, 2, 3, 5)],
        "camera turned around the dancer, degrees": [Case(d, Take(turn_degrees=d)) for d in turns],
        "camera looking further down, degrees": [Case(d, Take(tilt_degrees=d)) for d in tilts],
        "beats per minute": [Case(b, Take(beats_per_minute=b)) for b in (slow, 75, 88, 102, 116, 130, 145, fast)],
    }


@dataclass(frozen=True, eq=False)
class Labelled:
    """The windows of some clips."""

    inputs: Inputs
    clip_of_window: npt.NDArray[np.int64]
    """(W,) index into `dancers`."""
    dancers: tuple[Dancer, ...]

    @property
    def label_index(self) -> npt.NDArray[np.int64]:
        """(clips,)."""
        return np.array([STYLES.index(dancer.style) for dancer in self.dancers], np.int64)


def cut(dancers: Sequence[Dancer], case: Case) -> Labelled:
    """The windows of all the dancers' clips in one case."""
    parts = []
    for dancer in dancers:
        rng = np.random.default_rng([dancer.seed, STYLES.index(dancer.style)])
        clip = case.disturb(film(dancer, case.take, rng), rng)
        rows = sequence_from(clip.pts_seconds, clip.keypoints_xy, scores=clip.keypoint_scores)
        windows = cut_windows(rows, SETTINGS.windows)
        parts.append(Inputs.from_windows(windows))
    return Labelled(Inputs.concat(parts), np.repeat(np.arange(len(parts)), [len(p) for p in parts]), tuple(dancers))


def dancers_from(first_seed: int, num_per_style: int) -> list[Dancer]:
    return [Dancer(style, seed) for seed in range(first_seed, first_seed + num_per_style) for style in STYLES]


def train(labelled: Labelled) -> list[torch.nn.Module]:
    """The networks of one style model, each without one fold of the dancers."""
    of_window = labelled.clip_of_window
    seeds = np.array([dancer.seed for dancer in labelled.dancers])
    examples = Examples(
        inputs=labelled.inputs,
        label_index=labelled.label_index[of_window],
        video_index=of_window,
        fold=seeds[of_window] % NUM_FOLDS,
        video_ids=tuple(dancer.video_id for dancer in labelled.dancers),
        groups=tuple(dancer.name for dancer in labelled.dancers),
    )
    state = FitState()
    fit(state, examples, SETTINGS, num_labels=len(STYLES), share=WorkerShare(), on_epoch=lambda _: None)
    networks: list[torch.nn.Module] = []
    for weights in state.done:
        network = build_network(SETTINGS.network, num_labels=len(STYLES), hidden_size=SETTINGS.hidden_size, dropout=0.0)
        network.load_state_dict(weights)
        networks.append(network)
    return networks


def accuracy(networks: Sequence[torch.nn.Module], labelled: Labelled) -> float:
    """The share of clips whose best style is right; a clip without a window is not."""
    log_scores = log_scores_of(networks, labelled.inputs, num_labels=len(STYLES))
    by_clip = mean_by_video(log_scores, labelled.clip_of_window, num_videos=len(labelled.dancers))
    told = np.isfinite(by_clip).all(axis=1)
    return float(((np.nan_to_num(by_clip).argmax(axis=1) == labelled.label_index) & told).mean())


def draw(found: Mapping[str, Mapping[float, float]]) -> Figure:
    """One small plot per curve."""
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(10, 8), layout="constrained")
        for axes, (name, points) in zip(figure.subplots(3, 3).flat, found.items(), strict=True):
            axes.plot(list(points), list(points.values()), "o-", color=plots.BLUE)
            axes.axhline(1 / len(STYLES), color=plots.GREY, linestyle=":")  # guessing
            axes.set(xlabel=name, ylim=(0, 1.03))
        figure.supylabel("clips tagged right")
    return figure


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="accuracy of the style model on disturbed clips of unseen dancers")
    parser.add_argument("--output", type=Path, required=True, help="folder for robustness.png")
    arguments = parser.parse_args(argv)
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    networks = train(cut(dancers_from(0, TRAIN_PER_STYLE), Case(0)))
    unseen = dancers_from(UNSEEN_SEED, UNSEEN_PER_STYLE)
    found: dict[str, dict[float, float]] = {}
    for name, cases in curves().items():
        found[name] = {case.at: accuracy(networks, cut(unseen, case)) for case in cases}
        rows = [(f"{at:g}", f"{share:.3f}") for at, share in found[name].items()]
        print_table("", rows, header=(name, f"right of {len(unseen)} clips"))
    (arguments.output / "robustness.png").write_bytes(plots.as_png(draw(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
