"""The colours of styles: one table for pages, figures and videos."""

import numpy as np
import pytest

from choreai.demo.dancers import STYLES
from choreai.visualize.style_colors import PALETTE, UNKNOWN_COLOR, style_color, style_rgb

TOGETHER = {
    "AIST": "break pop lock middle-hip-hop la-hip-hop house waack krump street-jazz ballet-jazz".split(),
    "street": "breaking locking popping shuffle hiphop house krump waacking voguing".split(),
    "Latin": "salsa bachata merengue kizomba rumba samba tango jive".split(),
    "demo": list(STYLES),
}


def luminance(color: tuple[int, int, int]) -> float:
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("styles", TOGETHER.values(), ids=TOGETHER)
def test_styles_that_are_often_trained_together_have_colours_of_their_own(styles) -> None:
    assert len({style_color(style) for style in styles}) == len(styles)
    assert UNKNOWN_COLOR not in {style_color(style) for style in styles}


def test_a_style_has_one_colour_however_it_is_spelt() -> None:
    assert style_color("Hip-Hop") == style_color("hip hop") == style_color("HIP_HOP")
    assert style_color("Tanz der Vampire") == style_color("tanz-der-vampire") in PALETTE
    assert style_color("unknown") == style_color(None) == UNKNOWN_COLOR


def test_text_in_black_or_white_can_be_read_on_every_colour() -> None:
    assert style_rgb("unknown") == (0x8B, 0x90, 0x96)
    for color in {style_rgb(style) for styles in TOGETHER.values() for style in styles}:
        light = luminance(color)
        assert max(1.05 / (light + 0.05), (light + 0.05) / 0.05) >= 4.5
