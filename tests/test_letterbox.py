"""Letterboxes: images onto canvases, and boxes back."""

import cv2
import numpy as np
import pytest
import torch
from detector_files import noise, predictions

from choreai.pose.detectors.letterbox import Letterbox, letterbox_images, resize_on_device, undo_letterbox
from choreai.pose.detectors.yolo import YoloDetector
from choreai.pose.detectors.yolox import yolox_letterbox, yolox_rule

CENTRED = Letterbox((608, 608), centred=True, pad=128, interpolation="cubic", channel_order="RGB")


@pytest.mark.parametrize("letterbox", [yolox_letterbox((640, 640)), yolox_letterbox((416, 640)), CENTRED], ids=str)
def test_a_box_comes_back_from_the_canvas_to_where_it_was(letterbox: Letterbox) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        width, height = (int(side) for side in rng.integers(8, 2500, 2))
        corners = np.sort(rng.uniform(0, 1, (20, 2, 2)), axis=1) * [width, height]
        boxes = corners.reshape(20, 4).astype(np.float32)
        scale = letterbox.scale_for((width, height))
        margin = np.zeros(2)
        if letterbox.centred:
            margin = (np.array(letterbox.size_hw[::-1]) - scale * np.array([width, height])) / 2
        on_canvas = (boxes * scale + np.tile(margin, 2)).astype(np.float32)
        np.testing.assert_allclose(undo_letterbox(on_canvas, (width, height), letterbox), boxes, atol=1e-2)


@pytest.mark.parametrize("letterbox", [yolox_letterbox((640, 640)), CENTRED], ids=["yolox", "yolov3"])
@pytest.mark.parametrize("size_wh", [(640, 640), (1920, 1080), (333, 777), (5000, 40), (1, 3000), (1, 1)], ids=str)
def test_a_canvas_shows_the_image_and_grey(letterbox: Letterbox, size_wh: tuple[int, int]) -> None:
    image = torch.full((size_wh[1], size_wh[0], 3), 7, dtype=torch.uint8)
    image[..., 2] = 201
    canvas = letterbox_images([image], letterbox)[0]
    assert canvas.shape == (3, *letterbox.size_hw)
    width, height = letterbox.inner_size_wh(size_wh)
    blue = canvas[0 if letterbox.channel_order == "BGR" else 2]
    rows, columns = (blue == 201).nonzero(as_tuple=True)
    assert len(rows) == width * height
    assert (blue != 201).sum() == (canvas == letterbox.pad).all(0).sum()
    top = (letterbox.size_hw[0] - height) // 2 if letterbox.centred else 0
    left = (letterbox.size_hw[1] - width) // 2 if letterbox.centred else 0
    assert (int(rows.min()), int(columns.min())) == (top, left)
    assert width == max(1, int(size_wh[0] * min(letterbox.size_hw[0] / size_wh[1], letterbox.size_hw[1] / size_wh[0])))


@pytest.mark.parametrize(
    "sizes", [((1920, 1080), (640, 360)), ((333, 777), (274, 640)), ((64, 40), (640, 400))], ids=str
)
def test_resizing_on_the_device_is_opencvs(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    (width, height), size_wh = sizes
    image = noise(height, width)
    linear = cv2.resize(image.numpy(), size_wh, interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_on_device(image, size_wh, "linear").numpy(), linear)
    cubic = cv2.resize(image.numpy(), size_wh, interpolation=cv2.INTER_CUBIC).astype(int)
    difference = np.abs(resize_on_device(image, size_wh, "cubic").numpy() - cubic)
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_images_must_be_colour_bytes() -> None:
    for image in (
        torch.zeros(4, 4, 3),
        torch.zeros((4, 4), dtype=torch.uint8),
        torch.zeros((0, 4, 3), dtype=torch.uint8),
    ):
        with pytest.raises(ValueError, match="images must be"):
            letterbox_images([image], CENTRED)


def test_boxes_are_clipped_and_those_outside_dropped() -> None:
    # The image ends at 64 x 32.
    rows: list[list[float]] = [[5, 5, 20, 20], [40, 20, 100, 20], [60, 60, 6, 6], [20, 20, 1, 1]]

    def predict(canvases: torch.Tensor) -> torch.Tensor:
        return predictions([(row, 0.9, 0) for row in rows])

    detector = YoloDetector(
        predict, letterbox=yolox_letterbox((64, 64)), rule=yolox_rule(0.1), network_settings={}, batch_size=1
    )
    boxes = detector.detect([noise(32, 64)])[0]
    expected = [[0.0, 0, 15, 15], [0.0, 10, 64, 30], [19.5, 19.5, 20.5, 20.5]]
    np.testing.assert_allclose(boxes.box_xyxy, expected)
