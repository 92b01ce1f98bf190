"""What all figures share: resolution, colours and matplotlib settings."""

from typing import Any

DOTS_PER_INCH = 120
BLUE, ORANGE, GREY = "#3f83c8", "#d9822b", "#8a8f98"
"""Distinct on white and on black, and with red-green colour blindness."""
INK = "#010203"
"""Stands for the page's own text colour in SVG, and is as good as black in PNG."""
STYLE: dict[Any, Any] = {  # keys are a literal of every name in matplotlib's types, values numbers, names, switches
    "text.parse_math": False,  # a label may hold a dollar sign
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    **{name: INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")},
}
