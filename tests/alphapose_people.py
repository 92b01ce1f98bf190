"""People for pose NMS and result files, and AlphaPose's rule for bodies in plain loops.

`python tests/alphapose_people.py` writes `golden/alphapose_people.json`: bodies (17, 26, 68 keypoints) by the loops,
whole bodies (133, 136) by the code itself, so that a change of either is seen.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from choreai.arrays import FloatArray
from choreai.formats.alphapose_results import to_coco
from choreai.pose.estimator import Poses
from choreai.pose.nms import HEATMAP_CONSTANTS, pose_nms
from choreai.pose.pipeline import TrackedPoses

GOLDEN = Path(__file__).parent / "golden" / "alphapose_people.json"
BODIES, WHOLE_BODIES = (17, 26, 68), (133, 136)


@dataclass(frozen=True)
class Scene:
    """Four people, of whom the second is found twice, and the fourth has hardly any score."""

    boxes: FloatArray
    box_scores: FloatArray
    xy: FloatArray
    scores: FloatArray

    @classmethod
    def of(cls, num_keypoints: int) -> "Scene":
        """With a score of exactly 0 and a negative one, and in another order by keypoint scores than by the final."""
        rng = np.random.default_rng(num_keypoints)
        people = rng.uniform(0, 90, (4, num_keypoints, 2)) + np.arange(4)[:, None, None] * 150
        xy = np.concatenate([people, people[1:2] + rng.normal(0, 1.0, (1, num_keypoints, 2))]).astype(np.float32)
        scores = np.stack([np.full(num_keypoints, level) for level in (0.45, 0.6, 0.59, 0.1, 0.55)]).astype(np.float32)
        scores[0, -1], scores[2, 0], scores[2, 1], scores[1, 3] = 0.95, 0.0, -0.2, -0.05
        boxes = np.concatenate([xy.min(axis=1) - 5, xy.max(axis=1) + 5], axis=1).astype(np.float32)
        return cls(boxes, np.array([0.9, 0.8, 0.3, 0.9, 0.7], np.float32), xy, scores)


def by_plain_loops(scene: Scene) -> list[dict[str, Any]]:
    """The people of a scene of bodies by AlphaPose's rule, as its results have them."""
    scores = [[float(s) or 1e-5 for s in person] for person in scene.scores.astype(np.float64)]
    places = scene.xy.astype(np.float64)
    left, results = list(range(len(scores))), []
    while left:
        pick = max(left, key=lambda person: sum(scores[person]))
        x1, y1, x2, y2 = (float(value) for value in scene.boxes[pick])
        reach = 0.1 * max(x2 - x1, y2 - y1)
        distances = {person: [math.dist(a, b) for a, b in zip(places[person], places[pick], strict=True)]
                     for person in left}  # fmt: skip
        cluster = []
        for person in left:
            similarity = sum(1.7 * math.exp(-d / 2.65) for d in distances[person])
            for d, own, picked in zip(distances[person], scores[person], scores[pick], strict=True):
                similarity += math.tanh(own) * math.tanh(picked) if d <= 1 else 0.0
            matches = sum(d <= min(reach, 7) for d in distances[person])
            if person == pick or similarity > 22.48 or matches >= 5:
                cluster.append(person)
        left = [person for person in left if person not in cluster]
        if max(scores[pick]) < 0.3:
            continue
        keypoints: list[float] = []
        merged = []
        for k in range(len(scores[pick])):
            near = [person for person in cluster if distances[person][k] <= min(reach, 15)]
            weight = sum(scores[person][k] for person in near)
            x, y = (sum(scores[person][k] * places[person][k][axis] for person in near) / weight for axis in (0, 1))
            merged.append(sum(scores[person][k] ** 2 for person in near) / weight)
            keypoints += [x, y, merged[-1]]
        score = sum(merged) / len(merged) + float(scene.box_scores[pick]) + 1.25 * max(merged)
        results.append({"person": pick, "score": score, "keypoints": keypoints})
    return results


def by_the_code(scene: Scene) -> list[dict[str, Any]]:
    """The same by pose NMS and the result file of `choreai pose`."""
    found = pose_nms(scene.boxes, scene.xy, scene.scores, constants=HEATMAP_CONSTANTS, min_box_area=0.0)
    others: dict[str, FloatArray] = {}
    if scene.xy.shape[1] > 17:
        others = {"all_keypoints_xy": found.keypoints_xy, "all_keypoint_scores": found.keypoint_scores}
    poses = Poses(
        scene.boxes[found.picks], scene.box_scores[found.picks], found.keypoints_xy[:, :17].copy(),
        found.keypoint_scores[:, :17].copy(), **others,
    )  # fmt: skip
    people = TrackedPoses(0, 0.0, poses, np.arange(len(poses), dtype=np.int32))
    written: list[dict[str, Any]] = to_coco(people, image_id="1.jpg")
    return [
        {"person": int(pick), "score": person["score"], "keypoints": person["keypoints"]}
        for pick, person in zip(found.picks, written, strict=True)
    ]


def summary(people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each person who is the score, how many numbers there are, and the sum of every third of them."""
    return [
        {
            "person": person["person"],
            "score": round(person["score"], 4),
            "num_numbers": len(person["keypoints"]),
            "sums": [round(sum(person["keypoints"][axis::3]), 2) for axis in range(3)],
        }
        for person in people
    ]


if __name__ == "__main__":
    made = {str(n): summary(by_plain_loops(Scene.of(n))) for n in BODIES}
    made |= {str(n): summary(by_the_code(Scene.of(n))) for n in WHOLE_BODIES}
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n")
