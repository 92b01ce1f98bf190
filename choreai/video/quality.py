"""The input quality of a video: what was cut short, corrected, skipped or hardly to be seen, in figures and words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from choreai.arrays import FloatArray, ImageArray
from choreai.video.tone import DynamicRange

CUT_SHORT = "cut short"
DAMAGED = "damaged"
CLOCK_JUMPS = "clock jumps"
FRAMES_SKIPPED = "frames skipped"
SIZE_CHANGES = "size changes"
NON_SQUARE = "non-square pixels"
HDR = "HDR"
INTERLACED = "interlaced"
COMBED = "combed"
SEVERAL_STREAMS = "several video streams"
DARK = "dark"
TINY_PEOPLE = "tiny people"
MOSTLY_NOBODY = "mostly nobody"

MATTER_TO_TAG = (CUT_SHORT, DAMAGED, CLOCK_JUMPS, FRAMES_SKIPPED, DARK, TINY_PEOPLE, MOSTLY_NOBODY)
"""Those that a correction does not make good: they stand beside the tag."""
ALL_REMARKS = (*MATTER_TO_TAG, COMBED, SIZE_CHANGES, SEVERAL_STREAMS, NON_SQUARE, HDR, INTERLACED)
GOOD = "good"
"""What is written where there is no remark; null is the input quality of a video that an earlier release read."""

MIN_SHORTFALL_SHARE = 0.02
MIN_SHORTFALL_FRAMES = 3
"""A video is cut short when more is missing than this: containers round, and count the last frame's time or not."""
MAX_DAMAGED_SHARE = 0.01
"""Of the frames: a recording that begins in the middle of a group of pictures has a few damaged ones."""
DARK_BELOW = 40.0
"""Of 255, for the brightest twentieth of the picture (`docs/experiments.md`)."""
TINY_BELOW = 0.2
"""Of the picture's height, for the tallest person of a frame (`docs/experiments.md`)."""
MOSTLY_NOBODY_ABOVE = 0.5

MAX_PIXEL_ASPECT = 4.0
"""A stored pixel wider or higher than this is a mistake of the file, not of the picture."""

COMBED_ABOVE = 0.2
"""Of the frames looked at. Of 20 progressive clips none had such a frame; with the rows of neighbouring frames woven
into each other, 17 of the 20 had more than these."""
MIN_COMBED_PIXELS = 0.005
MIN_COMB_RATIO = 1.5
"""Combed pixels of a frame over those of its fields: 0.2 to 0.7 in the progressive clips, 1 in noise."""

_COMB_COLUMNS = 160
_MIN_COMB_HEIGHT = 12
_SAMPLE_PIXELS = 4096


@dataclass(frozen=True)
class InputQuality:
    """What is known of one video as input; its fields are columns of the videos table."""

    expected_seconds: float | None = None
    """Length of the pictures as the container states it; None where it states none that can be relied on."""
    read_seconds: float = 0.0
    """Length of what was decoded."""
    pixel_aspect: float = 1.0
    """Width of a stored pixel over its height; corrected, except beyond 4 or a quarter."""
    dynamic_range: DynamicRange = "sdr"
    """PQ and HLG were tone-mapped."""
    interlaced_share: float = 0.0
    """Of the frames; they were deinterlaced."""
    num_sizes: int = 1
    """Sizes and shapes of the frames; others than the first were fitted into it, with black bars."""
    num_clock_jumps: int = 0
    """Times that timestamps were not followed: wild ones, appended recordings, gaps too long to be one."""
    num_frames_skipped: int = 0
    """Frames left out because their time was not later than the previous one's."""
    num_video_streams: int = 1
    """Of which the largest was read, or the one that the file names as its main one."""
    brightness: float | None = None
    """Brightest twentieth of the picture, 0 to 255; median over the sampled frames."""
    person_height: float | None = None
    """Tallest person over the picture's height; median over the frames with people."""
    nobody_share: float | None = None
    """Of the sampled frames; None where people were not looked for."""
    combed_share: float = 0.0
    """Of the sampled frames: those that show two moments, row by row, though not marked as interlaced."""
    damaged_share: float = 0.0
    """Damaged packets per frame, without a last one that was torn off. Not a column: `num_decode_errors` is."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What there is to say of the input, in fixed words."""
        return tuple(remark for remark, _ in self._remarks())

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same with figures, as a person reads it."""
        return tuple(sentence for _, sentence in self._remarks())

    def _remarks(self) -> Iterator[tuple[str, str]]:
        if self.expected_seconds is not None:
            yield CUT_SHORT, f"cut short: {self.read_seconds:.1f} of {self.expected_seconds:.1f} s could be read"
        if self.damaged_share > MAX_DAMAGED_SHARE:
            yield DAMAGED, f"damaged: {self.damaged_share:.0%} of the frames"
        if self.num_clock_jumps:
            yield (
                CLOCK_JUMPS,
                f"the clock jumps {_times(self.num_clock_jumps)}; the video was read on without the jumps",
            )
        if self.num_frames_skipped:
            yield FRAMES_SKIPPED, f"{self.num_frames_skipped} frames came too late and were left out"
        if self.num_sizes > 1:
            yield SIZE_CHANGES, f"{self.num_sizes} picture sizes; all were fitted into the first"
        if not is_square(self.pixel_aspect):
            done = "corrected" if is_plausible(self.pixel_aspect) else "not believed, taken as square"
            yield NON_SQUARE, f"pixels {self.pixel_aspect:.2f} times as wide as high; {done}"
        if self.dynamic_range != "sdr":
            yield HDR, f"high dynamic range ({self.dynamic_range.upper()}); tone-mapped"
        if self.interlaced_share:
            yield INTERLACED, f"interlaced ({self.interlaced_share:.0%} of the frames); deinterlaced"
        if self.combed_share > COMBED_ABOVE:
            share = f"{self.combed_share:.0%} of the frames show two moments"
            yield COMBED, f"combed, but not marked as interlaced: {share}"
        if self.num_video_streams > 1:
            yield SEVERAL_STREAMS, f"{self.num_video_streams} video streams; one was read"
        if self.brightness is not None and self.brightness < DARK_BELOW:
            yield DARK, f"dark: brightness {self.brightness:.0f} of 255"
        if self.person_height is not None and self.person_height < TINY_BELOW:
            yield TINY_PEOPLE, f"tiny people: {self.person_height:.0%} of the picture's height"
        if self.nobody_share is not None and MOSTLY_NOBODY_ABOVE < self.nobody_share < 1:
            yield MOSTLY_NOBODY, f"nobody in view in {self.nobody_share:.0%} of the frames"

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "InputQuality | None":
        """Return the input quality that a row of the videos table holds; None where an earlier release wrote it."""
        if row.get("input_quality") is None:
            return None
        known = {field.name: row[field.name] for field in fields(cls) if row.get(field.name) is not None}
        is_damaged = DAMAGED in row["input_quality"].split(", ")
        damaged_share = row["num_decode_errors"] / max(1, row["num_frames_decoded"]) if is_damaged else 0.0
        return cls(**{**known, "damaged_share": damaged_share})

    def columns(self) -> dict[str, object]:
        """Return the figures and the remarks as columns of the videos table."""
        found: dict[str, object] = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name != "damaged_share"
        }
        return {**found, "input_quality": ", ".join(self.remarks) or GOOD}


def remarks_for_tag(input_quality: str | None) -> str | None:
    """Return the part of a videos row's `input_quality` that matters to the tag; None where there is none."""
    remarks = [remark for remark in (input_quality or "").split(", ") if remark in MATTER_TO_TAG]
    return ", ".join(remarks) or None


def count_remarks(input_qualities: Iterable[str]) -> dict[str, int]:
    """Return the number of videos by remark, of their `input_quality`; those that matter most first."""
    counts = Counter(remark for each in input_qualities for remark in each.split(", "))
    return {remark: counts[remark] for remark in ALL_REMARKS if counts[remark]}


def is_square(pixel_aspect: float) -> bool:
    """Return whether pixels of this aspect are square to within what nobody sees: encoders write 1035:1036."""
    return abs(pixel_aspect - 1) < 0.01


def is_plausible(pixel_aspect: float) -> bool:
    """Return whether any camera or disc has pixels of this aspect."""
    return 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT


def is_cut_short(expected_seconds: float, read_seconds: float, *, frame_seconds: float) -> bool:
    """Return whether more is missing than rounding explains."""
    tolerance = max(MIN_SHORTFALL_SHARE * expected_seconds, MIN_SHORTFALL_FRAMES * frame_seconds)
    return expected_seconds - read_seconds > tolerance


class Levels:
    """Numbers between 0 and 1, counted in 1000 steps: a median in little memory, however long the video."""

    def __init__(self) -> None:
        self._counts = Counter[int]()

    def add(self, value: float) -> None:
        self._counts[round(1000 * min(max(value, 0.0), 1.0))] += 1

    def median(self) -> float | None:
        """Return the lower median; None where there are no numbers."""
        num, seen = self._counts.total(), 0
        for level in sorted(self._counts):
            seen += self._counts[level]
            if 2 * seen >= num:
                return level / 1000
        return None


class PeopleSeen:
    """How large the people of a video are, and in how many frames there is nobody."""

    def __init__(self) -> None:
        self._heights = Levels()
        self._num_frames = self._num_empty = 0

    def add(self, box_xyxy: FloatArray, *, picture_height: int) -> None:
        """Count one frame's people, (P, 4)."""
        self._num_frames += 1
        if len(box_xyxy):
            self._heights.add(float((box_xyxy[:, 3] - box_xyxy[:, 1]).max()) / picture_height)
        else:
            self._num_empty += 1

    def complete(self, quality: InputQuality) -> InputQuality:
        """Return `quality` with what is known of the people."""
        if not self._num_frames:
            return quality
        share = self._num_empty / self._num_frames
        return replace(quality, person_height=self._heights.median(), nobody_share=share)


def measure_brightness(image: ImageArray) -> float:
    """Return how bright the brightest twentieth of an (H, W, 3) image is at least, from 0 to 1."""
    step = max(1, int((image.shape[0] * image.shape[1] / _SAMPLE_PIXELS) ** 0.5))
    pixels = image[::step, ::step]
    brightest = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2]).ravel()
    # The 95th percentile: np.percentile, and max over an axis of three, would take as long as decoding a small frame.
    place = 0.95 * (len(brightest) - 1)
    below, above = int(place), min(int(place) + 1, len(brightest) - 1)
    parted = np.partition(brightest, (below, above))
    low, high = float(parted[below]), float(parted[above])
    return (low + (high - low) * (place - below)) / 255


def is_combed(image: ImageArray) -> bool:
    """Return whether an (H, W, 3) image shows two moments in its odd and even rows.

    A pixel stands out from the row above and the row below it in the same way while those two agree: fine texture does
    that in a single field just as often, two moments do not.
    """
    green = image[:, :: max(1, image.shape[1] // _COMB_COLUMNS), 1].astype(np.int32)
    if len(green) < 2 * _MIN_COMB_HEIGHT:
        return False
    share = _comb_share(green)
    of_fields = max(_comb_share(green[::2]), _comb_share(green[1::2]))
    return share > MIN_COMBED_PIXELS and share > MIN_COMB_RATIO * of_fields


def _comb_share(rows: npt.NDArray[np.int32]) -> float:
    above, row, below = rows[:-2], rows[1:-1], rows[2:]
    stands_out = (above - row) * (below - row) > _MIN_COMB_HEIGHT**2
    return float((stands_out & (np.abs(above - below) < _MIN_COMB_HEIGHT)).mean())


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def as_ratio(value: Fraction | None) -> float:
    """Return a sample aspect ratio as a number; 1 where the file states none or nonsense."""
    return float(value) if value is not None and value > 0 else 1.0


assert get_args(DynamicRange) == ("sdr", "pq", "hlg"), "the words of the videos table"
