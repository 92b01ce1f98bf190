"""A dancer's personal manner, independent of the style: stance, habits, energy.

It is drawn in the same way for every style, so that it does not distinguish them.
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
"""Mean speeds of the parts of the body in the image plane, from the calmest to the liveliest dancer, in body heights
per second."""


@dataclass(frozen=True, eq=False)
class Manner:
    """A dancer's personal manner, independent of the style."""

    depth: float
    """Bend of the knees: how far the pelvis is lowered, in leg lengths."""
    lean: float
    """Forward lean, radians."""
    turnout: float
    """Turnout of the feet, radians."""
    stance: float
    """Half the distance between the feet, in body heights."""
    facing: float
    """Yaw from the camera, radians."""
    home: Float64Array
    """(3,) mean position of the hands: outward, up, forward."""
    elbows: Float64Array
    """(3,) direction of the elbows."""
    lead: int
    """The side that starts, LEFT or RIGHT."""
    taste: Float64Array
    """(8,) uniform numbers in [0, 1), by which moves vary in detail."""
    liveliness: dict[str, float]
    """Mean speed by part of the body, see SPEEDS."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Return a random manner."""
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
