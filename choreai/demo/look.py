"""A dancer's appearance: skin, hair and clothes."""

import colorsys
from dataclasses import dataclass
from typing import Self

import numpy as np

from choreai.arrays import Float64Array

SKIN_TONES = ((241, 194, 160), (224, 172, 130), (198, 134, 95), (150, 95, 65), (112, 72, 50), (88, 58, 44))
"""RGB, light to dark."""
HAIR_COLOURS = ((25, 20, 18), (60, 38, 24), (120, 85, 50), (100, 36, 22), (205, 165, 105), (185, 182, 178))
HAIR_STYLES = ("short", "long", "bun", "afro")
SLEEVES = {"none": 0.0, "short": 0.5, "elbow": 1.1, "long": 1.95}
"""Where they end: 0 = shoulder, 1 = elbow, 2 = wrist."""
TROUSERS = {"short": 0.5, "knee": 1.1, "long": 1.93}
"""Where they end: 0 = hip, 1 = knee, 2 = ankle."""
MIN_CLOTHES_CONTRAST = 90.0
MIN_HAIR_CONTRAST = 60.0
"""RGB distances from the skin. If face or limbs do not stand out, MediaPipe swaps left and right: in a clip with hair
of the skin's colour only 64 % of the keypoints were correct, in others 99 %."""


@dataclass(frozen=True)
class Look:
    """Colours are RGB, 0 to 255."""

    skin_tone: int
    """Index into SKIN_TONES."""
    hair_style: str
    hair: tuple[float, float, float]
    sleeves: str
    trouser_length: str
    top: tuple[float, float, float]
    trim: tuple[float, float, float]
    """Colour of the stripes, or of the sleeves."""
    trousers: tuple[float, float, float]
    shoes: tuple[float, float, float]
    pattern: str
    """`plain`, `stripes` or `raglan` (sleeves in the trim colour)."""
    bare_midriff: bool
    looseness: float
    """0 = tight, 1 = baggy."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Return a random appearance."""
        tone = int(rng.integers(len(SKIN_TONES)))
        skin = np.array(SKIN_TONES[tone], np.float64)
        hairs = [colour for colour in HAIR_COLOURS if np.linalg.norm(colour - skin) > MIN_HAIR_CONTRAST]
        top = _draw_cloth(rng, avoid=(skin,))
        return cls(
            skin_tone=tone,
            hair_style=str(rng.choice(HAIR_STYLES)),
            hair=hairs[rng.integers(len(hairs))],
            sleeves=str(rng.choice(list(SLEEVES))),
            trouser_length=str(rng.choice(list(TROUSERS))),
            top=top,
            trim=_draw_cloth(rng, avoid=(skin,)),
            trousers=_draw_cloth(rng, avoid=(skin, np.array(top))),
            shoes=_draw_cloth(rng, avoid=(skin,)),
            pattern=str(rng.choice(["plain", "plain", "stripes", "raglan"])),
            bare_midriff=bool(rng.random() < 0.15),
            looseness=rng.uniform(0, 1),
        )

    @property
    def skin(self) -> Float64Array:
        """(3,) RGB."""
        return np.array(SKIN_TONES[self.skin_tone], np.float64)


def _draw_cloth(rng: np.random.Generator, *, avoid: tuple[Float64Array, ...]) -> tuple[float, float, float]:
    """Return a random fabric colour that stands out from all of `avoid`."""
    while True:
        red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.10, 0.75), rng.uniform(0.25, 0.95))
        colour = (255 * red, 255 * green, 255 * blue)
        if all(np.linalg.norm(np.array(colour) - other) > MIN_CLOTHES_CONTRAST for other in avoid):
            return colour
