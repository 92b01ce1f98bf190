"""The mirror image of each keypoint, for every keypoint set of AlphaPose's networks.

All sets of 17 keypoints and more begin with the COCO-17 ones. Halpe (https://github.com/Fang-Haoshu/Halpe-FullBody)
adds the body's 26, 68 of the face (the 300-W order) and 21 of each hand; COCO-WholeBody adds six of the feet.
"""

from choreai.motion.skeleton import MIRROR

Pairs = tuple[tuple[int, int], ...]

COCO_PAIRS: Pairs = tuple((k, mirror) for k, mirror in enumerate(MIRROR) if k < mirror)
HALPE_FEET_PAIRS: Pairs = ((20, 21), (22, 23), (24, 25))
WHOLEBODY_FEET_PAIRS: Pairs = ((17, 20), (18, 21), (19, 22))
FACE_PAIRS: Pairs = (
    *((k, 16 - k) for k in range(8)),  # jaw
    *((k, 43 - k) for k in range(17, 22)),  # brows
    (31, 35), (32, 34),  # nostrils
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),  # eyes
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58),  # outer lips
    (60, 64), (61, 63), (65, 67),  # inner lips
)  # fmt: skip
"""Relative to the face's first keypoint."""
NUM_HAND_KEYPOINTS = 21


def _hand_pairs(first_left: int) -> Pairs:
    return tuple((k, k + NUM_HAND_KEYPOINTS) for k in range(first_left, first_left + NUM_HAND_KEYPOINTS))


def _face_pairs(first: int) -> Pairs:
    return tuple((first + left, first + right) for left, right in FACE_PAIRS)


MIRROR_PAIRS: dict[int, Pairs] = {
    17: COCO_PAIRS,
    21: (),
    26: COCO_PAIRS + HALPE_FEET_PAIRS,
    68: COCO_PAIRS + HALPE_FEET_PAIRS + _hand_pairs(26),
    133: COCO_PAIRS + WHOLEBODY_FEET_PAIRS + _face_pairs(23) + _hand_pairs(91),
    136: COCO_PAIRS + HALPE_FEET_PAIRS + _face_pairs(26) + _hand_pairs(94),
}
"""By the number of keypoints: one hand (21), Halpe (26, 68, 136), COCO-WholeBody (133)."""


def mirror_order(num_keypoints: int) -> tuple[int, ...]:
    """Return the order by which `keypoints[mirror_order(K)]` swaps left and right. Raises ValueError for unknown K."""
    if num_keypoints not in MIRROR_PAIRS:
        known = ", ".join(map(str, MIRROR_PAIRS))
        raise ValueError(f"no mirror pairs known for {num_keypoints} keypoints, only for {known}")
    order = list(range(num_keypoints))
    for left, right in MIRROR_PAIRS[num_keypoints]:
        order[left], order[right] = right, left
    return tuple(order)
