"""Crops, networks and decoding answer on a GPU what they answer on the CPU."""

import os

import numpy as np
import pytest
import torch
from golden import make_golden

from choreai.pose.alphapose.inference import predict_heatmaps, prepare
from choreai.pose.crops import ALPHAPOSE_CROPS, crop_people, pad_boxes
from choreai.pose.heatmaps import decode_heatmaps, decoding_for

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available() and os.environ.get("CHOREAI_REQUIRE_GPU") != "1",
        reason="needs an NVIDIA GPU",
    ),
]


@pytest.mark.parametrize("name", make_golden.NETWORKS)
def test_networks_answer_the_same_on_a_gpu(name: str) -> None:
    golden = torch.from_numpy(np.load(make_golden.FILE)[name])
    network = prepare(make_golden.filled_network(make_golden.NETWORKS[name]), device="cuda")
    heatmaps = predict_heatmaps(network, make_golden.golden_input())
    found = torch.from_numpy(make_golden.thinned(heatmaps.cpu()))
    assert (found - golden).abs().max() / golden.std() < 2e-3


def test_crops_and_keypoints_are_the_same_on_a_gpu() -> None:
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (3, 360, 640, 3), np.uint8))
    corners = rng.uniform(-50, 500, (5, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(20, 300, (5, 2))), axis=1).astype(np.float32)
    padded = pad_boxes(boxes, ALPHAPOSE_CROPS)
    frame_of_person = np.array([2, 0, 0, 1, 2])
    on_cpu = crop_people(frames, padded, frame_of_person, ALPHAPOSE_CROPS)
    on_gpu = crop_people(frames.cuda(), padded, frame_of_person, ALPHAPOSE_CROPS)
    assert on_gpu.is_cuda
    assert 255 * (on_gpu.cpu() - on_cpu).abs().max() < 1.01  # one level, where a half is rounded the other way
    heatmaps = torch.from_numpy(rng.normal(size=(5, 68, 64, 48)).astype(np.float32))
    decoding = decoding_for(68, "Combined")
    expected = decode_heatmaps(heatmaps, padded, decoding=decoding)
    found = decode_heatmaps(heatmaps.cuda(), padded, decoding=decoding)
    torch.testing.assert_close(found.xy.cpu(), expected.xy, atol=0.01, rtol=0)
    torch.testing.assert_close(found.scores.cpu(), expected.scores, atol=1e-4, rtol=0)
