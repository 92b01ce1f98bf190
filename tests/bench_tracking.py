"""The trackers on generated dancers who cross, leave and return: HOTA, IDF1 and identity switches.

    python tests/bench_tracking.py

"perfect ids" are the same boxes under their owners' ids: what the boxes allow.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

from crossings import SCENES, FrameTracker, Scene, Sighting, make_scene, score_perfect_ids, score_tracker

from choreai.cli.console import print_table
from choreai.pose.reid import ReidTracker
from choreai.pose.tracking import Tracker
from choreai.pose.tracking_scores import TrackingScores, combine_scores

HEADER = ("scene", "HOTA", "DetA", "AssA", "IDF1", "switches")


def scored_by(make: Callable[[], FrameTracker], *, looks: bool) -> Callable[[Scene], TrackingScores]:
    def score(scene: Scene) -> TrackingScores:
        sightings = scene.sightings
        if not looks:
            sightings = [Sighting(replace(s.poses, features=None), s.owners) for s in sightings]
        return score_tracker(replace(scene, sightings=sightings), make())

    return score


TRACKERS = {
    "perfect ids": score_perfect_ids,
    "Tracker, movement only": scored_by(Tracker, looks=False),
    "ReidTracker": scored_by(ReidTracker, looks=True),
}


def row(kind: str, scores: TrackingScores) -> list[str]:
    found = (scores.hota, scores.det_a, scores.ass_a, scores.idf1)
    return [kind, *(f"{value:.3f}" for value in found), str(scores.switches)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first-seed", type=int, default=10, metavar="N", help="default: 10")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="scenes of each kind (default: 3)")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    scenes = {kind: [make_scene(kind, seed) for seed in seeds] for kind in SCENES}
    for name, score in TRACKERS.items():
        by_kind = {kind: combine_scores([score(scene) for scene in scenes[kind]]) for kind in SCENES}
        rows = [row(kind, scores) for kind, scores in by_kind.items()]
        print_table(name, [*rows, row("all", combine_scores(list(by_kind.values())))], header=HEADER)


if __name__ == "__main__":
    main()
