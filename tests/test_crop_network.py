"""An AlphaPose network on crops: batch sizes, precision, the flip test."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from topdown_fakes import CPU, FASTPOSE, FakeDetector, TinyNetwork, estimator_of, spotted

from choreai.errors import ConfigError, WeightsError
from choreai.pose.alphapose.checkpoint import PoseNetwork
from choreai.pose.alphapose.crop_network import AlphaPoseNetwork, bucket_for

# ---------------------------------------------------------------- an AlphaPose network's batches and precision


def alphapose_network(module: TinyNetwork, **options: Any) -> AlphaPoseNetwork:
    architecture = replace(FASTPOSE, num_keypoints=module.conv.out_channels)
    network = PoseNetwork(module.eval(), architecture, "MSELoss", "0" * 64)
    return AlphaPoseNetwork(network, device=CPU, largest_batch=8, **options)


def bright_crops(num_people: int) -> torch.Tensor:
    crops = torch.zeros(num_people, 3, 256, 192)
    for person in range(num_people):
        crops[person, :, 100 + 4 * person : 104 + 4 * person, 80:84] = 1
    return crops


def test_a_network_of_26_keypoints_gives_the_17_of_coco() -> None:
    network = alphapose_network(TinyNetwork(num_keypoints=26))
    boxes = [(0.0, 0.0, 192.0, 256.0)]
    (poses,) = estimator_of(FakeDetector([boxes]), network).estimate([spotted([(90, 90)])])
    assert network.num_keypoints == 26
    assert poses.keypoints_xy.shape == (1, 17, 2)


def test_the_flip_test_of_a_network_of_two_sets_is_that_of_the_first() -> None:
    torch.manual_seed(0)
    alone, both = TinyNetwork(num_keypoints=17), TinyNetwork(num_keypoints=33)
    with torch.no_grad():
        torch.nn.init.normal_(alone.conv.weight)
        both.conv.weight[:17] = alone.conv.weight
    found = alphapose_network(both, flip=True).find_keypoints(bright_crops(3))
    expected = alphapose_network(alone, flip=True).find_keypoints(bright_crops(3))
    torch.testing.assert_close(found.xy, expected.xy)
    torch.testing.assert_close(found.scores, expected.scores)


def test_flipping_keypoints_without_known_mirror_images_is_refused() -> None:
    architecture = replace(FASTPOSE, num_keypoints=33)
    network = PoseNetwork(TinyNetwork(num_keypoints=33).eval(), architecture, "L1JointRegression", "0" * 64)
    with pytest.raises(ConfigError, match="flip: no mirror pairs known for 33 keypoints"):
        AlphaPoseNetwork(network, device=CPU, largest_batch=8, flip=True)


def test_a_hand_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="21 keypoints"):
        alphapose_network(TinyNetwork(num_keypoints=21))


@pytest.mark.parametrize("num_people", [1, 3, 8])
def test_crops_are_padded_to_few_sizes_where_each_size_is_compiled(monkeypatch: pytest.MonkeyPatch, num_people) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    module = TinyNetwork()
    found = alphapose_network(module, compiled=True).find_keypoints(bright_crops(num_people))
    expected = alphapose_network(TinyNetwork()).find_keypoints(bright_crops(num_people))
    torch.testing.assert_close(found.xy, expected.xy)
    assert module.batches[0] == {1: 1, 3: 4, 8: 8}[num_people]


def test_buckets_are_powers_of_two_up_to_the_largest() -> None:
    assert [bucket_for(n, largest=12) for n in range(13)] == [0, 1, 2, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12]


def test_low_precision_that_keeps_keypoints_is_used_after_its_check(caplog: pytest.LogCaptureFixture) -> None:
    module = TinyNetwork()
    network = alphapose_network(module, precision="bf16")
    with caplog.at_level("INFO"):
        for _ in range(4):
            network.find_keypoints(bright_crops(8))
    assert "the faster pose network passed the check: 272 keypoints lie 0.000 crop pixels" in caplog.text
    # 2 x 8 crops with the exact network beside it make 272 keypoints; after that it is alone.
    assert len(module.batches) == 6


def test_low_precision_that_moves_keypoints_is_refused_with_the_distance() -> None:
    network = alphapose_network(TinyNetwork(cells_off=1), precision="bf16")
    network.find_keypoints(bright_crops(8))  # too few to judge by
    with pytest.raises(ConfigError, match=r"lie 4\.\d+ crop pixels .*allowed: 0.5"):
        network.find_keypoints(bright_crops(8))


def test_flipping_averages_both_sides() -> None:
    crops = bright_crops(2)
    plain = alphapose_network(TinyNetwork()).find_keypoints(crops)
    flipped = alphapose_network(TinyNetwork(), flip=True).find_keypoints(crops)
    assert (flipped.scores < plain.scores).all()  # a spot off the middle is one of two peaks
