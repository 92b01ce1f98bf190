"""Dancers: the measured movement of each track of a video, and which of them is the main dancer."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from choreai.motion.kinematics import Kinematics, measure_kinematics
from choreai.motion.prominence import choose_dancers, prominence_by_track
from choreai.motion.sequence import KeypointSequence


@dataclass(frozen=True)
class Dancer:
    """One whole track of a video, in [start_seconds, stop_seconds)."""

    track_id: int
    start_seconds: float
    stop_seconds: float
    kinematics: Kinematics
    is_main: bool
    """Whether this is the most prominent person of the video: exactly one is."""


def measure_dancers(sequence: KeypointSequence, named: Collection[int] | None = None) -> tuple[Dancer, ...]:
    """Return the people of one video by track id; one of them is the main dancer, if there is anybody.

    Only the time in which a person dances counts towards their prominence (`choose_dancers`, which takes `named` too).
    """
    prominence = prominence_by_track(sequence.take(choose_dancers(sequence, named).is_main))
    main = max(prominence, key=lambda track_id: (prominence[track_id], -track_id), default=None)
    return tuple(_measure(track_id, track, is_main=track_id == main) for track_id, track in sequence.tracks())


def _measure(track_id: int, track: KeypointSequence, *, is_main: bool) -> Dancer:
    times = np.unique(track.pts_seconds)
    spacing = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return Dancer(track_id, float(times[0]), float(times[-1]) + spacing, measure_kinematics(track), is_main)
