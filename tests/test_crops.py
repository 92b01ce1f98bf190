"""Boxes into crops: OpenCV's pixels, the borders, AlphaPose's oddities, and the way there and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from opencv_crops import crop_people_with_opencv

from choreai.pose.crops import (
    ALPHAPOSE_CROPS,
    CropSettings,
    crop_people,
    pad_boxes,
)
from choreai.pose.heatmaps import Decoding, decode_heatmaps

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "alphapose" / "golden" / "crops.npz"
PLAIN = CropSettings(size_hw=(256, 192), mean_rgb=(0.0, 0.0, 0.0))


def crop_one(image: np.ndarray, padded_box: np.ndarray, settings: CropSettings = PLAIN) -> torch.Tensor:
    frames = [torch.from_numpy(image)]
    return crop_people(frames, padded_box.reshape(1, 4), np.zeros(1, np.int64), settings)[0]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.shared
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is absent")
@pytest.mark.parametrize("case", range(12))
def test_crops_equal_those_of_alphapose(case: int) -> None:
    golden = np.load(GOLDEN)
    image = golden[f"images/{golden[f'{case}/image']}"]
    box = pad_boxes(golden[f"{case}/box"][None], ALPHAPOSE_CROPS)
    np.testing.assert_allclose(box[0], golden[f"{case}/cropped_box"], atol=1e-4)
    expected = golden[f"{case}/crop"]
    difference = 255 * np.abs(crop_one(image, box, ALPHAPOSE_CROPS).numpy() - expected)
    assert difference.max() < 1.01  # seen: one level, where a half is rounded the other way
    assert difference.mean() < 0.35
    opencv = crop_people_with_opencv(image, box, ALPHAPOSE_CROPS)[0].numpy()
    assert 255 * np.abs(opencv - expected).max() < 8  # OpenCV 4 interpolates in 1/32 pixels


def test_boxes_are_brought_to_the_crops_shape_and_padded() -> None:
    boxes = np.array([[0, 0, 75, 50], [0, 0, 30, 100], [10, 10, 10, 50]], np.float32)
    expected = [[-9.375, -37.5, 84.375, 87.5], [-31.875, -12.5, 61.875, 112.5], [-8.75, 5, 28.75, 55]]
    np.testing.assert_allclose(pad_boxes(boxes, PLAIN), expected)


def test_a_crop_of_its_own_size_is_the_frame() -> None:
    image = noise(256, 192)
    crop = crop_one(image, np.array([0, 0, 192, 256], np.float32))
    np.testing.assert_array_equal((255 * crop).round().permute(1, 2, 0).numpy(), image)


@pytest.mark.parametrize("box", [[-40, -30, 120, 190], [500, 300, 700, 566], [10.3, 20.7, 40.1, 60.4]])
def test_crops_are_opencvs_to_within_its_interpolation(box: list[float]) -> None:
    image = noise(360, 640)
    padded = pad_boxes(np.array([box], np.float32), PLAIN)
    difference = 255 * (crop_one(image, padded) - crop_people_with_opencv(image, padded, PLAIN)[0]).abs()
    assert difference.max() < 8
    assert difference.mean() < 1.5  # on noise; less than 0.1 on pictures


def blob(x: float, y: float) -> np.ndarray:
    """A frame with one soft spot around (x, y)."""
    rows, columns = np.mgrid[:360, :640]
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 15**2))
    return np.repeat(spot.round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("box", [[200, 50, 400, 330], [250.5, 103.25, 371.3, 240], [180, 80, 440, 300]], ids=str)
def test_a_place_comes_back_from_crop_and_heatmap_to_where_it_was(box: list[float]) -> None:
    """Crop, take every fourth pixel as a perfect network would, decode: half a pixel astray anywhere shows."""
    place = [311.0, 172.0]
    padded = pad_boxes(np.array([box], np.float32), PLAIN)
    spot = crop_one(blob(*place), padded)[0, ::4, ::4]
    heatmap = torch.special.logit(spot.clamp(min=0.02) - 0.02, eps=1e-9)[None, None]
    found = decode_heatmaps(heatmap, padded, decoding=Decoding(0, 1)).xy[0, 0].tolist()
    assert found == pytest.approx(place, abs=0.1)


def test_outside_the_frame_is_black_and_its_border_is_not_spread() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    crop = 255 * crop_one(image, np.array([-96, -128, 96, 128], np.float32))
    assert crop[:, :128].abs().max() == 0
    assert crop[:, :, :96].abs().max() == 0
    assert (crop[:, 128:228, 96:].round() == 200).all()


def test_people_of_many_frames_are_cropped_in_their_order() -> None:
    frames = [noise(200, 300, 1), noise(120, 160, 2), noise(200, 300, 3)]  # sizes may differ
    boxes = pad_boxes(
        np.array([[5, 5, 60, 100], [80, 20, 200, 190], [0, 0, 90, 90], [10, 0, 50, 80]], np.float32), PLAIN
    )
    frame_of_person = np.array([2, 0, 2, 1])
    together = crop_people([torch.from_numpy(frame) for frame in frames], boxes, frame_of_person, PLAIN)
    for crop, box, frame in zip(together, boxes, frame_of_person, strict=True):
        torch.testing.assert_close(crop, crop_one(frames[frame], box))


@pytest.mark.parametrize(("value", "divisor"), [(0, 1), (1, 1), (2, 255)])
def test_alphapose_leaves_black_crops_undivided(value: int, divisor: int) -> None:
    image = np.full((256, 192, 3), value, np.uint8)
    crop = crop_one(image, np.array([0, 0, 192, 256], np.float32), ALPHAPOSE_CROPS)
    expected = value / divisor - np.array([0.406, 0.457, 0.480])
    np.testing.assert_allclose(crop[:, 100, 100], expected, atol=1e-6)


def test_other_networks_may_want_other_sizes_channels_and_scales() -> None:
    settings = CropSettings((64, 64), (0.1, 0.2, 0.3), (0.5, 0.25, 0.2), padding=1.0, channel_order="BGR")
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 255
    padded = pad_boxes(np.array([[0, 0, 64, 64]], np.float32), settings)
    crop = crop_one(image, padded, settings)
    assert crop.shape == (3, 64, 64)
    np.testing.assert_allclose(crop[:, 32, 32], [-0.3 / 0.2, -0.2 / 0.25, 0.9 / 0.5], rtol=1e-6)


def test_nobody_gives_no_crops() -> None:
    frames = [torch.from_numpy(noise(10, 10))]
    crops = crop_people(frames, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), ALPHAPOSE_CROPS)
    assert crops.shape == (0, 3, 256, 192)
    assert pad_boxes(np.zeros((0, 4), np.float32), PLAIN).shape == (0, 4)


def test_people_of_frames_that_are_not_there_and_broken_boxes_are_refused() -> None:
    frames = [torch.from_numpy(noise(10, 10))]
    box = np.array([[0, 0, 5, 5]], np.float32)
    with pytest.raises(ValueError, match="within the 1 frames"):
        crop_people(frames, box, np.array([1]), PLAIN)
    with pytest.raises(ValueError, match=r"finite and \(2, 4\)"):
        crop_people(frames, box, np.array([0, 0]), PLAIN)
    with pytest.raises(ValueError, match="finite"):
        pad_boxes(np.array([[0, 0, np.nan, 5]], np.float32), PLAIN)
    with pytest.raises(ValueError, match="positive"):
        CropSettings((256, 192), (0, 0, 0), std_rgb=(0, 1, 1))
