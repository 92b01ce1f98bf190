"""How fast choreai is on one CPU core, by estimator, people, codec and size, as its own benchmarks found it.

A plan assumes it where nothing was measured. docs/performance.md shows the tables.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from choreai.errors import ConfigError

ASSUMED_UTILISATION = 0.85
ASSUMED_SAMPLES_PER_SECOND, ASSUMED_FRAMES_PER_SECOND = 15.0, 30.0
PEOPLE = (1, 2, 4, 8)
LINES = (360, 480, 720, 1080, 2160)
"""Pixels of a picture's shorter side: a portrait video of 1080 x 1920 has 1080 lines too."""
POSE_MILLISECONDS: Mapping[str, Mapping[int, float]] = {
    "mediapipe": {1: 23.0},
    "blazepose": {1: 43.0},
    "crowd": {1: 34.0, 2: 46.0, 4: 69.0, 8: 135.0},
}
"""Process time of a frame on one core by estimator and people to whom it gives a pose (`make bench-people`): their
ratios turn rates that were measured with one estimator into those of another."""
DECODING_MILLISECONDS: Mapping[str, Mapping[int, float]] = {
    "h264": {360: 0.9, 480: 1.6, 720: 2.4, 1080: 6.0, 2160: 24.8},
    "hevc": {360: 0.9, 480: 1.3, 720: 2.5, 1080: 5.7, 2160: 21.8},
    "vp9": {360: 1.0, 480: 1.5, 720: 2.9, 1080: 6.3, 2160: 22.9},
    "av1": {360: 0.6, 480: 0.9, 720: 1.6, 1080: 3.3, 2160: 14.0},
}
"""Process time of decoding a frame on one core by codec and lines (`python tests/bench_decoding.py`)."""
DEFAULT_CODEC, DEFAULT_LINES = "h264", 1080


@dataclass(frozen=True)
class VideoKind:
    """What the cost of a video depends on, beside its length; what is None does not matter."""

    codec: str | None = None
    """As FFmpeg names it."""
    lines: int | None = None
    """One of `LINES`, the nearest."""
    people: int | None = None
    """In a sampled frame, on average; one of `PEOPLE`, the nearest."""

    @classmethod
    def near(cls, codec: str | None, *, lines: float | None, people: float | None) -> "VideoKind":
        """Return the kind whose lines and people are the nearest."""
        return cls(codec, _nearest(LINES, lines), _nearest(PEOPLE, people))

    def includes(self, other: "VideoKind") -> bool:
        """Return whether a video of the kind `other` is of this kind too."""
        mine, others = ([getattr(each, field.name) for field in fields(each)] for each in (self, other))
        return all(wanted in (None, found) for wanted, found in zip(mine, others, strict=True))

    def __str__(self) -> str:
        people = f"{self.people} {'person' if self.people == 1 else 'people'}" if self.people else "any people"
        return f"{self.codec or 'any codec'}, {f'{self.lines} lines' if self.lines else 'any size'}, {people}"


def _nearest(classes: tuple[int, ...], value: float | None) -> int | None:
    """Return the class whose ratio to `value` is the least."""
    return None if value is None else min(classes, key=lambda each: abs(math.log(each / max(value, 1e-3))))


ANY_KIND = VideoKind()


def relative_cost(estimator: str, measured: str) -> float:
    """Return the cost of an estimator as a multiple of another's; 1 where one of them is not known."""
    return _typical(estimator) / _typical(measured) if {estimator, measured} <= set(POSE_MILLISECONDS) else 1.0


def _typical(estimator: str) -> float:
    """Return the milliseconds of a frame with four people, or as many as the estimator sees."""
    return POSE_MILLISECONDS[estimator].get(4) or max(POSE_MILLISECONDS[estimator].values())


def assumed_seconds(estimator: str, kind: VideoKind) -> float:
    """Return the seconds that a core takes for a second of video of a kind: decoding and poses.

    Raises ConfigError for an estimator or a kind that the benchmarks did not measure.
    """
    if estimator not in POSE_MILLISECONDS:
        raise ConfigError(f"nothing is known of the speed of estimator {estimator!r}; {_MEASURE}")
    per_frame = POSE_MILLISECONDS[estimator]
    seen = min(kind.people or 1, max(per_frame))
    return decoding_seconds(kind) + per_frame[seen] * ASSUMED_SAMPLES_PER_SECOND / 1000


def decoding_seconds(kind: VideoKind) -> float:
    """Return the seconds that a core decodes for a second of video; by default H.264 of 1080 lines."""
    codec, lines = kind.codec or DEFAULT_CODEC, kind.lines or DEFAULT_LINES
    if codec not in DECODING_MILLISECONDS:
        raise ConfigError(
            f"nothing is known of the speed of codec {codec!r}, but of {', '.join(DECODING_MILLISECONDS)}; {_MEASURE}"
        )
    return DECODING_MILLISECONDS[codec][lines] * ASSUMED_FRAMES_PER_SECOND / 1000


def rate_of_crops(crops_per_second: float, *, people: int) -> float:
    """Return the seconds of video per second whose crops, one a person and sampled frame, are `crops_per_second`."""
    if not 0 < crops_per_second < math.inf:
        raise ConfigError(f"crops per second must be a positive number, got {crops_per_second:g}")
    return crops_per_second / (people * ASSUMED_SAMPLES_PER_SECOND)


_MEASURE = "run `choreai extract` on a sample and give its --output, or give --video-seconds-per-second"
