"""BlazePose: where it looks, what its landmarks mean in the frame, and which networks are none."""

from typing import Any

import numpy as np
import pytest
import tiny_onnx

from choreai.errors import WeightsError
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.blazepose import (
    NUM_LANDMARKS,
    BlazePoseNetwork,
    BlazePoseReader,
    Squares,
    refine_by_heatmaps,
)
from choreai.pose.onnx_session import OnnxNetwork

BOX = np.array([[40, 20, 60, 60]], np.float32)  # its square: 56 pixels around (50, 40)
IMAGE = np.zeros((90, 160, 3), np.uint8)


def blazepose_network(*, presence: float = 1.0, cells: int = 8) -> bytes:
    """Of 32 x 32 crops: hips in the middle, the top of the head 8 pixels above, everything else right of the middle."""
    landmarks = np.zeros((NUM_LANDMARKS, 5), np.float32)
    landmarks[:, :2] = [24, 16]
    landmarks[33, :2], landmarks[34, :2] = [16, 16], [16, 8]
    landmarks[:, 3] = 100  # visibility before its sigmoid
    metres = np.zeros((NUM_LANDMARKS, 3), np.float32)
    metres[:, 0] = 1
    heatmaps = np.zeros((1, cells, cells, NUM_LANDMARKS), np.float32)
    answers = (landmarks.reshape(1, -1), np.array([[presence]], np.float32), heatmaps, metres.reshape(1, -1))
    return tiny_onnx.constant_network(*answers, size_hw=(32, 32))


def blazepose_reader(**options: Any) -> BlazePoseReader:
    return BlazePoseReader(BlazePoseNetwork(OnnxNetwork(blazepose_network(**options), num_threads=1)))


def test_a_square_maps_its_corners_onto_the_crop_whichever_way_it_is_turned() -> None:
    quarter = np.pi / 2
    squares = Squares(np.array([[50.0, 40.0]] * 2), np.array([16.0, 16.0]), np.array([0.0, quarter]))
    upright, lying = squares.to_crop(0, 32), squares.to_crop(1, 32)
    centre, above = np.array([50, 40, 1]), np.array([50, 36, 1])
    np.testing.assert_allclose(upright @ centre, [15.5, 15.5])
    np.testing.assert_allclose(upright @ above, [15.5, 7.5])
    np.testing.assert_allclose(lying @ np.array([54, 40, 1]), [15.5, 7.5])  # head to the right: shown upright


def test_landmarks_are_in_frame_pixels_and_newcomers_are_looked_at_twice() -> None:
    bodies = blazepose_reader().read(IMAGE, BOX)
    # First the box's square of 56 pixels says: head 14 above the hips. So the next is 2 * 14 * 1.25 = 35 wide.
    np.testing.assert_allclose(bodies.keypoints_xy[0, 0], [50 + 8 * 35 / 32, 40], atol=1e-4)
    np.testing.assert_allclose(bodies.keypoint_scores, np.ones((1, NUM_KEYPOINTS)), atol=1e-6)
    assert bodies.keypoints_xyz is not None
    np.testing.assert_allclose(bodies.keypoints_xyz[0, 0], [1, 0, 0], atol=1e-6)


def test_somebody_known_is_looked_at_once_where_their_landmarks_said() -> None:
    reader = blazepose_reader()
    reader.read(IMAGE, BOX)
    moved = reader.read(IMAGE, BOX + np.array([4, 0, 4, 0], np.float32))
    side = 35 * 2 * 8 / 32 * 1.25
    np.testing.assert_allclose(moved.keypoints_xy[0, 0], [54 + 8 * side / 32, 40], atol=1e-4)
    reader.start_video()
    again = reader.read(IMAGE, BOX)
    np.testing.assert_allclose(again.keypoints_xy[0, 0], [50 + 8 * 35 / 32, 40], atol=1e-4)


def test_landmarks_of_nobody_do_not_say_where_to_look() -> None:
    reader = blazepose_reader(presence=0.1)
    for _ in range(2):
        bodies = reader.read(IMAGE, BOX)
        np.testing.assert_allclose(bodies.keypoints_xy[0, 0], [50 + 8 * 56 / 32, 40], atol=1e-4)
    assert bodies.presence[0] == pytest.approx(0.1)


def test_nobody_to_read_is_nobody_read() -> None:
    bodies = blazepose_reader().read(IMAGE, BOX[:0])
    assert bodies.keypoints_xy.shape == (0, NUM_KEYPOINTS, 2)
    assert bodies.presence.shape == (0,)


def test_a_point_moves_to_its_heatmaps_centre_of_mass_where_that_is_high() -> None:
    heatmaps = np.zeros((1, 16, 16, 3), np.float32)
    heatmaps[0, 8, [8, 9], 0] = 0.6
    heatmaps[0, 8, 8, 1] = 0.4  # too low
    heatmaps[0, 15, 15, 2] = 0.9  # of a point outside
    points = np.array([[[0.5, 0.45], [0.5, 0.45], [1.1, 1.1]]], np.float32)
    found = refine_by_heatmaps(points, heatmaps)
    np.testing.assert_allclose(found[0], [[8.5 / 16, 0.5], [0.5, 0.45], [1.1, 1.1]], atol=1e-6)


def test_another_network_is_no_blazepose() -> None:
    network = OnnxNetwork(tiny_onnx.heatmap_network(), num_threads=1)
    with pytest.raises(WeightsError, match="BlazePose"):
        BlazePoseNetwork(network)
