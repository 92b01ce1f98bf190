"""The top-down path: where keypoints land, what does not matter (batches), and whatever boxes may come."""

import numpy as np
import pytest
import torch
from topdown_fakes import FakeDetector, WhiteSpotFinder, estimator_of, middle, spotted

from choreai.errors import WeightsError
from choreai.pose.crop_keypoints import CropKeypoints
from choreai.pose.pipeline import estimate

# ---------------------------------------------------------------- geometry and batches


def test_keypoints_land_on_the_pixel_they_were_seen_at() -> None:
    spots = [(101, 97), (423, 201)]
    boxes = [(61.3, 40.2, 140.9, 170.7), (380.0, 120.5, 500.0, 300.0)]
    (poses,) = estimator_of(FakeDetector([boxes]), WhiteSpotFinder()).estimate([spotted(spots)])
    # An error of half a heatmap pixel would be 1.1 and 1.9 pixels here.
    np.testing.assert_allclose(sorted(middle(poses).tolist()), spots, atol=0.1)
    np.testing.assert_array_equal(poses.box_scores, np.array([0.9, 0.9], np.float32))


def test_every_frame_keeps_its_own_people_whatever_the_batches() -> None:
    counts = [0, 3, 1, 0, 6, 2, 0, 0, 5, 1]
    spots = [[(60 + 90 * person, 100 + 10 * number) for person in range(n)] for number, n in enumerate(counts)]
    boxes = [[(x - 40.0, y - 60.0, x + 41.0, y + 62.0) for x, y in of_frame] for of_frame in spots]
    frames = [spotted(of_frame, number=number) for number, of_frame in enumerate(spots)]
    for frame_batch, crop_batch in ((1, 1), (3, 4), (7, 64), (10, 5)):
        network, detector = WhiteSpotFinder(), FakeDetector(boxes)
        estimator = estimator_of(detector, network, frame_batch=frame_batch, crop_batch=crop_batch)
        found = list(estimate(frames, estimator))
        assert [frame.frame_index for frame, _ in found] == list(range(10))
        assert [len(poses) for _, poses in found] == counts
        for (_, poses), expected in zip(found, spots, strict=True):
            np.testing.assert_allclose(
                middle(poses)[np.argsort(middle(poses)[:, 0])], np.reshape(expected, (-1, 2)), atol=0.2
            )
        assert max(network.batches) <= crop_batch
        assert max(detector.batches) <= min(frame_batch, 2)
    assert network.batches == [5, 5, 5, 3]  # crops of several frames go together


def test_a_gpu_out_of_memory_halves_the_batch_and_goes_on() -> None:
    boxes = [[(x, 50.0, x + 40, 150.0) for x in np.arange(0.0, 550, 50)]]
    spots = [(int(x) + 20, 100) for x in np.arange(0, 550, 50)]
    network = WhiteSpotFinder(most=3)
    estimator = estimator_of(FakeDetector(boxes), network, crop_batch=16)
    (poses,) = estimator.estimate([spotted(spots)])
    np.testing.assert_allclose(sorted(middle(poses).tolist()), spots, atol=0.2)
    assert network.batches == [2, 2, 2, 2, 2, 1]
    estimator.estimate([spotted(spots)])
    assert network.batches[6:] == [2, 2, 2, 2, 2, 1]  # it does not try 16 again


def test_a_gpu_too_small_for_one_crop_is_an_error() -> None:
    estimator = estimator_of(FakeDetector([[(0, 0, 50, 100)]]), WhiteSpotFinder(most=0))
    with pytest.raises(torch.OutOfMemoryError):
        estimator.estimate([spotted([])])


# ---------------------------------------------------------------- whatever boxes may come


def test_sixty_people_in_a_frame_are_sixty_rows() -> None:
    spots = [(30 + 60 * column, 40 + 55 * row) for row in range(6) for column in range(10)]
    boxes = [[(x - 20.0, y - 27.0, x + 20.0, y + 27.0) for x, y in spots]]
    (poses,) = estimator_of(FakeDetector(boxes), WhiteSpotFinder()).estimate([spotted(spots)])
    assert len(poses) == 60
    assert {tuple(xy) for xy in middle(poses).round().tolist()} == set(spots)


def test_one_pixel_boxes_and_boxes_outside_the_frame_are_estimated_like_any_other() -> None:
    boxes = [[(300.0, 200.0, 301.0, 201.0), (700.0, 400.0, 800.0, 600.0), (-90.0, -50.0, 60.0, 90.0)]]
    (poses,) = estimator_of(FakeDetector(boxes), WhiteSpotFinder()).estimate([spotted([(300, 200), (10, 12)])])
    assert len(poses) == 3
    assert np.isfinite(poses.keypoints_xy).all()
    nearest = [np.linalg.norm(middle(poses) - spot, axis=1).min() for spot in ((300.5, 200.5), (10, 12))]
    assert max(nearest) < 1


def test_an_8k_frame_is_estimated_and_comes_alone_or_in_twos() -> None:
    frames = (spotted([(7000, 4000)], size_wh=(7680, 4320), number=number) for number in range(3))
    detector = FakeDetector([[(6800.0, 3700.0, 7200.0, 4300.0)]], batch_size=8)
    found = list(estimate(frames, estimator_of(detector, WhiteSpotFinder(), frame_batch=8)))
    for _, poses in found:
        np.testing.assert_allclose(middle(poses), [(7000, 4000)], atol=0.5)
    assert detector.batches == [2, 1]  # 32 would be 3 GB of pixels


def test_frames_of_different_sizes_may_share_a_batch() -> None:
    frames = [spotted([(100, 100)]), spotted([(50, 60)], size_wh=(120, 90), number=1)]
    detector = FakeDetector([[(50.0, 30.0, 150.0, 170.0)], [(20.0, 20.0, 80.0, 88.0)]])
    found = estimator_of(detector, WhiteSpotFinder()).estimate(frames)
    np.testing.assert_allclose([middle(poses)[0] for poses in found], [(100, 100), (50, 60)], atol=0.2)


def test_a_network_that_answers_nan_ends_the_run() -> None:
    class Broken(WhiteSpotFinder):
        def find_keypoints(self, crops_P3HW: torch.Tensor) -> CropKeypoints:
            return CropKeypoints(torch.full((len(crops_P3HW), 17, 2), torch.nan), torch.ones(len(crops_P3HW), 17))

    with pytest.raises(WeightsError, match="NaN"):
        estimator_of(FakeDetector([[(0, 0, 50, 100)]]), Broken()).estimate([spotted([])])
