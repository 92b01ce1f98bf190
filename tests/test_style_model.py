"""The style model's folder: what comes back from it, and what is refused."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from moving_skeletons import (
    FINGERPRINT,
    STYLES,
    videos_of,
)
from style_examples import WINDOWS, examples_of

from choreai.errors import WeightsError
from choreai.motion.kinematics import FEATURES
from choreai.style.examples import Examples, Inputs
from choreai.style.model import StyleModel, StyleModelConfig, load_model, save_model
from choreai.style.networks import build_network

NO_CONTEXT = np.full((100, len(FEATURES)), np.nan, np.float32)
CONFIG = StyleModelConfig(STYLES, FINGERPRINT, WINDOWS, network="report", hidden_size=8, num_members=2)


def make_model(*, seed: int = 0, config: StyleModelConfig = CONFIG) -> StyleModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        networks = [
            build_network(config.network, num_labels=len(config.labels), hidden_size=config.hidden_size, dropout=0.5)
            for _ in range(config.num_members)
        ]
    return StyleModel(tuple(networks), config, training={"seed": seed})


@pytest.fixture(scope="module")
def examples() -> Examples:
    return examples_of(videos_of(8))


@pytest.fixture
def model() -> StyleModel:
    return make_model()


@pytest.fixture
def model_folder(tmp_path: Path, model: StyleModel) -> Path:
    save_model(str(tmp_path / "m"), model)
    return tmp_path / "m"


def test_a_model_comes_back_with_the_same_scores_and_name(
    model: StyleModel, model_folder: Path, examples: Examples
) -> None:
    back = load_model(str(model_folder))
    scores = [m.window_log_scores(examples.inputs) for m in (back, model)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (back.config, back.model_version) == (model.config, model.model_version)
    assert (back.created_at, back.training) == (model.created_at, model.training)


def test_a_models_name_depends_on_weights_and_config_alone(model: StyleModel) -> None:
    assert replace(model, created_at="some other day", training={}).model_version == model.model_version
    others = [
        make_model(seed=1),
        replace(model, config=replace(model.config, labels=("x", "y", "z"))),
        replace(model, config=replace(model.config, pose_fingerprint="f" * 16)),
        replace(model, config=replace(model.config, windows=replace(WINDOWS, stride_seconds=2.0))),
        replace(model, config=replace(model.config, temperature=2.0)),
        replace(model, config=replace(model.config, unknown_below=0.5)),
        replace(model, networks=model.networks[::-1]),
    ]
    assert len({m.model_version for m in [model, *others]}) == 8


def test_saving_again_leaves_the_model_that_is_there(model: StyleModel, model_folder: Path) -> None:
    before = (model_folder / "model.json").read_bytes()
    save_model(str(model_folder), replace(model, created_at="later"))
    assert (model_folder / "model.json").read_bytes() == before


def test_scores_are_the_mean_of_the_networks_probabilities(model: StyleModel, examples: Examples) -> None:
    alone = [
        StyleModel((network,), replace(CONFIG, num_members=1)).window_log_scores(examples.inputs)
        for network in model.networks
    ]
    together = np.exp(model.window_log_scores(examples.inputs))
    np.testing.assert_allclose(together, (np.exp(alone[0]) + np.exp(alone[1])) / 2, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)
    assert model.window_log_scores(examples.inputs.take(slice(0, 0))).shape == (0, 3)


def test_scores_do_not_depend_on_the_windows_beside(model: StyleModel, examples: Examples) -> None:
    many = Inputs.concat([examples.inputs] * 5)  # more than a batch
    np.testing.assert_allclose(
        model.window_log_scores(many)[-3:], model.window_log_scores(examples.inputs.take(slice(-3, None))), atol=1e-5
    )


def test_a_higher_temperature_makes_scores_more_modest() -> None:
    log_scores = np.log(np.array([[0.8, 0.15, 0.05], [1 / 3, 1 / 3, 1 / 3]], np.float32))
    plain, modest = (make_model(config=replace(CONFIG, temperature=t)).calibrated(log_scores) for t in (1.0, 2.0))
    np.testing.assert_allclose(plain, np.exp(log_scores), atol=1e-6)
    wanted = np.sqrt([0.8, 0.15, 0.05]) / np.sqrt([0.8, 0.15, 0.05]).sum()
    np.testing.assert_allclose(modest, [wanted, [1 / 3] * 3], atol=1e-6)


def test_windows_of_another_shape_are_refused(model: StyleModel) -> None:
    longer = np.zeros((1, 100, 51), np.float32)
    with pytest.raises(ValueError, match=r"windows must be \(W, 40, 51\)"):
        model.window_log_scores(Inputs(longer, longer, NO_CONTEXT[:1]))


def test_a_pickle_is_refused_and_never_unpickled(tmp_path: Path, model_folder: Path) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trap,)

    (tmp_path / "weights.pth").write_bytes(pickle.dumps(Trap()))
    (model_folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    for uri in (tmp_path / "weights.pth", model_folder):
        with pytest.raises(WeightsError):
            load_model(str(uri))
    assert not trap.exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no model\.json here"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("num_bytes", [0, 7, 100, 5000])
def test_a_truncated_weights_file_is_refused(model_folder: Path, num_bytes: int) -> None:
    weights = model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:num_bytes])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_model(str(model_folder))


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "dtype"])
def test_weights_that_do_not_fit_are_named(model_folder: Path, change: str) -> None:
    path = model_folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    bias = weights.pop("1.classify.bias")
    if change == "extra":
        weights |= {"1.classify.bias": bias, "2.classify.bias": bias.clone()}
    if change == "shape":
        weights["1.classify.bias"] = torch.zeros(7)
    if change == "dtype":
        weights["1.classify.bias"] = bias.double()
    path.write_bytes(safetensors.torch.save(weights))
    with pytest.raises(WeightsError, match=r"2\.classify\.bias" if change == "extra" else r"1\.classify\.bias"):
        load_model(str(model_folder))


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "not finite"), (3.0, "was changed")])
def test_changed_weights_are_refused(model_folder: Path, value: float, message: str) -> None:
    path = model_folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    weights["1.classify.bias"][0] = value
    path.write_bytes(safetensors.torch.save(weights))
    with pytest.raises(WeightsError, match=message):
        load_model(str(model_folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "something"}, "format 'something'"),
        ({"schema_version": 1}, "schema version 1"),
        ({"model_version": "lstm-000000000000"}, "was changed"),
        ({"config": None}, "the config in model.json is wrong"),
        ({"config": {"labels": ["a", "b"]}}, "the config in model.json is wrong"),
    ],
)
def test_a_description_that_is_not_ours_is_refused(model_folder: Path, change: dict[str, object], message: str) -> None:
    path = model_folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match=message):
        load_model(str(model_folder))


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 10**9},
        {"hidden_size": "8"},
        {"depth": 3},
        {"labels": ["a"]},
        {"network": "other"},
        {"num_members": 3},
        {"temperature": 0},
        {"unknown_below": 2},
        {"parents": {"waltz": "ballroom"}},
        {"references": {"waltz": {"median": {}, "spread": {}, "num_videos": 3}}},
        {"references": [1]},
    ],
)
def test_a_config_that_does_not_fit_is_refused(model_folder: Path, change: dict[str, object]) -> None:
    path = model_folder / "model.json"
    description = json.loads(path.read_text())
    description["config"] |= change
    path.write_text(json.dumps(description))
    with pytest.raises(WeightsError):
        load_model(str(model_folder))


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b'"model"'])
def test_a_description_that_is_no_json_object_is_refused(model_folder: Path, content: bytes) -> None:
    (model_folder / "model.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.json"):
        load_model(str(model_folder))
