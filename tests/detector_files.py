"""Weights files and pictures made for tests of the detectors."""

import io

import numpy as np
import torch

from choreai.pose.detectors.yolox_network import SIZES, Yolox


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def small_checkpoint() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network = Yolox(SIZES["nano"])
    for predictor in (*network.head.reg_preds, *network.head.obj_preds, *network.head.cls_preds):
        predictor.weight.data /= 100
    return network.state_dict()


def predictions(people: list[tuple[list[float], float, int]], num_classes: int = 3) -> torch.Tensor:
    """(1, A, 5 + C): centre and size, objectness, class, of a class score of 1."""
    answer = torch.zeros(1, len(people), 5 + num_classes)
    for row, (box, objectness, label) in zip(answer[0], people, strict=True):
        row[:4] = torch.tensor(box)
        row[4] = objectness
        row[5 + label] = 1
    return answer
