"""Keypoint sets that begin with COCO's 17: their names, skeleton lines and mirror pairs.

Halpe (https://github.com/Fang-Haoshu/Halpe-FullBody) has 26 keypoints of the body, and with 21 of each hand and 68 of
the face, in the 300-W order, 136; the set of 68 leaves the face out. COCO-WholeBody
(https://github.com/jin-s13/COCO-WholeBody) has 133: COCO's 17, six of the feet, the face, the hands.
"""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache

from choreai.motion.skeleton import EDGES, KEYPOINT_NAMES, MIRROR, NUM_KEYPOINTS

Pairs = tuple[tuple[int, int], ...]

COCO_PAIRS: Pairs = tuple((k, mirror) for k, mirror in enumerate(MIRROR) if k < mirror)


@dataclass(frozen=True)
class KeypointSet:
    """The J keypoints that a pose network finds, COCO's 17 first."""

    name: str
    keypoints: tuple[str, ...]
    """(J,) their names."""
    skeleton: Pairs
    """The lines of a drawing."""
    mirror_pairs: Pairs
    """(left, right); every other keypoint is its own mirror image."""

    def __len__(self) -> int:
        return len(self.keypoints)

    @property
    def mirror(self) -> tuple[int, ...]:
        """`keypoints[list(mirror)]` swaps left and right."""
        order = list(range(len(self)))
        for left, right in self.mirror_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    def to_json(self) -> str:
        """Return the set as a table's metadata has it."""
        return json.dumps(asdict(self))


_SIDES = ("left", "right")
_HALPE_BODY = (
    "head_top", "neck", "pelvis",
    *(f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in _SIDES),
)  # fmt: skip
_HALPE_BODY_LINES: Pairs = (
    (17, 18), (18, 5), (18, 6), (18, 19), (19, 11), (19, 12),  # head, neck and spine
    (15, 24), (24, 20), (24, 22), (16, 25), (25, 21), (25, 23),  # feet
)  # fmt: skip
_HALPE_BODY_PAIRS: Pairs = ((20, 21), (22, 23), (24, 25))
_WHOLEBODY_FEET = tuple(f"{side}_{part}" for side in _SIDES for part in ("big_toe", "small_toe", "heel"))
_WHOLEBODY_FEET_LINES: Pairs = ((15, 19), (19, 17), (19, 18), (16, 22), (22, 20), (22, 21))
_WHOLEBODY_FEET_PAIRS: Pairs = ((17, 20), (18, 21), (19, 22))

NUM_FACE, NUM_HAND = 68, 21
_FACE_ARCS = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36))
"""Jaw, brows, bridge of the nose, nostrils: [first, stop) from the face's first keypoint."""
_FACE_RINGS = ((36, 42), (42, 48), (48, 60), (60, 68))
"""Eyes, outer and inner lips: their last keypoint is joined to the first."""
_FACE_PAIRS: Pairs = (
    *((k, 16 - k) for k in range(8)),  # jaw
    *((k, 43 - k) for k in range(17, 22)),  # brows
    (31, 35), (32, 34),  # nostrils
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),  # eyes
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58),  # outer lips
    (60, 64), (61, 63), (65, 67),  # inner lips
)  # fmt: skip
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def _face_lines(first: int) -> Pairs:
    steps = ((k, k + 1) for start, stop in _FACE_ARCS + _FACE_RINGS for k in range(start, stop - 1))
    closing = ((start, stop - 1) for start, stop in _FACE_RINGS)
    return tuple((first + a, first + b) for a, b in (*steps, *closing))


def _face_pairs(first: int) -> Pairs:
    return tuple((first + left, first + right) for left, right in _FACE_PAIRS)


def _hands(first: int) -> tuple[tuple[str, ...], Pairs, Pairs]:
    """Return the names, lines and pairs of both hands, the left one from `first` on, the right one after it."""
    names = tuple(
        f"{side}_hand_{joint}"
        for side in _SIDES
        for joint in ("wrist", *(f"{finger}{knuckle}" for finger in _FINGERS for knuckle in range(1, 5)))
    )
    hand = [(0 if k % 4 == 1 else k - 1, k) for k in range(1, NUM_HAND)]
    lines = tuple((wrist + a, wrist + b) for wrist in (first, first + NUM_HAND) for a, b in hand)
    return names, lines, tuple((k, k + NUM_HAND) for k in range(first, first + NUM_HAND))


def _set(
    name: str, body: tuple[str, ...], lines: Pairs, pairs: Pairs, *, face: bool = False, hands: bool = False
) -> KeypointSet:
    names, lines, pairs = KEYPOINT_NAMES + body, EDGES + lines, COCO_PAIRS + pairs
    if face:
        lines, pairs = lines + _face_lines(len(names)), pairs + _face_pairs(len(names))
        names += tuple(f"face_{k}" for k in range(NUM_FACE))
    if hands:
        hand_names, hand_lines, hand_pairs = _hands(len(names))
        names, lines, pairs = names + hand_names, lines + hand_lines, pairs + hand_pairs
    return KeypointSet(name, names, lines, pairs)


COCO = _set("coco-17", (), (), ())
HALPE_26 = _set("halpe-26", _HALPE_BODY, _HALPE_BODY_LINES, _HALPE_BODY_PAIRS)
HALPE_68 = _set("halpe-68", _HALPE_BODY, _HALPE_BODY_LINES, _HALPE_BODY_PAIRS, hands=True)
HALPE_136 = _set("halpe-136", _HALPE_BODY, _HALPE_BODY_LINES, _HALPE_BODY_PAIRS, face=True, hands=True)
WHOLEBODY = _set(
    "coco-wholebody-133", _WHOLEBODY_FEET, _WHOLEBODY_FEET_LINES, _WHOLEBODY_FEET_PAIRS, face=True, hands=True
)

KEYPOINT_SETS = {len(known): known for known in (COCO, HALPE_26, HALPE_68, WHOLEBODY, HALPE_136)}
"""By the number of keypoints."""
SETS_BY_NAME = {known.name: known for known in KEYPOINT_SETS.values()}


@lru_cache
def keypoint_set(num_keypoints: int) -> KeypointSet:
    """Return the set with this number of keypoints, at least 17.

    One that is not known has the names, lines and pairs of COCO's 17, and numbers for the others' names.
    """
    if num_keypoints < NUM_KEYPOINTS:
        raise ValueError(f"a keypoint set begins with COCO's {NUM_KEYPOINTS}, got {num_keypoints} keypoints")
    if num_keypoints in KEYPOINT_SETS:
        return KEYPOINT_SETS[num_keypoints]
    others = tuple(f"keypoint_{k}" for k in range(NUM_KEYPOINTS, num_keypoints))
    return _set(f"coco-17 and {len(others)} others", others, (), ())
