"""How one dancer dances, whatever the style: stance, habits, energy.

It is drawn alike for every style, so that none of it tells the styles apart.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from choreai.arrays import Float64Array

SPEEDS = {
    "hips": (0.06, 0.15),
    "trunk": (0.05, 0.12),
    "head": (0.055, 0.11),
    "arms": (0.33, 0.50),
    "legs": (0.08, 0.19),
}
"""From the calmest to the liveliest dancer: mean speed of a part of the body in the picture plane, in body heights
a second."""


@dataclass(frozen=True, eq=False)
class Manner:
    """How one dancer dances, whatever the style."""

    depth: float
    """Bend of the knees, in leg lengths of the pelvis."""
    lean: float
    """Forward, radians."""
    turnout: float
    """Of the feet, radians."""
    stance: float
    """Half the distance between the feet, in body heights."""
    facing: float
    """Yaw from the camera, radians."""
    home: Float64Array
    """(3,) where the hands are on average: outward, up, forward."""
    elbows: Float64Array
    """(3,) where the elbows point."""
    lead: int
    """The side that starts, LEFT or RIGHT."""
    taste: Float64Array
    """(8,) uniform numbers in [0, 1): the moves' small choices."""
    liveliness: dict[str, float]
    """By part of the body, see SPEEDS."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """A random dancer's."""
        return cls(
            depth=rng.uniform(0.02, 0.12),
            lean=rng.uniform(0.0, 0.15),
            turnout=rng.uniform(0.25, 0.80),
            stance=rng.uniform(0.075, 0.125),
            facing=rng.uniform(-0.30, 0.30),
            home=rng.uniform([0.25, -0.20, 0.30], [0.40, 0.05, 0.45]),
            elbows=rng.uniform([0.2, -0.6, -1.0], [0.6, -0.2, -0.5]),
            lead=int(rng.integers(2)),
            taste=rng.random(8),
            liveliness={part: rng.uniform(*SPEEDS[part]) for part in SPEEDS},
        )
