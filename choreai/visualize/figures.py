"""What all figures share: resolution, colours and matplotlib settings."""

from collections.abc import Mapping
from typing import Any

from matplotlib import __version__ as matplotlib_version

from choreai import __version__

DOTS_PER_INCH = 120
BLUE, ORANGE, GREY = "#3f83c8", "#d9822b", "#8a8f98"
"""Distinct on white and on black, and with red-green colour blindness."""
INK = "#010203"
"""Stands for the page's own text colour in SVG, and is as good as black in PNG."""
_PAGE_INK = """<style>:root { color: #1b1c1e } @media (prefers-color-scheme: dark) { :root { color: #ecedee } }
@media print { :root { color: #000000 } }</style>"""
STYLE: dict[Any, Any] = {  # keys are a literal of every name in matplotlib's types, values numbers, names, switches
    "text.parse_math": False,  # a label may hold a dollar sign
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    **{name: INK for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")},
}


def png_metadata(about: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of a PNG: what drew it, and what it is `about`."""
    told = {"Description": "; ".join(f"{name}: {text}" for name, text in about.items())} if about else {}
    return {"Software": f"choreai {__version__}, Matplotlib {matplotlib_version}", **told}


def in_page_ink(svg: str) -> str:
    """Return an SVG file whose text and axes, drawn in `INK`, are dark on light pages and light on dark ones."""
    start = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:start]}{_PAGE_INK}{svg[start:].replace(INK, 'currentColor')}"
