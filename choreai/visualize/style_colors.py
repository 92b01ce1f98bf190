"""The colour of each style, the same on pages, in figures, in annotated videos and in reports, whatever the model.

A style's colour follows from its name alone: those that are often trained together have colours of their own, any
other gets one by a hash of its name. Colours may be shared; the name stands beside every one.
"""

from choreai.catalog.spellings import spelling_key

PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9",
    "#7f6bb3", "#b8a800", "#97603f", "#c4314b", "#6aa72b", "#b5179e",
)  # fmt: skip
"""Okabe and Ito's colours (2008), made for colour-blind eyes, and others between them. Each has a contrast of 3 with
white or with black, which text on it takes."""
UNKNOWN_COLOR = "#8b9096"

_BLUE, _ORANGE, _GREEN, _PINK, _RED, _SKY, _VIOLET, _OLIVE, _BROWN, _CRIMSON, _LEAF, _MAGENTA = range(len(PALETTE))

STYLES_BY_COLOR: dict[int, tuple[str, ...]] = {
    _BLUE: ("popping", "pop", "waltz", "jig"),
    _ORANGE: ("locking", "lock", "bachata", "bollywood", "afro", "afrobeat", "afrobeats"),
    _GREEN: ("hip hop", "hiphop", "middle hip hop", "samba"),
    _PINK: ("house", "rumba", "belly dance", "belly dancing", "kpop", "k pop"),
    _RED: ("breaking", "break", "breakdance", "tango", "flamenco"),
    _SKY: ("ballet", "ballet jazz", "cha cha", "chacha"),
    _VIOLET: ("street jazz", "contemporary", "modern", "classical", "foxtrot"),
    _OLIVE: ("shuffle", "jazz", "merengue", "indian", "bharatanatyam"),
    _BROWN: ("krump", "tap", "kizomba", "folk", "paso doble"),
    _CRIMSON: ("salsa", "voguing", "vogue"),
    _LEAF: ("la hip hop", "jive", "swing", "lindy hop"),
    _MAGENTA: ("waacking", "waack", "quickstep", "reggaeton"),
}
"""By place in `PALETTE`, the styles that have this colour."""
PLACES = {name: place for place, names in STYLES_BY_COLOR.items() for name in names}
"""Place in `PALETTE` by the style's `spelling_key`."""


def style_color(style: str | None) -> str:
    """Return a style's colour as "#rrggbb"; grey for None and for "unknown"."""
    key = spelling_key(style or "unknown")
    if key == "unknown":
        return UNKNOWN_COLOR
    return PALETTE[PLACES.get(key, _hash(key) % len(PALETTE))]


def style_rgb(style: str | None) -> tuple[int, int, int]:
    """Return a style's colour as red, green and blue from 0 to 255."""
    color = style_color(style)
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _hash(key: str) -> int:
    """FNV-1a of 32 bits: short enough to be written in JavaScript too."""
    value = 0x811C9DC5
    for byte in key.encode("utf-8", "surrogatepass"):
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
