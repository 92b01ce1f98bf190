"""How good tracks are against a ground truth: HOTA, IDF1, identity switches and MOTA, by TrackEval's definitions.

HOTA (Luiten et al. 2021) weighs finding people and keeping them apart equally; IDF1 (Ristani et al. 2016) asks for how
long one id stays with one person; MOTA and the switches (Bernardin and Stiefelhagen 2008) count mistakes frame by
frame and hardly notice a swap that is never undone.

Shape letters: T boxes of the truth, R of the result, A thresholds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import linear_sum_assignment

from choreai.arrays import BoolArray, Float64Array, IntArray

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""(A,) the IoUs from which two boxes count as one, from lenient to strict; HOTA is the mean over all of them."""

MATCH_IOU = 0.5
"""The one such threshold of IDF1, MOTA and the switches."""

_EPSILON = np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class BoxTracks:
    """N boxes of one sequence and whose they are, in any order."""

    frame: IntArray
    """(N,)."""
    track_id: IntArray
    """(N,), once in a frame at most."""
    box_xyxy: Float64Array
    """(N, 4) in pixels."""

    def __post_init__(self) -> None:
        num_boxes = len(self.frame)
        if self.track_id.shape != (num_boxes,) or self.box_xyxy.shape != (num_boxes, 4):
            raise ValueError(
                f"track_id must be ({num_boxes},) and box_xyxy ({num_boxes}, 4), as there are {num_boxes} frames; "
                f"got {self.track_id.shape} and {self.box_xyxy.shape}"
            )
        if not np.isfinite(self.box_xyxy).all():
            raise ValueError("boxes must be finite")
        pairs, counts = np.unique(np.stack((self.frame, self.track_id)), axis=1, return_counts=True)
        if (counts > 1).any():
            frame, track_id = pairs[:, np.argmax(counts > 1)]
            raise ValueError(f"track {track_id} has more than one box in frame {frame}")

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, keep: BoolArray) -> "BoxTracks":
        """Return the boxes for which `keep` (N,) is true."""
        return BoxTracks(self.frame[keep], self.track_id[keep], self.box_xyxy[keep])


@dataclass(frozen=True, eq=False)
class TrackingScores:
    """The counts of one sequence, or of several combined, and the scores that follow from them, all in [0, 1]."""

    matches: Float64Array
    """(A,) pairs of a true box and one of the result."""
    missed: Float64Array
    """(A,) true boxes without a pair."""
    false: Float64Array
    """(A,) boxes of the result without a pair."""
    association: Float64Array
    """(A,) over all matches, the share that their two tracks have in common, summed."""
    id_matches: int
    """Matches if every person had one id only, the best for them."""
    clear_matches: int
    switches: int
    """How often somebody's id is not the one they had when last found."""
    num_true: int
    """Boxes."""
    num_found: int

    @property
    def hota(self) -> float:
        """The mean over the thresholds of the geometric mean of `det_a` and `ass_a`."""
        return float(np.sqrt(self._det_a() * self._ass_a()).mean())

    @property
    def det_a(self) -> float:
        """Detection accuracy: the matches among all boxes, matched, missed and false."""
        return float(self._det_a().mean())

    @property
    def ass_a(self) -> float:
        """Association accuracy: of a match, the part of its two tracks that goes together."""
        return float(self._ass_a().mean())

    @property
    def idf1(self) -> float:
        return self.id_matches / max(1.0, 0.5 * (self.num_true + self.num_found))

    @property
    def mota(self) -> float:
        """1 minus misses, false boxes and switches per true box; negative where these outnumber it."""
        false = self.num_found - self.clear_matches
        return (self.clear_matches - false - self.switches) / max(1, self.num_true)

    def summary(self) -> dict[str, float | int]:
        """Return the scores as plain numbers, for tables and JSON."""
        return {
            "hota": self.hota,
            "det_a": self.det_a,
            "ass_a": self.ass_a,
            "idf1": self.idf1,
            "mota": self.mota,
            "switches": self.switches,
            "true_boxes": self.num_true,
            "found_boxes": self.num_found,
        }

    def _det_a(self) -> Float64Array:
        return self.matches / np.maximum(1, self.matches + self.missed + self.false)

    def _ass_a(self) -> Float64Array:
        return self.association / np.maximum(1, self.matches)


def score_tracks(truth: BoxTracks, result: BoxTracks) -> TrackingScores:
    """Score the tracks of one sequence."""
    frames = list(_frames(truth, result))
    matches = _match_for_hota(frames)
    clear_matches, switches = _match_for_clear(frames)
    return TrackingScores(
        matches=matches.sum(axis=(1, 2)),
        missed=len(truth) - matches.sum(axis=(1, 2)),
        false=len(result) - matches.sum(axis=(1, 2)),
        association=_associate(matches, frames),
        id_matches=_match_ids(frames),
        clear_matches=clear_matches,
        switches=switches,
        num_true=len(truth),
        num_found=len(result),
    )


def combine_scores(scores: Sequence[TrackingScores]) -> TrackingScores:
    """Return the scores of all sequences together, each box counting the same, as TrackEval's COMBINED row has them."""
    if not scores:
        raise ValueError("there must be one sequence or more to combine")
    return TrackingScores(
        **{field.name: sum(getattr(score, field.name) for score in scores) for field in fields(TrackingScores)}
    )


def overlaps(boxes_T4: Float64Array, boxes_R4: Float64Array) -> Float64Array:
    """Return (T, R) IoU of boxes x0, y0, x1, y1; 0 with a box that has no area."""
    low = np.maximum(boxes_T4[:, None, :2], boxes_R4[None, :, :2])
    high = np.minimum(boxes_T4[:, None, 2:], boxes_R4[None, :, 2:])
    shared = (high - low).clip(0, None).prod(axis=-1)
    area_T, area_R = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (boxes_T4, boxes_R4))
    union = area_T[:, None] + area_R - shared
    is_box = (area_T > _EPSILON)[:, None] & (area_R > _EPSILON) & (union > _EPSILON)
    return np.where(is_box, shared, 0) / np.where(is_box, union, 1)


@dataclass(frozen=True, eq=False)
class _Frame:
    """One frame; ids count from 0, without gaps."""

    true_ids: IntArray  # (T,)
    found_ids: IntArray  # (R,)
    iou: Float64Array  # (T, R)


def _frames(truth: BoxTracks, result: BoxTracks) -> Iterator[_Frame]:
    """The frames in which there is anybody, in order."""
    _, true_ids = np.unique(truth.track_id, return_inverse=True)
    _, found_ids = np.unique(result.track_id, return_inverse=True)
    rows_of_truth, rows_of_result = _rows_by_frame(truth.frame), _rows_by_frame(result.frame)
    none = np.zeros(0, np.int64)
    for frame in sorted(rows_of_truth.keys() | rows_of_result.keys()):
        true, found = rows_of_truth.get(frame, none), rows_of_result.get(frame, none)
        yield _Frame(true_ids[true], found_ids[found], overlaps(truth.box_xyxy[true], result.box_xyxy[found]))


def _rows_by_frame(frame: IntArray) -> dict[int, IntArray]:
    order = np.argsort(frame, kind="stable")
    numbers, starts = np.unique(frame[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)) if len(frame) else {}


def _count_boxes(frames: list[_Frame]) -> tuple[Float64Array, Float64Array]:
    """Of each true track and of each found one, the boxes."""
    true = np.concatenate([frame.true_ids for frame in frames] or [np.zeros(0, np.int64)])
    found = np.concatenate([frame.found_ids for frame in frames] or [np.zeros(0, np.int64)])
    return np.bincount(true).astype(np.float64), np.bincount(found).astype(np.float64)


def _match_for_hota(frames: list[_Frame]) -> Float64Array:
    """(A, true tracks, found tracks) matches, chosen so that tracks that go together over the sequence win.

    The matching itself does not depend on the threshold; only the pairs that count do.
    """
    alignment = _align(frames)
    matches = np.zeros((len(ALPHAS), *alignment.shape))
    for frame in frames:
        pairs = np.ix_(frame.true_ids, frame.found_ids)
        rows, columns = linear_sum_assignment(-(alignment[pairs] * frame.iou))
        is_match = frame.iou[rows, columns] >= ALPHAS[:, None] - _EPSILON
        matches[:, frame.true_ids[rows], frame.found_ids[columns]] += is_match
    return matches


def _align(frames: list[_Frame]) -> Float64Array:
    """(true tracks, found tracks) how far two tracks go together, before any matching: a Jaccard index of IoUs."""
    true_count, found_count = _count_boxes(frames)
    together = np.zeros((len(true_count), len(found_count)))
    for frame in frames:
        either = frame.iou.sum(axis=0)[None] + frame.iou.sum(axis=1)[:, None] - frame.iou
        is_near = either > _EPSILON
        share = np.where(is_near, frame.iou, 0) / np.where(is_near, either, 1)
        together[np.ix_(frame.true_ids, frame.found_ids)] += share
    return together / (true_count[:, None] + found_count - together)


def _associate(matches: Float64Array, frames: list[_Frame]) -> Float64Array:
    """(A,) the sum of `TrackingScores.association`."""
    true_count, found_count = _count_boxes(frames)
    either = true_count[:, None] + found_count - matches
    return (matches * matches / np.maximum(1, either)).sum(axis=(1, 2))


def _match_ids(frames: list[_Frame]) -> int:
    """Boxes matched when each true track gets the one found track that serves it best (IDF1)."""
    true_count, found_count = _count_boxes(frames)
    together = np.zeros((len(true_count), len(found_count)))
    for frame in frames:
        together[np.ix_(frame.true_ids, frame.found_ids)] += frame.iou >= MATCH_IOU
    rows, columns = linear_sum_assignment(-together)
    return int(together[rows, columns].sum())


def _match_for_clear(frames: list[_Frame]) -> tuple[int, int]:
    """Matches and identity switches: in each frame the pairs of the frame before come first, then the best overlap."""
    num_matches = switches = 0
    last: dict[int, int] = {}  # true id -> found id when last matched
    before: dict[int, int] = {}  # the same, of the frame before with people in both
    for frame in frames:
        if not frame.iou.size:
            continue
        kept = np.array([before.get(true, -1) for true in frame.true_ids.tolist()])[:, None] == frame.found_ids
        score = np.where(frame.iou >= MATCH_IOU - _EPSILON, 1000 * kept + frame.iou, 0)
        rows, columns = linear_sum_assignment(-score)
        is_match = score[rows, columns] > _EPSILON
        true, found = frame.true_ids[rows[is_match]].tolist(), frame.found_ids[columns[is_match]].tolist()
        before = dict(zip(true, found, strict=True))
        switches += sum(last.get(true, found) != found for true, found in before.items())
        last |= before
        num_matches += len(before)
    return num_matches, switches
