"""The dancer of `choreai show --view`: lifted into 3D, drawn from another side, with turns and jumps in words."""

from pathlib import Path

import numpy as np

from choreai.lift.figures import SpaceFigures, measure_space
from choreai.lift.lifter import LiftedTrack, lift_track
from choreai.lift.weights import load_lifter
from choreai.motion.prominence import choose_dancers, prominence_by_track
from choreai.motion.sequence import KeypointSequence
from choreai.video.encode import write_png
from choreai.visualize.space import angle_of, draw_space_sheet

NUM_MOMENTS = 8


def draw_from_side(
    rows: KeypointSequence, view: str, *, name: str, folder: Path, named: list[int] | None
) -> Path | None:
    """Draw the most prominent dancer, or the first of those `named`, from `view`; print what is seen in space, and
    return the picture. None, with the reason printed, where no pose can be lifted."""
    angle = angle_of(view)
    track = _dancer(rows, named)
    if track is None:
        print("not in 3D: nobody is in view")
        return None
    lifted = lift_track(track, load_lifter().network)
    if lifted.status != "ok":
        print(f"not in 3D: {_WHY[lifted.status]}")
        return None
    chosen = np.unique(np.linspace(0, len(lifted) - 1, NUM_MOMENTS).round().astype(int))
    sheet = draw_space_sheet(
        lifted.xyz[chosen],
        lifted.root_height[chosen],
        angle=angle,
        captions=[f"{seconds:.1f} s" for seconds in lifted.pts_seconds[chosen]],
    )
    path = folder / f"{name}.view{angle:+g}.png"
    write_png(path, sheet)
    print(f"in 3D, from {angle:g} degrees around person {lifted.track_id}: {path}")
    print(f"  {space_text(measure_space(lifted), lifted)}")
    return path


_WHY = {
    "too_short": "the dancer is in view for half a second or less in one piece",
    "not_seen": "hips and 8 of the 12 keypoints below the head are never seen at once",
}


def space_text(figures: SpaceFigures, lifted: LiftedTrack) -> str:
    """Return turns, jumps and levels in words."""
    left, right = int(figures.num_turns_left), int(figures.num_turns_right)
    size = "a body of 1.70 m assumed" if lifted.scale_source == "assumed" else "height as given"
    jump = f"jumps up to {figures.jump_height:.2f} m" if figures.jump_height else "no jump"
    return (
        f"{left} full turns left, {right} right; {jump}; near the floor {figures.floor_share:.0%} of the time; "
        f"hands reach {figures.reach_volume:.2f} m³ ({size})"
    )


def _dancer(rows: KeypointSequence, named: list[int] | None) -> KeypointSequence | None:
    if named:
        return rows.track(named[0])
    prominence = prominence_by_track(rows.take(choose_dancers(rows).is_main))
    main = max(prominence, key=lambda track_id: (prominence[track_id], -track_id), default=None)
    return None if main is None else rows.track(main)
