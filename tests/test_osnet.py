"""OSNet-AIN: keys, size, answers, and the files it is loaded from."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from golden import make_golden
from torch.utils.flop_counter import FlopCounterMode

from choreai.errors import WeightsError
from choreai.pose.osnet import FEATURE_SIZE, OSNet, compute_features, load_reid_network

KEYS = Path(__file__).resolve().parents[2] / "shared" / "alphapose" / "keys" / "osnet_ain_x1_0.json"

State = dict[str, torch.Tensor]

EVERY_16TH_FEATURE = [
    *[0.1314618, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    *[0.1355, 0.0, 0.27944034, 0.25540975, 0.0, 0.4073872, 0.53216165, 0.0],
    *[0.0, 0.09642602, 0.14119978, 0.01921477, 0.6247858, 0.0, 0.0, 0.0],
    *[0.0, 0.72310317, 0.0, 0.07440505, 0.25182125, 0.0, 0.17249428, 0.09253672],
]
"""Of `make_golden.golden_input`, with weights by `make_golden.fill_tensor`. Torchreid 0.2.5's network (MIT) answered
the same to the last bit."""


def filled_state() -> State:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in OSNet().state_dict().items()}
    norms = {key.rpartition(".")[0] for key in shapes if key.endswith("running_mean")}
    return {
        key: make_golden.fill_tensor(key, shape, is_batch_norm=key.rpartition(".")[0] in norms)
        for key, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def state() -> State:
    return filled_state()


@pytest.fixture(scope="module")
def network(state: State) -> torch.nn.Module:
    return load_reid_network(saved(state)).module


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.shared
@pytest.mark.skipif(not KEYS.exists(), reason=f"{KEYS} is absent")
def test_every_key_and_shape_is_as_in_the_published_network() -> None:
    facts = json.loads(KEYS.read_text())
    with torch.device("meta"):
        network = OSNet().eval()
    published = {key: (shape, dtype) for key, shape, dtype in facts["state_dict"]}
    classifier = [published.pop(key)[0] for key in ("classifier.weight", "classifier.bias")]
    assert classifier == [[1, FEATURE_SIZE], [1]]
    assert {k: (list(v.shape), str(v.dtype)) for k, v in network.state_dict().items()} == published
    assert sum(p.numel() for p in network.parameters()) + FEATURE_SIZE + 1 == facts["params"]
    answer = network(torch.empty(1, *facts["in"], device="meta"))
    assert list(answer.shape[1:]) == facts["out"]


def test_parameters_and_operations_are_those_of_the_paper() -> None:
    """2.2 million and, on the paper's 256x128 images, 978.9 million multiplications (arXiv:1905.00953, table 1)."""
    with torch.device("meta"):
        network = OSNet().eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 256, 128, device="meta"))
    assert sum(p.numel() for p in network.parameters()) == 2_169_508
    assert counter.get_total_flops() / 2 == pytest.approx(978.9e6, rel=1e-4)


def test_features_are_what_they_were(network: torch.nn.Module) -> None:
    features = compute_features(network, make_golden.golden_input())
    assert features.shape == (1, FEATURE_SIZE)
    torch.testing.assert_close(features[0, ::16], torch.tensor(EVERY_16TH_FEATURE), atol=1e-5, rtol=0)


def test_a_crops_features_do_not_depend_on_its_batch(network: torch.nn.Module) -> None:
    crops = torch.randn(7, 3, 256, 192, generator=torch.Generator().manual_seed(0))
    together = compute_features(network, crops)
    assert torch.equal(together, compute_features(network, crops))
    one_by_one = torch.cat([compute_features(network, crop[None]) for crop in crops])
    torch.testing.assert_close(one_by_one, together, atol=1e-5, rtol=0)


def test_nobody_has_no_features_and_a_black_crop_has_finite_ones(network: torch.nn.Module) -> None:
    assert compute_features(network, torch.empty(0, 3, 256, 192)).shape == (0, FEATURE_SIZE)
    assert compute_features(network, torch.full((1, 3, 256, 192), -0.45)).isfinite().all()


def test_half_precision_weights_answer_in_float32(state: State) -> None:
    network = load_reid_network(saved(state)).module.bfloat16()
    assert compute_features(network, make_golden.golden_input()).dtype == torch.float32


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda state: state,
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 50},
        lambda state: {**state, "classifier.weight": torch.zeros(4101, 512), "classifier.bias": torch.zeros(4101)},
        lambda state: {key: value for key, value in state.items() if "num_batches" not in key},
        lambda state: {key: value.double() for key, value in state.items()},
    ],
    ids=["plain", "module.", "state_dict", "classifier", "no counters", "float64"],
)
def test_the_usual_wrappings_of_a_checkpoint_are_seen_through(rewrite: Callable[[State], object], state: State) -> None:
    data = saved(rewrite(state))
    loaded = load_reid_network(data)
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()
    assert not loaded.module.training
    weights = loaded.module.state_dict()
    assert weights.keys() == state.keys()
    assert all(torch.equal(weights[k], v) for k, v in state.items() if "num_batches" not in k)
    assert {value.dtype for value in loaded.module.parameters()} == {torch.float32}


class RunsCode:
    """What unpickling must not do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_a_checkpoint_with_code_is_refused_and_its_code_not_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="code, which is never run"):
        load_reid_network(saved({"state_dict": {}, "args": RunsCode(tmp_path / "was-run")}))
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (lambda state: {k: v for k, v in state.items() if k != "conv4.0.IN.bias"}, r"Missing key.*conv4\.0\.IN\.bias"),
        (lambda state: {**state, "conv6.weight": torch.zeros(1)}, r"Unexpected key.*conv6\.weight"),
        (lambda state: {**state, "conv1.conv.weight": torch.zeros(48, 3, 7, 7)}, r"size mismatch.*conv1\.conv\.weight"),
        (lambda state: {**state, "fc.0.bias": torch.full((512,), torch.nan)}, r"fc\.0\.bias has values that are not"),
        (lambda state: {"conv1.weight": torch.zeros(64, 3, 7, 7)}, "do not fit"),
    ],
    ids=["missing", "extra", "other width", "nan", "other network"],
)
def test_weights_that_do_not_fit_are_named(rewrite: Callable[[State], object], message: str, state: State) -> None:
    with pytest.raises(WeightsError, match=message):
        load_reid_network(saved(rewrite(state)))


def test_a_cut_or_missing_file_is_a_weights_error(tmp_path: Path, state: State) -> None:
    data = saved(state)
    with pytest.raises(WeightsError, match="truncated"):
        load_reid_network(data[: len(data) // 2])
    with pytest.raises(WeightsError, match=r"nowhere\.pth"):
        load_reid_network(tmp_path / "nowhere.pth")
