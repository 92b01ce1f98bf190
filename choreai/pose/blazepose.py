"""BlazePose's landmark network on crops of several people, .onnx or .tflite: keypoints in pixels and in metres.

After Bazarevsky et al. 2020 and MediaPipe's graph: a square turned to the person's axis is cut out, 39 landmarks are
read from it and refined by the network's heatmaps, and two of them say where the next frame's square lies.

Legend: P people, L landmarks that are used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, ImageArray, IntArray
from choreai.errors import WeightsError
from choreai.pose.bodies import Bodies
from choreai.pose.saliency import iou_matrix

COCO_FROM_BLAZEPOSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Which of BlazePose's points is each COCO-17 keypoint."""
CENTRE, TOP = 33, 34
"""Points between the hips and above the head, for the next square."""
NUM_LANDMARKS, NUM_USED, NUM_IN_METRES = 39, 35, 33
"""The 33 points of a body come first, then `CENTRE` and `TOP`."""
SQUARE_SCALE = 1.25
"""The next square's side over twice the distance from `CENTRE` to `TOP`, as in MediaPipe."""
BOX_SCALE = 1.4
"""A first square's side over the longer side of a detector's box."""
MIN_PRESENCE = 0.3
"""Below, the landmarks are not trusted to say where to look next."""
SAME_IOU = 0.4
"""A box that overlaps one of the frame before by more is looked for where that person's landmarks said."""
HEATMAP_REACH = 3
MIN_HEATMAP_PEAK = 0.5
"""MediaPipe's refinement: the heatmap's centre of mass within some cells, where it is that high."""
MEDIAPIPE_REACH = 4
"""Of 2, 3 and 4 the one that gives MediaPipe's keypoints to 0.01 of the network's pixels."""


class ImageNetwork(Protocol):
    """`OnnxNetwork` or `LiteRtNetwork`."""

    sha256: str
    size_hw: tuple[int, int]

    @property
    def output_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of each output for one image."""
        ...

    def run(self, images_N3HW: FloatArray) -> list[FloatArray]:
        """Return the outputs, each (N, ...)."""
        ...


@dataclass(frozen=True, eq=False)
class Squares:
    """P turned squares in a frame."""

    centre_xy: Float64Array
    """(P, 2) frame pixels."""
    side: Float64Array
    """(P,) frame pixels."""
    angle: Float64Array
    """(P,) radians, clockwise; 0 where the person is upright."""

    def __len__(self) -> int:
        return len(self.side)

    @classmethod
    def around(cls, box_xyxy: FloatArray, *, scale: float = BOX_SCALE) -> "Squares":
        """Upright ones around boxes (P, 4)."""
        boxes = box_xyxy.astype(np.float64)
        side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0) * scale
        return cls((boxes[:, :2] + boxes[:, 2:]) / 2, side.clip(1, None), np.zeros(len(boxes)))

    @classmethod
    def between(cls, centre: Float64Array, top: Float64Array) -> "Squares":
        """Return those of people with the hips at (P, 2) and a point above the head at (P, 2), frame pixels."""
        axis = top - centre
        side = 2 * SQUARE_SCALE * np.linalg.norm(axis, axis=1)
        return cls(centre, side.clip(1, None), np.arctan2(axis[:, 0], -axis[:, 1]))

    @classmethod
    def around_frame(cls, image: ImageArray) -> "Squares":
        """One, in whose middle the whole frame lies."""
        height, width = image.shape[:2]
        return cls(np.array([[width - 1, height - 1]]) / 2, np.array([float(max(height, width))]), np.zeros(1))

    @classmethod
    def joined(cls, *parts: "Squares") -> "Squares":
        """All squares of the parts, in order."""
        return cls(
            np.concatenate([part.centre_xy for part in parts]),
            np.concatenate([part.side for part in parts]),
            np.concatenate([part.angle for part in parts]),
        )

    def boxes(self) -> FloatArray:
        """Return upright boxes (P, 4) around the bodies: as large as the squares without their margin."""
        half = self.side[:, None] / (2 * SQUARE_SCALE)
        return np.concatenate([self.centre_xy - half, self.centre_xy + half], axis=1).astype(np.float32)

    def take(self, rows: IntArray | BoolArray) -> "Squares":
        return Squares(self.centre_xy[rows], self.side[rows], self.angle[rows])

    def moved(self, by_xy: Float64Array) -> "Squares":
        return Squares(self.centre_xy + by_xy, self.side, self.angle)

    def replaced(self, where: BoolArray, others: "Squares") -> "Squares":
        """These, with `others` (P too) where `where`."""
        return Squares(
            np.where(where[:, None], others.centre_xy, self.centre_xy),
            np.where(where, others.side, self.side),
            np.where(where, others.angle, self.angle),
        )

    def to_crop(self, person: int, size: int) -> Float64Array:
        """Return the affine map (2, 3) from frame pixels to crop pixels (`size` x `size`), centres at integers."""
        scale = size / self.side[person]
        cos, sin = np.cos(self.angle[person]) * scale, np.sin(self.angle[person]) * scale
        turn = np.array([[cos, sin], [-sin, cos]])
        middle = (size - 1) / 2
        return np.column_stack([turn, middle - turn @ self.centre_xy[person]])


@dataclass(frozen=True, eq=False)
class Landmarks:
    """What the network reads in P squares."""

    presence: FloatArray
    """(P,) in [0, 1]."""
    xy: FloatArray
    """(P, L, 2) frame pixels; the 33 points of a body, `CENTRE` and `TOP`."""
    scores: FloatArray
    """(P, L) visibility in [0, 1]."""
    xyz: FloatArray
    """(P, 17, 3) metres from between the hips, COCO keypoints, x right and y down as in the frame."""

    def take(self, rows: IntArray) -> "Landmarks":
        return Landmarks(self.presence[rows], self.xy[rows], self.scores[rows], self.xyz[rows])

    def next_squares(self, box_xyxy: FloatArray) -> Squares:
        """Return where to look in the next frame; around the boxes where nobody is sure to be."""
        centre, top = self.xy[:, CENTRE].astype(np.float64), self.xy[:, TOP].astype(np.float64)
        squares = Squares.between(centre, top)
        return squares.replaced(self.presence < MIN_PRESENCE, Squares.around(box_xyxy))


class BlazePoseNetwork:
    """The landmark network: "lite", "full" or "heavy", told apart by nothing but their weights."""

    def __init__(self, network: ImageNetwork, *, as_mediapipe: bool = False) -> None:
        """With `as_mediapipe` every step is MediaPipe's own: heatmaps are logits, crops are shifted by half a pixel
        and repeat the frame's edge, and the heatmaps' centre of mass is taken within 4 cells rather than 3.

        Raises WeightsError for another network.
        """
        if not is_blazepose(network):
            raise WeightsError(
                f"the network of {network.size_hw} crops answers {network.output_shapes}; BlazePose's "
                "landmark network answers (195), (117), (1) and heatmaps (h, w, 39)"
            )
        self._network = network
        self._size = network.size_hw[0]
        self._as_mediapipe = as_mediapipe

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self._network.sha256

    def read(self, image: ImageArray, squares: Squares) -> Landmarks:
        """Return the landmarks of everybody in the squares of one frame."""
        to_crop = [squares.to_crop(person, self._size) for person in range(len(squares))]
        crops = np.zeros((len(squares), self._size, self._size, 3), np.float32)
        for crop, matrix in zip(crops, to_crop, strict=True):
            crop[:] = self._cut(image, matrix)
        crops /= 255
        presence, heatmaps, raw, metres = _sort_outputs(self._network, self._network.run(crops.transpose(0, 3, 1, 2)))
        used = raw.reshape(-1, NUM_LANDMARKS, 5)[:, :NUM_USED]
        points, heatmaps = used[..., :2] / self._size, heatmaps[..., :NUM_USED]
        if self._as_mediapipe:
            points = refine_by_heatmaps(points, heatmaps, reach=MEDIAPIPE_REACH, are_logits=True)
        else:
            points = refine_by_heatmaps(points, heatmaps)
        return Landmarks(
            presence=presence[:, 0].clip(0, 1),
            xy=_in_frame(points * self._size - 0.5, to_crop),
            scores=_sigmoid(used[..., 3]),
            xyz=_turned(metres.reshape(-1, NUM_LANDMARKS, 3)[:, list(COCO_FROM_BLAZEPOSE)], squares.angle),
        )

    def _cut(self, image: ImageArray, to_crop: Float64Array) -> ImageArray:
        size_wh = (self._size, self._size)
        if self._as_mediapipe:
            return warp_as_mediapipe(image, to_crop, size_wh, border=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.warpAffine(image, to_crop, size_wh, flags=cv2.INTER_LINEAR), np.uint8)


class BlazePoseReader:
    """A `BodyReader`: looks for people where the frame before had them, and twice where they are new."""

    has_xyz = True

    def __init__(self, network: BlazePoseNetwork) -> None:
        self._network = network
        self.start_video()

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"pose_network": "blazepose", "pose_network_sha256": self._network.sha256, "box_scale": BOX_SCALE}

    def start_video(self) -> None:
        """Forget where people were."""
        self._boxes = np.zeros((0, 4), np.float32)
        self._squares = Squares.around(self._boxes)

    def read(self, image: ImageArray, box_xyxy: FloatArray) -> Bodies:
        squares, is_known = self._expect(box_xyxy)
        if not is_known.all():
            # A detector's box says nothing of how a body is turned: look once for that, then again.
            newcomers = np.flatnonzero(~is_known)
            boxes = box_xyxy[newcomers]
            found = self._network.read(image, squares.take(newcomers)).next_squares(boxes)
            squares = _put(squares, newcomers, found)
        landmarks = self._network.read(image, squares)
        self._boxes, self._squares = box_xyxy, landmarks.next_squares(box_xyxy)
        return Bodies(
            keypoints_xy=landmarks.xy[:, list(COCO_FROM_BLAZEPOSE)],
            keypoint_scores=landmarks.scores[:, list(COCO_FROM_BLAZEPOSE)],
            presence=landmarks.presence,
            keypoints_xyz=landmarks.xyz,
        )

    def _expect(self, box_xyxy: FloatArray) -> tuple[Squares, BoolArray]:
        """Where to look for the people of these boxes, and (P,) which of them the frame before knew."""
        around = Squares.around(box_xyxy)
        if not len(box_xyxy) or not len(self._boxes):
            return around, np.zeros(len(box_xyxy), np.bool_)
        overlap = iou_matrix(box_xyxy, self._boxes)
        owner, is_known = overlap.argmax(axis=1), overlap.max(axis=1) > SAME_IOU
        step = (box_xyxy - self._boxes[owner]).astype(np.float64).reshape(-1, 2, 2).mean(axis=1)
        return around.replaced(is_known, self._squares.take(owner).moved(step)), is_known


def is_blazepose(network: ImageNetwork) -> bool:
    """Return whether the network's outputs are those of BlazePose's landmark networks."""
    shapes = [shape for shape in network.output_shapes.values() if shape[-1] in (195, 117, 1, NUM_LANDMARKS)]
    kinds = sorted(len(shape) * 1000 + shape[-1] for shape in shapes)
    height, width = network.size_hw
    return height == width and {1001, 1117, 1195, 3039} <= set(kinds)


def warp_as_mediapipe(image: ImageArray, to_crop: Float64Array, size_wh: tuple[int, int], *, border: int) -> ImageArray:
    """Return what MediaPipe cuts out: its matrices take pixel corners where OpenCV takes centres.

    Keypoints are off by half a frame's pixel less half a crop's. The networks answer within 0.002 torso lengths of
    MediaPipe when they see what it shows them, and within 0.02 otherwise.
    """
    turn = to_crop[:, :2]
    shifted = np.column_stack([turn, to_crop[:, 2] + 0.5 - turn.sum(axis=1) / 2])
    return np.asarray(cv2.warpAffine(image, shifted, size_wh, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


def refine_by_heatmaps(
    points: FloatArray, heatmaps_PHWL: FloatArray, *, reach: int = HEATMAP_REACH, are_logits: bool = False
) -> FloatArray:
    """Return (P, L, 2) points in [0, 1] of the crop moved to the centre of mass of their heatmap around them.

    Where the heatmap is low there, or the point outside, it stays.
    """
    num_people, height, width, num_points = heatmaps_PHWL.shape
    cells = np.floor(points * [width, height]).astype(np.int64)
    inside = ((cells >= 0) & (cells < [width, height])).all(axis=2)
    steps = np.arange(-reach, reach + 1)
    columns, rows = cells[..., :1] + steps, cells[..., 1:] + steps  # (P, L, 7)
    person, point = np.arange(num_people)[:, None, None, None], np.arange(num_points)[None, :, None, None]
    at_rows, at_columns = rows.clip(0, height - 1)[..., :, None], columns.clip(0, width - 1)[..., None, :]
    around = heatmaps_PHWL[person, at_rows, at_columns, point]  # (P, L, 7, 7)
    around = _sigmoid(around) if are_logits else around
    in_map = ((rows >= 0) & (rows < height))[..., :, None] & ((columns >= 0) & (columns < width))[..., None, :]
    around = np.where(in_map, around, 0)
    mass = around.sum(axis=(2, 3))
    moves = inside & (around.max(axis=(2, 3), initial=0.0) >= MIN_HEATMAP_PEAK) & (mass > 0)
    x = (around.sum(axis=2) * columns).sum(axis=2) / np.where(moves, mass, 1) / width
    y = (around.sum(axis=3) * rows).sum(axis=2) / np.where(moves, mass, 1) / height
    return np.where(moves[..., None], np.stack((x, y), axis=-1), points).astype(np.float32)


def _sort_outputs(network: ImageNetwork, outputs: list[FloatArray]) -> tuple[FloatArray, ...]:
    """Presence (P, 1), heatmaps (P, h, w, 39), landmarks (P, 195), metres (P, 117), whatever their order."""
    shapes = [(1, 1), (3, NUM_LANDMARKS), (1, 5 * NUM_LANDMARKS), (1, 3 * NUM_LANDMARKS)]
    by_shape = {
        (len(shape), shape[-1]): output for shape, output in zip(network.output_shapes.values(), outputs, strict=True)
    }
    return tuple(by_shape[shape] for shape in shapes)


def _in_frame(in_crop: FloatArray, to_crop: list[Float64Array]) -> FloatArray:
    """(P, L, 2) crop pixels into frame pixels."""
    in_frame = np.zeros(in_crop.shape, np.float32)
    for points, result, matrix in zip(in_crop, in_frame, to_crop, strict=True):
        back = cv2.invertAffineTransform(matrix)
        result[:] = points.astype(np.float64) @ back[:, :2].T + back[:, 2]
    return in_frame


def _turned(xyz: FloatArray, angle: Float64Array) -> FloatArray:
    """(P, 17, 3) turned about the line of sight, from the square's axes to the frame's."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = xyz[..., 0] * cos - xyz[..., 1] * sin, xyz[..., 0] * sin + xyz[..., 1] * cos
    return np.stack((x, y, xyz[..., 2]), axis=-1).astype(np.float32)


def _put(squares: Squares, rows: IntArray, others: Squares) -> Squares:
    """`squares` with `others` at `rows`."""
    centre, side, angle = squares.centre_xy.copy(), squares.side.copy(), squares.angle.copy()
    centre[rows], side[rows], angle[rows] = others.centre_xy, others.side, others.angle
    return Squares(centre, side, angle)


def _sigmoid(values: FloatArray) -> FloatArray:
    return (1 / (1 + np.exp(-values.clip(-60, 60)))).astype(np.float32)
