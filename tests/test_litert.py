"""Networks in .tflite files: what they answer, what is left out of them, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from blazepose_files import find_blazepose_files

from choreai.errors import ConfigError, WeightsError
from choreai.pose.blazepose import BlazePoseNetwork
from choreai.pose.build_blazepose import MASK_SHAPE
from choreai.pose.detectors.blazepose import BlazePoseDetector
from choreai.pose.litert import LiteRtNetwork


@pytest.fixture(scope="module")
def files() -> tuple[Path, Path]:
    return find_blazepose_files()


def test_a_network_without_an_output_answers_the_others_to_the_last_bit(files: tuple[Path, Path]) -> None:
    data = files[1].read_bytes()
    whole = LiteRtNetwork(data, num_threads=1)
    pruned = LiteRtNetwork(data, num_threads=1, unwanted={MASK_SHAPE})
    assert set(whole.output_shapes.values()) - set(pruned.output_shapes.values()) == {MASK_SHAPE}
    assert pruned.sha256 == whole.sha256
    images = np.random.default_rng(0).random((2, 3, *pruned.size_hw), np.float32)
    expected = dict(zip(whole.output_shapes, whole.run(images), strict=True))
    for name, answer in zip(pruned.output_shapes, pruned.run(images), strict=True):
        assert answer.dtype == np.float32
        np.testing.assert_array_equal(answer, expected[name])


def test_no_images_have_answers_of_no_rows(files: tuple[Path, Path]) -> None:
    network = LiteRtNetwork(files[0].read_bytes(), num_threads=1)
    answers = network.run(np.zeros((0, 3, *network.size_hw), np.float32))
    assert [answer.shape for answer in answers] == [(0, *shape) for shape in network.output_shapes.values()]


def test_one_network_is_not_taken_for_the_other(files: tuple[Path, Path]) -> None:
    detector, landmarks = (LiteRtNetwork(file.read_bytes(), num_threads=1) for file in files)
    with pytest.raises(WeightsError, match="BlazePose's detector answers"):
        BlazePoseDetector(landmarks, min_score=0.5)
    with pytest.raises(WeightsError, match="BlazePose's landmark network answers"):
        BlazePoseNetwork(detector)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"no network", lambda data: data[: len(data) // 2]])
def test_a_damaged_file_is_a_weights_error(damage, files: tuple[Path, Path]) -> None:
    with pytest.raises(WeightsError, match=r"not a \.tflite network that can be run"):
        LiteRtNetwork(damage(files[1].read_bytes()), num_threads=1)


def test_without_litert_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ConfigError, match=r'pip install "choreai\[litert\]"'):
        LiteRtNetwork(b"", num_threads=1)


def test_opening_a_network_writes_nothing_to_stderr(files: tuple[Path, Path]) -> None:
    script = (
        "import sys, pathlib; from choreai.pose.litert import LiteRtNetwork; "
        "LiteRtNetwork(pathlib.Path(sys.argv[1]).read_bytes(), num_threads=1)"
    )
    run = subprocess.run([sys.executable, "-c", script, str(files[1])], capture_output=True, text=True, check=True)
    assert run.stderr == ""
