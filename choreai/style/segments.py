"""Segments: where one dancer's style changes, from the scores of overlapping windows.

The most probable sequence of styles under a hidden Markov model: windows are evidence for styles, and a change of style
has a prior cost. Solved exactly by Viterbi's recursion with a shortest duration.
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import AnyFloatArray, Float64Array

MEAN_SEGMENT_SECONDS = 60.0
"""How long a style lasts on average, before anything is seen: with n styles, a change in the time of one window has
the odds window : (n - 1) * 60 s."""
WILD_WINDOW_SHARE = 0.05
"""Share of windows whose scores say nothing about the style, however confident they are."""
MIN_WINDOW_SHARE = 1.0
"""The shortest segment in windows: in a shorter one, every window also covers what is danced before or after it."""


@dataclass(frozen=True)
class Run:
    """Windows `first` to `stop` (exclusive) of a track, all of one style, in [start_seconds, stop_seconds)."""

    first: int
    stop: int
    start_seconds: float
    stop_seconds: float


def style_runs(scores: AnyFloatArray, *, start_seconds: AnyFloatArray, stop_seconds: AnyFloatArray) -> list[Run]:
    """Return the runs of one style of one track's W windows, in time order; together they cover all that the windows
    do.

    `scores` (W, styles) are calibrated probabilities, `start_seconds` and `stop_seconds` (W,) the windows' rising ends.
    Neighbours meet half-way between the centres of their windows, except where the windows themselves leave a gap.
    Raises ValueError for other shapes or windows out of order.
    """
    num_windows = len(scores)
    if scores.ndim != 2 or start_seconds.shape != (num_windows,) or stop_seconds.shape != (num_windows,):
        raise ValueError(
            f"scores must be (W, styles), start_seconds and stop_seconds (W,), got {scores.shape}, "
            f"{start_seconds.shape} and {stop_seconds.shape}"
        )
    if (np.diff(start_seconds) <= 0).any():
        raise ValueError("windows must be of one track and in time order; sort them by start_seconds")
    breaks = np.flatnonzero(start_seconds[1:] > stop_seconds[:-1]) + 1
    runs = []
    for part in np.split(np.arange(num_windows), breaks):
        if len(part):
            first, starts, stops = int(part[0]), start_seconds[part], stop_seconds[part]
            runs += [
                Run(first + a, first + b, float(edges[a]), float(edges[b]))
                for edges in [_edges(starts.astype(np.float64), stops.astype(np.float64))]
                for a, b in _changes(scores[part].astype(np.float64), edges, float(np.median(stops - starts)))
            ]
    return runs


def _edges(start_seconds: Float64Array, stop_seconds: Float64Array) -> Float64Array:
    """Return (W + 1,): window i stands for the time from edge i to edge i + 1."""
    centres = (start_seconds + stop_seconds) / 2
    return np.concatenate([start_seconds[:1], (centres[1:] + centres[:-1]) / 2, stop_seconds[-1:]])


def _changes(scores: Float64Array, edges: Float64Array, window_seconds: float) -> list[tuple[int, int]]:
    """Return (first, stop) of each run of the windows between the edges."""
    num_windows, num_styles = scores.shape
    believed = (1 - WILD_WINDOW_SHARE) * scores + WILD_WINDOW_SHARE / num_styles
    # Windows overlap, so each counts by the part of its length that it stands for, and not in full.
    evidence = np.log(believed) * (np.diff(edges) / window_seconds)[:, None]
    total = np.concatenate([np.zeros((1, num_styles)), np.cumsum(evidence, axis=0)])
    cost = float(np.log(max(num_styles - 1, 1) * MEAN_SEGMENT_SECONDS / window_seconds))
    min_seconds = MIN_WINDOW_SHARE * window_seconds * (1 - 1e-6)

    best = np.full((num_windows + 1, num_styles), -np.inf)  # of the windows before i, the last of them in this style
    began = np.zeros((num_windows + 1, num_styles), np.int64)  # where that last run began
    num_allowed = 0
    for i in range(1, num_windows + 1):
        best[i] = best[i - 1] + evidence[i - 1]
        began[i] = began[i - 1]
        while num_allowed < i and edges[i] - edges[num_allowed] >= min_seconds:
            before = best[num_allowed].max() - cost if num_allowed else 0.0
            fresh = before + total[i] - total[num_allowed]
            began[i] = np.where(fresh > best[i], num_allowed, began[i])
            best[i] = np.maximum(best[i], fresh)
            num_allowed += 1
    if not np.isfinite(best[-1]).any():  # too short for a choice
        return [(0, num_windows)]
    runs: list[tuple[int, int]] = []
    stop = num_windows
    while stop > 0:
        first = int(began[stop, best[stop].argmax()])
        runs.append((first, stop))
        stop = first
    return runs[::-1]
