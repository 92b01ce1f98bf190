"""The networks: what they read, what they do not, and that they learn."""

import numpy as np
import pytest
import torch

from choreai.motion.kinematics import FEATURES
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.style.examples import Inputs
from choreai.style.networks import SeedLSTM, StyleLSTM, build_network

NUM_STEPS = 45
NUM_LABELS = 3


def inputs_of(num_windows: int, *, seed: int = 0, num_steps: int = NUM_STEPS) -> Inputs:
    """Everything random, all scores 0.9."""
    rng = np.random.default_rng(seed)
    keypoints = rng.standard_normal((num_windows, num_steps, NUM_KEYPOINTS, 3)).astype(np.float32)
    keypoints[..., 2] = 0.9
    xyz = rng.standard_normal((num_windows, num_steps, 3 * NUM_KEYPOINTS)).astype(np.float32)
    features = rng.standard_normal((num_windows, len(FEATURES))).astype(np.float32)
    return Inputs(keypoints.reshape(num_windows, num_steps, -1), xyz, features)


def network_for(inputs: Inputs, kind="style", *, seed: int = 0) -> SeedLSTM | StyleLSTM:
    """With random weights throughout: the linear layers of a fresh one are zero."""
    torch.manual_seed(seed)
    network = build_network(kind, num_labels=NUM_LABELS, hidden_size=8, dropout=0.5)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.standardise(inputs).eval()


@torch.inference_mode()
def logits_of(network: torch.nn.Module, inputs: Inputs) -> np.ndarray:
    return network(*(torch.from_numpy(a) for a in (inputs.steps, inputs.xyz, inputs.kinematic_features))).numpy()


def changed(inputs: Inputs, **arrays: np.ndarray) -> Inputs:
    parts = {"steps": inputs.steps, "xyz": inputs.xyz, "kinematic_features": inputs.kinematic_features} | arrays
    return Inputs(**parts)


@pytest.mark.parametrize("kind", ["style", "report"])
@pytest.mark.parametrize("num_steps", [45, 8, 100])
def test_every_window_gets_a_logit_per_label(kind, num_steps) -> None:
    inputs = inputs_of(5, num_steps=num_steps)
    logits = logits_of(network_for(inputs, kind), inputs)
    assert logits.shape == (5, NUM_LABELS)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("kind", ["style", "report"])
def test_a_window_gets_the_same_scores_alone_and_among_others(kind) -> None:
    inputs = inputs_of(5)
    network = network_for(inputs, kind)
    alone = np.concatenate([logits_of(network, inputs.take(slice(i, i + 1))) for i in range(5)])
    np.testing.assert_allclose(logits_of(network, inputs), alone, atol=1e-5)


@pytest.mark.parametrize("name", ["steps", "xyz", "kinematic_features"])
def test_the_default_reads_picture_space_and_kinematics(name) -> None:
    inputs, other = inputs_of(4), inputs_of(4, seed=1)
    network = network_for(inputs)
    without = logits_of(network, changed(inputs, **{name: getattr(other, name)}))
    assert np.abs(without - logits_of(network, inputs)).max() > 0.01


def test_the_report_s_network_reads_the_picture_alone() -> None:
    inputs, other = inputs_of(4), inputs_of(4, seed=1)
    network = network_for(inputs, "report")
    same = changed(inputs, xyz=other.xyz, kinematic_features=other.kinematic_features)
    np.testing.assert_array_equal(logits_of(network, same), logits_of(network, inputs))


def test_how_sure_the_estimator_was_does_not_matter_to_the_default() -> None:
    inputs = inputs_of(4)
    network = network_for(inputs)
    steps = inputs.steps.copy()
    steps[:, :, 2::3] = np.random.default_rng(2).uniform(0.2, 1.0, steps[:, :, 2::3].shape)
    np.testing.assert_array_equal(logits_of(network, changed(inputs, steps=steps)), logits_of(network, inputs))


def test_steps_before_the_track_starts_count_for_little_and_a_pose_held_for_much() -> None:
    """The same dance in a longer window, behind its first pose."""
    inputs = inputs_of(4)
    inputs.steps[:, 1], inputs.xyz[:, 1] = inputs.steps[:, 0], inputs.xyz[:, 0]  # smoothing sees no border
    network = network_for(inputs)
    steps, xyz = (np.concatenate([np.repeat(a[:, :1], 15, 1), a], axis=1) for a in (inputs.steps, inputs.xyz))
    held = logits_of(network, Inputs(steps.copy(), xyz, inputs.kinematic_features))
    steps[:, :15, 2::3] = 0
    unseen = logits_of(network, Inputs(steps, xyz, inputs.kinematic_features))
    expected = logits_of(network, inputs)
    assert np.abs(unseen - expected).mean() < 0.2 * np.abs(held - expected).mean()


def test_place_in_the_picture_does_not_matter_to_the_default() -> None:
    inputs = inputs_of(4)
    network = network_for(inputs)
    assert isinstance(network, StyleLSTM)
    network.stream_scale[:] = 1e6  # all but the statistics and the kinematics: hips may tell travel
    steps = inputs.steps.copy()
    steps[:, :, 0::3] += 2.0
    np.testing.assert_allclose(logits_of(network, changed(inputs, steps=steps)), logits_of(network, inputs), atol=1e-3)


def test_missing_kinematics_count_as_average() -> None:
    inputs = inputs_of(50)
    network = network_for(inputs)
    features = inputs.kinematic_features.copy()
    features[:, 5] = np.nan
    average = inputs.kinematic_features.copy()
    average[:, 5] = inputs.kinematic_features[:, 5].mean()
    np.testing.assert_allclose(
        logits_of(network, changed(inputs, kinematic_features=features)),
        logits_of(network, changed(inputs, kinematic_features=average)),
        atol=1e-5,
    )


def test_a_number_far_off_does_not_rule() -> None:
    inputs = inputs_of(20)
    network = network_for(inputs)
    far, farther = inputs.kinematic_features.copy(), inputs.kinematic_features.copy()
    far[:, 5], farther[:, 5] = 1e3, 1e9
    np.testing.assert_allclose(
        logits_of(network, changed(inputs, kinematic_features=far)),
        logits_of(network, changed(inputs, kinematic_features=farther)),
    )


def test_kinematics_that_nothing_tells_and_an_empty_space_do_no_harm() -> None:
    inputs = inputs_of(6)
    bare = Inputs(inputs.steps, np.zeros_like(inputs.xyz), np.full_like(inputs.kinematic_features, np.nan))
    assert np.isfinite(logits_of(network_for(bare), bare)).all()


@pytest.mark.parametrize("kind", ["style", "report"])
def test_units_of_the_training_windows_do_not_matter(kind) -> None:
    """Standardised by its own training windows, a network says the same of inputs in other units."""
    inputs = inputs_of(30)
    scale = np.ones(3 * NUM_KEYPOINTS, np.float32)
    if kind == "report":
        scale[0::3] = 4.0
    wide = Inputs(inputs.steps * scale, inputs.xyz, inputs.kinematic_features * 7 + 2)
    expected = logits_of(network_for(inputs, kind), inputs)
    np.testing.assert_allclose(logits_of(network_for(wide, kind), wide), expected, atol=1e-3)


@pytest.mark.parametrize("signal", ["steps", "xyz", "kinematic_features"])
def test_the_default_learns_from_each_of_its_inputs(signal) -> None:
    inputs = inputs_of(60)
    labels = torch.arange(60) % 2
    array = getattr(inputs, signal).copy()
    array[1::2] *= 1.6  # larger movements, or kinematics further from the middle
    if signal == "kinematic_features":
        array[1::2] += 1.0
    else:
        array[..., 2::3] = 0.9 if signal == "steps" else array[..., 2::3]
    inputs = changed(inputs, **{signal: array})
    torch.manual_seed(0)
    network = build_network("style", num_labels=2, hidden_size=8, dropout=0.2).standardise(inputs).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    tensors = [torch.from_numpy(a) for a in (inputs.steps, inputs.xyz, inputs.kinematic_features)]
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(*tensors), labels).backward()
        optimizer.step()
    right = logits_of(network.eval(), inputs).argmax(1) == labels.numpy()
    assert right.mean() > 0.95
