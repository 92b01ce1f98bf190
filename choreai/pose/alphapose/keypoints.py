"""The mirror image of each keypoint, for every keypoint set of AlphaPose's networks."""

from choreai.motion.keypoint_sets import KEYPOINT_SETS, NUM_HAND

MIRROR_ORDERS = {NUM_HAND: tuple(range(NUM_HAND))} | {size: known.mirror for size, known in KEYPOINT_SETS.items()}
"""By the number of keypoints: one hand (21), COCO (17), Halpe (26, 68, 136), COCO-WholeBody (133)."""


def mirror_order(num_keypoints: int) -> tuple[int, ...]:
    """Return the order by which `keypoints[mirror_order(K)]` swaps left and right. Raises ValueError for unknown K."""
    if num_keypoints not in MIRROR_ORDERS:
        known = ", ".join(map(str, sorted(MIRROR_ORDERS)))
        raise ValueError(f"no mirror pairs known for {num_keypoints} keypoints, only for {known}")
    return MIRROR_ORDERS[num_keypoints]


def mirror_order_of_kept(num_keypoints: int, *, num_kept: int) -> tuple[int, ...]:
    """Return the order that swaps left and right of the first `num_kept` keypoints, and leaves the others alone.

    For networks trained on several sets one after another, of whose keypoints the first set is read (33: 17 of COCO and
    16 of MPII). Raises ValueError as `mirror_order` does.
    """
    kept = num_keypoints if num_keypoints in MIRROR_ORDERS else num_kept
    return mirror_order(kept) + tuple(range(kept, num_keypoints))
