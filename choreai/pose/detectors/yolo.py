"""The detector shared by all YOLO networks: letterbox, network, selection, back to image pixels."""

from collections.abc import Callable, Sequence

import torch

from choreai.pose.detectors.detector import Boxes
from choreai.pose.detectors.letterbox import Letterbox, letterbox_images, undo_letterbox
from choreai.pose.detectors.selection import SelectionRule, select_people

Predict = Callable[[torch.Tensor], torch.Tensor]
"""Maps (N, 3, H, W) uint8 canvases to (N, A, 5 + C) float32 predictions, the input of `select_people`."""


class YoloDetector:
    """A `PersonDetector`, loaded by `load_yolox`, `load_yolov3` or `load_onnx_detector`.

    Images are letterboxed on their own device, and only the canvases are moved to the network's. Scores are the
    objectness alone. Boxes are clipped to the image, and those without area discarded.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        letterbox: Letterbox,
        rule: SelectionRule,
        network_settings: dict[str, str | int | float | bool],
        batch_size: int,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}")
        self.batch_size = batch_size
        self._predict = predict
        self._letterbox = letterbox
        self._rule = rule
        self._network_settings = network_settings

    def settings(self) -> dict[str, str | int | float | bool]:
        height, width = self._letterbox.size_hw
        return {**self._network_settings, "input_size": f"{height}x{width}", **self._rule.settings()}

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        people: list[Boxes] = []
        for first in range(0, len(images), self.batch_size):
            people += self._detect_batch(images[first : first + self.batch_size])
        return people

    @torch.inference_mode()
    def _detect_batch(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        predictions = self._predict(letterbox_images(images, self._letterbox))
        on_canvas = select_people(predictions, self._rule)
        return [self._in_image(boxes, image) for boxes, image in zip(on_canvas, images, strict=True)]

    def _in_image(self, boxes: Boxes, image: torch.Tensor) -> Boxes:
        size_wh = (image.shape[1], image.shape[0])
        box_xyxy = undo_letterbox(boxes.box_xyxy, size_wh, self._letterbox)
        visible = (box_xyxy[:, 2:] > box_xyxy[:, :2]).all(axis=1)
        return Boxes(box_xyxy[visible], boxes.scores[visible])
