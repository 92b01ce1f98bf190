"""The trackers on dancers who cross, leave and return, generated and real: HOTA, IDF1 and identity switches.

    python tests/bench_tracking.py

"perfect ids" are the same boxes under their owners' ids: what the boxes allow, and what they allow by movement alone.
The real clips, whose dancers' boxes and ids were drawn by eye (`tests/drawn_people.py`), need ../shared.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import drawn_people
from crossings import SCENES, Scene, Sighting, make_scene, score_perfect_ids, score_tracker

from choreai.cli.console import print_table
from choreai.pose.occlusion_tracking import OcclusionTracker
from choreai.pose.reid import ReidTracker
from choreai.pose.trackers import PersonTracker
from choreai.pose.tracking import Tracker
from choreai.pose.tracking_scores import TrackingScores, combine_scores

HEADER = ("scene", "HOTA", "DetA", "AssA", "IDF1", "switches")


def scored_by(make: Callable[[], PersonTracker], looks: bool) -> Callable[[Scene], TrackingScores]:
    def score(scene: Scene) -> TrackingScores:
        sightings = scene.sightings
        if not looks:
            sightings = [Sighting(replace(s.poses, features=None), s.owners) for s in sightings]
        return score_tracker(replace(scene, sightings=sightings), make())

    return score


TRACKERS: dict[str, tuple[Callable[[], PersonTracker], bool]] = {
    "Tracker, movement only": (Tracker, False),
    "OcclusionTracker, movement only": (OcclusionTracker, False),
    "ReidTracker, with re-ID": (ReidTracker, True),
    "OcclusionTracker, with re-ID": (OcclusionTracker, True),
}
"""Their classes, and whether they are shown appearance features."""


def row(kind: str, scores: TrackingScores) -> list[str]:
    found = (scores.hota, scores.det_a, scores.ass_a, scores.idf1)
    return [kind, *(f"{value:.3f}" for value in found), str(scores.switches)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first-seed", type=int, default=10, metavar="N", help="default: 10")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="scenes of each kind (default: 3)")
    arguments = parser.parse_args()
    bench_crossings(range(arguments.first_seed, arguments.first_seed + arguments.seeds))
    if drawn_people.CLIPS.exists():
        bench_drawn()
    else:
        print(f"{drawn_people.CLIPS} is missing: the real clips are left out")


def bench_crossings(seeds: range) -> None:
    scenes = {kind: [make_scene(kind, seed) for seed in seeds] for kind in SCENES}
    scorers: dict[str, Callable[[Scene], TrackingScores]] = {
        "perfect ids": score_perfect_ids,
        "perfect ids, new ones after 2 s unseen": partial(score_perfect_ids, forget_seconds=2.0),
        **{name: scored_by(*tracker) for name, tracker in TRACKERS.items()},
    }
    for name, score in scorers.items():
        by_kind = {kind: combine_scores([score(scene) for scene in scenes[kind]]) for kind in SCENES}
        rows = [row(kind, scores) for kind, scores in by_kind.items()]
        print_table(name, [*rows, row("all", combine_scores(list(by_kind.values())))], header=HEADER)


def bench_drawn() -> None:
    clips = list(drawn_people.estimate_clips())
    for name, (make, looks) in TRACKERS.items():
        by_clip = {clip.name: drawn_people.score_drawn(clip, make, looks=looks) for clip in clips}
        rows = [row(clip, scores) for clip, scores in by_clip.items()]
        all_row = row("all", combine_scores(list(by_clip.values())))
        print_table(f"{name}, real clips", [*rows, all_row], header=HEADER)


if __name__ == "__main__":
    main()
