"""Random tracks with all that tracking gets wrong, and TrackEval's scores of them; needs numpy and no choreai.

`python tests/random_tracks.py`, where `pip install trackeval` was run, writes some to `golden/tracking_scores.json`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parent / "golden" / "tracking_scores.json"
GOLDEN_SEEDS = (1, 2, 3, 4, 5, 6)
FIELDS = ("HOTA", "DetA", "AssA", "IDF1", "IDSW", "MOTA")

Row = tuple[int, int, float, float, float, float]
"""Frame, id, x, y, width, height."""


@dataclass(frozen=True)
class Tracks:
    truth: list[Row]
    result: list[Row]


def random_tracks(seed: int, *, num_frames: int = 12) -> Tracks:
    """People on straight ways through one another; some frames have nobody, and some sequences hardly anything."""
    rng = np.random.default_rng(seed)
    num_people, jitter = int(rng.integers(1, 6)), rng.uniform(0, 12)
    miss, swap, ghost = rng.uniform(0, 0.4), rng.uniform(0, 0.15), rng.uniform(0, 0.5)
    start, step = rng.uniform(0, 150, (num_people, 2)), rng.normal(0, 8, (num_people, 2))
    ids = list(range(10, 10 + num_people))
    truth: list[Row] = []
    result: list[Row] = []
    for frame in range(1, num_frames + 1):
        if rng.random() < swap * num_people:
            ids[int(rng.integers(num_people))] = int(rng.integers(10, 40))
        if rng.random() < 0.08:
            continue  # a frame without anybody
        is_there = rng.random(num_people) > 0.1
        for person in np.flatnonzero(is_there):
            box = (*(start[person] + step[person] * frame), 40.0, 80.0)
            truth.append(_row(frame, int(person) + 1, box))
            if rng.random() > miss and ids[person] not in {row[1] for row in result if row[0] == frame}:
                result.append(_row(frame, ids[person], tuple(np.array(box) + rng.normal(0, jitter, 4))))
        if rng.random() < ghost:
            result.append(_row(frame, 50 + frame // 4, (*rng.uniform(0, 200, 2), 40.0, 80.0)))
    rng.shuffle(truth)
    rng.shuffle(result)
    return Tracks(truth, result)


def _row(frame: int, track_id: int, box: tuple[float, ...]) -> Row:
    x, y, width, height = (round(float(value), 2) for value in box)
    return frame, track_id, x, y, max(width, 1.0), max(height, 1.0)


def score_with_trackeval(tracks: Tracks) -> dict[str, float]:
    return _final_scores({"only": _counts(tracks)}, combined=False)


def combine_with_trackeval(sequences: list[Tracks]) -> dict[str, float]:
    """TrackEval's COMBINED row."""
    return _final_scores({str(i): _counts(tracks) for i, tracks in enumerate(sequences)}, combined=True)


def _metrics() -> dict[str, Any]:
    import trackeval

    quiet = {"PRINT_CONFIG": False}
    metrics = trackeval.metrics
    return {"hota": metrics.HOTA(quiet), "clear": metrics.CLEAR(quiet), "identity": metrics.Identity(quiet)}


def _counts(tracks: Tracks) -> dict[str, Any]:
    """By metric, what TrackEval has of one sequence."""
    data = _prepare(tracks)
    return {name: metric.eval_sequence(data) for name, metric in _metrics().items()}


def _final_scores(counts: dict[str, dict[str, Any]], *, combined: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, metric in _metrics().items():
        by_sequence = {sequence: count[name] for sequence, count in counts.items()}
        scores = metric.combine_sequences(by_sequence) if combined else by_sequence["only"]
        found |= {field: float(np.mean(scores[field])) for field in FIELDS if field in scores}
    return found


def _prepare(tracks: Tracks) -> dict[str, Any]:
    """The arguments of TrackEval's metrics."""
    from trackeval.datasets._base_dataset import _BaseDataset

    truth, result = (np.array(rows, float).reshape(-1, 6) for rows in (tracks.truth, tracks.result))
    _, true_ids = np.unique(truth[:, 1], return_inverse=True)
    _, found_ids = np.unique(result[:, 1], return_inverse=True)
    num_frames = int(max([0, *truth[:, 0], *result[:, 0]]))
    rows = [(truth[:, 0] == frame, result[:, 0] == frame) for frame in range(1, num_frames + 1)]
    return {
        "num_timesteps": num_frames,
        "num_gt_dets": len(truth),
        "num_tracker_dets": len(result),
        "num_gt_ids": len(set(true_ids)),
        "num_tracker_ids": len(set(found_ids)),
        "gt_ids": [true_ids[true] for true, _ in rows],
        "tracker_ids": [found_ids[found] for _, found in rows],
        "similarity_scores": [
            _BaseDataset._calculate_box_ious(truth[true, 2:], result[found, 2:], box_format="xywh")
            for true, found in rows
        ],
    }


if __name__ == "__main__":
    cases = [random_tracks(seed) for seed in GOLDEN_SEEDS]
    golden = {
        "cases": [{"truth": c.truth, "result": c.result, "scores": score_with_trackeval(c)} for c in cases],
        "combined": combine_with_trackeval(cases),
    }
    GOLDEN.write_text(json.dumps(golden) + "\n")
