"""Made-up shots: what a cut looks like, and what looks like one, from stretches of video without a cut.

A piece is (T, H, W, 3) uint8 at about 30 frames a second, 40 or more of them. Everything follows from the pieces and a
random number generator.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from choreai.demo.dancers import Dancer
from choreai.demo.mesh import build_mesh
from choreai.demo.render import render_frames
from choreai.video.frame import Frame

Piece = npt.NDArray[np.uint8]
FRAMES_PER_SECOND = 30.0


def dancing(style: str, *, seed: int, num_frames: int = 60, size_wh: tuple[int, int] = (160, 90)) -> Piece:
    """A generated dancer in a studio of their own, filmed by a camera that stands still."""
    dancer = Dancer(style, seed)
    skeleton = dancer.skeleton(np.arange(num_frames) / FRAMES_PER_SECOND)
    return np.stack(list(render_frames(build_mesh(dancer.body, dancer.look), skeleton, dancer.scene(size_wh))))


@dataclass(frozen=True, eq=False)
class Scene:
    """A short video and the frames with which its shots begin, without the first."""

    kind: str
    frames: Piece
    cuts: tuple[int, ...]

    def sampled(self, *, every: int) -> Iterator[Frame]:
        """As the decoder would give them: every frame, every second, ..."""
        for index in range(0, len(self.frames), every):
            yield Frame(self.frames[index], index, index / FRAMES_PER_SECOND)

    def sampled_cuts(self, *, every: int) -> tuple[int, ...]:
        """The first sample of each new shot."""
        return tuple(-(-cut // every) for cut in self.cuts)


def hard_cut(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    return Scene("cut to another clip", np.concatenate([first, second]), (len(first),))


def zoom_cut(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """The same camera, nearer by 1.5 to 2.2 times from one frame to the next."""
    half = len(first) // 2
    nearer = _warp(first[half:], scale=rng.uniform(1.5, 2.2), shift_xy=rng.uniform(-0.08, 0.08, 2))
    return Scene("cut to nearer", np.concatenate([first[:half], nearer]), (half,))


def other_camera_cut(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """The same scene from the other side and nearer or further."""
    half = len(first) // 2
    mirrored = _warp(first[half:, :, ::-1], scale=rng.uniform(1.1, 1.6), shift_xy=rng.uniform(-0.05, 0.05, 2))
    return Scene("cut to the other side", np.concatenate([first[:half], mirrored]), (half,))


def short_shot(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """Another shot of nine to sixteen frames between two halves of one."""
    half, num = len(first) // 2, int(rng.integers(9, 17))
    frames = np.concatenate([first[:half], second[:num], first[half:]])
    return Scene("short shot between", frames, (half, half + num))


def flash_at_cut(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """A white frame between two shots; the second begins after it."""
    white = np.full_like(first[:1], 255)
    return Scene("cut under a flash", np.concatenate([first, white, second]), (len(first) + 1,))


def white_flash(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    frames, start, num = first.copy(), len(first) // 2, int(rng.integers(1, 4))
    frames[start : start + num] = 255
    return Scene("white flash", frames, ())


def photo_flash(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """One to three frames, brighter by half to four times and washed out, more so on one side."""
    frames, start, num = first.astype(np.float32), len(first) // 2, int(rng.integers(1, 4))
    side = np.linspace(rng.uniform(0, 1), rng.uniform(0, 1), frames.shape[2], dtype=np.float32)[:, None]
    frames[start : start + num] = frames[start : start + num] * rng.uniform(1.5, 4) + 120 * side
    return Scene("photographer's flash", frames.clip(0, 255).astype(np.uint8), ())


def fade_through_black(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    num, black = int(rng.integers(8, 31)), np.zeros_like(first[: rng.integers(0, 11)])
    down = np.linspace(1, 0, num + 1)[1:, None, None, None]
    out = np.concatenate([first[:-num], (first[-num:] * down).astype(np.uint8)])
    into = np.concatenate([(second[:num] * down[::-1]).astype(np.uint8), second[num:]])
    return Scene("fade through black", np.concatenate([out, black, into]), ())


def fade_and_return(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    half = len(first) // 2
    return Scene("fade out and in again", fade_through_black(first[:half], first[half:], rng).frames, ())


def dissolve(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    num = int(rng.integers(10, 31))
    share = np.linspace(0, 1, num + 2)[1:-1, None, None, None]
    mixed = (first[-num:] * (1 - share) + second[:num] * share).astype(np.uint8)
    return Scene("dissolve", np.concatenate([first[:-num], mixed, second[num:]]), ())


def whip_pan(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """The camera swings by half a picture to a whole one within six to fifteen frames, blurred by its speed."""
    half, num = len(first) // 2, int(rng.integers(6, 16))
    end = rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
    progress = (1 - np.cos(np.linspace(0, np.pi, num + 1))) / 2 * end
    offsets = np.concatenate([np.zeros(half), progress[1:], np.full(len(first), end)])[: len(first)]
    speeds = np.abs(np.diff(offsets, prepend=0.0))
    frames = [_turn(image, offset, speed) for image, offset, speed in zip(first, offsets, speeds, strict=True)]
    return Scene("whip pan", np.stack(frames), ())


def shake(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """A hand-held camera that is jolted throughout: shifts of up to 5 % of the picture and turns of 1.5 degrees."""
    shifts = rng.normal(0, 0.02, (len(first), 2)).clip(-0.05, 0.05)
    turns = rng.normal(0, 0.7, len(first)).clip(-1.5, 1.5)
    jolted = [_warp(image[None], scale=1.15, shift_xy=shift, turn=turn)[0]
              for image, shift, turn in zip(first, shifts, turns, strict=True)]  # fmt: skip
    return Scene("shaking camera", np.stack(jolted), ())


def crash_zoom(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """Nearer by 1.5 to 2 times within six to fifteen frames."""
    half, num = len(first) // 2, int(rng.integers(6, 16))
    nearest = rng.uniform(1.5, 2.0)
    scales = np.concatenate([np.ones(half), np.linspace(1, nearest, num), np.full(len(first), nearest)])
    frames = [
        _warp(image[None], scale=float(s), shift_xy=(0.0, 0.0))[0]
        for image, s in zip(first, scales[: len(first)], strict=True)
    ]
    return Scene("crash zoom", np.stack(frames), ())


def exposure(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """Half to twice as bright from one frame to the next."""
    half, gain = len(first) // 2, float(2 ** rng.uniform(-1, 1))
    changed = (first[half:] * gain).clip(0, 255).astype(np.uint8)
    return Scene("change of exposure", np.concatenate([first[:half], changed]), ())


def letterbox(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    """Black bars above and below from one frame to the next."""
    frames, bar = first.copy(), int(first.shape[1] * rng.uniform(0.08, 0.13))
    half = len(first) // 2
    frames[half:, :bar] = frames[half:, -bar:] = 0
    return Scene("letterbox bars", frames, ())


def nothing(first: Piece, second: Piece, rng: np.random.Generator) -> Scene:
    return Scene("nothing", first, ())


MAKERS: tuple[Callable[[Piece, Piece, np.random.Generator], Scene], ...] = (
    hard_cut, zoom_cut, other_camera_cut, short_shot, flash_at_cut,
    white_flash, photo_flash, fade_through_black, fade_and_return, dissolve,
    whip_pan, shake, crash_zoom, exposure, letterbox, nothing,
)  # fmt: skip


@dataclass(frozen=True)
class Score:
    """How many cuts were found, missed and made up."""

    found: int = 0
    missed: int = 0
    made_up: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(self.found + other.found, self.missed + other.missed, self.made_up + other.made_up)

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.made_up)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.found + self.missed)


def score(true: tuple[int, ...], said: list[int], *, tolerance: int = 1) -> Score:
    """Each true cut goes with the nearest one said, `tolerance` frames away at most, and each only once."""
    left, found = list(said), 0
    for cut in true:
        near = min(left, key=lambda s: abs(s - cut), default=None)
        if near is not None and abs(near - cut) <= tolerance:
            left.remove(near)
            found += 1
    return Score(found, len(true) - found, len(left))


def _warp(piece: Piece, *, scale: float, shift_xy: npt.ArrayLike, turn: float = 0.0) -> Piece:
    """Enlarged about the centre, turned by degrees and moved by shares of the picture; mirrored beyond its border."""
    height, width = piece.shape[1:3]
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale), np.float64)
    matrix[:, 2] += np.asarray(shift_xy, np.float64) * (width, height)
    images = [cv2.warpAffine(i, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101) for i in piece]
    return np.stack(images).astype(np.uint8)


def _turn(image: npt.NDArray[np.uint8], offset: float, speed: float) -> npt.NDArray[np.uint8]:
    """What a camera sees that has turned by `offset` pictures to the right, beyond the border a mirrored scene."""
    width = image.shape[1]
    wide = np.concatenate([image[:, ::-1], image, image[:, ::-1]], axis=1)
    length = max(1, round(speed * width / 2))  # the shutter is open for half of the time
    if length > 1:
        wide = cv2.blur(wide, (length, 1))
    start = width + round(offset * (width - 1))
    return np.ascontiguousarray(wide[:, start : start + width])
