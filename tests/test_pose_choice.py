"""Names of weights and the estimator "auto": which files they are here, and how workers come by them."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from choreai.cli.main import main
from choreai.config import ExtractConfig
from choreai.errors import ConfigError, WeightsError
from choreai.pipeline.pose_files import settle_poses, share_weights
from choreai.pose.choice import candidates, settle
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.weights.cache import Cache
from choreai.weights.catalogue import read_catalogue

WITHOUT_CROWD = "mediapipe" if find_spec("mediapipe") else "blazepose"
NAMED: dict[str, Any] = {"checkpoint": "weights:rtmpose-s", "detector_checkpoint": "weights:yolox_tiny"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """An empty one, and the one that the environment names."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("CHOREAI_WEIGHTS", str(folder))
    return Cache(folder)


def put(cache: Cache, *names: str) -> list[str]:
    """Put files of the right names and sizes into the cache, and return their paths."""
    entries = read_catalogue().expand(names)
    for entry in entries:
        with cache.path_of(entry).open("wb") as file:
            file.truncate(entry.num_bytes or 1)
    return [str(cache.path_of(entry)) for entry in entries]


def settled(**settings: Any) -> PoseSettings:
    return settle(PoseSettings(**settings), read_file=objects.read_object)


# ---- Names ----


def test_names_of_weights_are_files_of_the_cache(cache: Cache) -> None:
    detector, network = put(cache, "crowd-cpu")
    (reid,) = put(cache, "osnet_x0_25")
    found = settled(estimator="crowd", **NAMED, reid_checkpoint="weights:osnet_x0_25")
    files: dict[str, Any] = {"checkpoint": network, "detector_checkpoint": detector, "reid_checkpoint": reid}
    assert found == PoseSettings(estimator="crowd", **files)
    assert settled(estimator="alphapose", **NAMED).checkpoint == network


def test_all_missing_weights_are_named_with_the_command_that_fetches_them(cache: Cache) -> None:
    put(cache, "crowd-cpu")
    with pytest.raises(WeightsError, match=r"rtmpose-m .*`choreai weights fetch rtmpose-m`"):
        settled(estimator="crowd", **{**NAMED, "checkpoint": "weights:rtmpose-m"})
    for file in cache.folder.iterdir():
        file.unlink()
    with pytest.raises(WeightsError, match="`choreai weights fetch rtmpose-s yolox_tiny`"):
        settled(estimator="crowd", **NAMED)


def test_weights_of_the_wrong_kind_are_refused(cache: Cache) -> None:
    put(cache, "crowd-cpu")
    with pytest.raises(ConfigError, match="yolox_tiny is of kind detector, not pose"):
        settled(estimator="crowd", **{**NAMED, "checkpoint": "weights:yolox_tiny"})
    with pytest.raises(ConfigError, match="no weights are called 'yolox'"):
        settled(estimator="crowd", **{**NAMED, "detector_checkpoint": "weights:yolox"})


def test_auto_fetch_fetches_what_is_missing_from_the_mirror(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOREAI_WEIGHTS_MIRROR", str(tmp_path / "mirror"))
    mirror = Cache(tmp_path / "mirror")
    mirror.folder.mkdir()
    put(mirror, "crowd-cpu")
    with pytest.raises(WeightsError, match=r"rtmpose-s: .* has other bytes"):  # so it was asked
        settled(estimator="auto", auto_fetch=True)


@pytest.mark.parametrize("command", ["extract", "tag", "train", "show", "serve", "pose"])
def test_every_command_ends_with_2_before_it_does_anything(
    cache: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    job = tmp_path / "job.toml"
    pose = "\n".join(f'{name} = "{value}"' for name, value in NAMED.items())
    job.write_text(f'[pose]\nestimator = "crowd"\n{pose}\n')
    (tmp_path / "videos").mkdir()
    (tmp_path / "dance.mp4").touch()
    output = str(tmp_path / "out")
    arguments = {
        "pose": ["--checkpoint", NAMED["checkpoint"], "--detector-checkpoint", NAMED["detector_checkpoint"],
                 "--video", str(tmp_path / "dance.mp4"), "--outdir", output],
        "show": [str(tmp_path / "dance.mp4"), "--config", str(job), "--to", output],
        "serve": ["--config", str(job), "--data", output],
    }.get(command, [str(tmp_path / "videos"), "--output", output, "--config", str(job)])  # fmt: skip
    assert main([command, *arguments]) == 2
    assert "choreai weights fetch rtmpose-s yolox_tiny" in capsys.readouterr().err
    assert not Path(output).exists()


# ---- Workers ----


def test_workers_on_other_nodes_read_copies_under_the_output(cache: Cache, store_uri: str, tmp_path: Path) -> None:
    (cache.folder / "a.onnx").write_bytes(b"network")
    (tmp_path / "b.onnx").write_bytes(b"a file of the user's own")
    files: dict[str, Any] = {
        "checkpoint": str(cache.folder / "a.onnx"),
        "detector_checkpoint": str(tmp_path / "b.onnx"),
    }
    settings = PoseSettings(estimator="crowd", **files)
    shared = share_weights(settings, store_uri)
    assert share_weights(settings, store_uri) == shared
    assert shared.checkpoint == f"{store_uri}/weights/a.onnx"
    assert shared.detector_checkpoint == str(tmp_path / "b.onnx")
    (cache.folder / "a.onnx").unlink()
    assert objects.read_object(shared.checkpoint) == b"network"


def test_workers_get_an_estimator_and_files_whatever_the_driver_was_asked_for(cache: Cache) -> None:
    detector, network = put(cache, "crowd-cpu")
    config = settle_poses(ExtractConfig("catalog.csv", "out"))
    assert config.pose == PoseSettings(estimator="crowd", detector_checkpoint=detector, checkpoint=network)
    for file in cache.folder.iterdir():
        file.unlink()
    if WITHOUT_CROWD == "blazepose":
        put(cache, "blazepose")
    assert settle_poses(ExtractConfig("catalog.csv", "out")).pose.estimator == WITHOUT_CROWD


# ---- auto ----


@pytest.mark.usefixtures("mediapipe")
def test_auto_is_mediapipe_with_a_line_that_says_what_is_missing_and_how_to_get_it(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    assert settled(estimator="auto") == PoseSettings(estimator="mediapipe")
    (line,) = caplog.messages
    assert line == (
        "poses by MediaPipe, one person per frame: detector_checkpoint (yolox_tiny) and checkpoint (rtmpose-s) "
        "missing; `choreai weights fetch crowd-cpu` gets what finds dancers in a crowd"
    )


@pytest.mark.skipif(WITHOUT_CROWD == "mediapipe", reason="MediaPipe is installed")
def test_auto_is_blazepose_where_only_litert_is_installed(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(WeightsError, match="`choreai weights fetch blazepose-full blazepose-det`"):
        settled(estimator="auto")
    detector, network = put(cache, "blazepose")
    found = settled(estimator="auto", flip=True)  # which is AlphaPose's
    files: dict[str, Any] = {"detector_checkpoint": detector, "checkpoint": network}
    assert found == PoseSettings(estimator="blazepose", device="cpu", preprocessing="unit", **files)
    assert "choreai weights fetch crowd-cpu" in caplog.messages[-1]


@pytest.mark.usefixtures("mediapipe")
def test_auto_is_blazepose_rather_than_mediapipe_where_its_files_were_fetched(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("ai_edge_litert", reason="the litert extra is not installed")
    assert settled(estimator="auto").estimator == "mediapipe"
    put(cache, "blazepose")
    found = settled(estimator="auto", device="cuda", detect_every=2, max_people=3)  # cuda and detect_every are crowd's
    assert (found.estimator, found.max_people) == ("blazepose", 3)
    asked = PoseSettings(estimator="auto")
    able = [each.estimator for each in candidates(asked, read_file=objects.read_object)]
    assert able == ["blazepose", "mediapipe"], "poses that MediaPipe made can still be followed"
    assert "poses by BlazePose" in caplog.messages[-1]


def test_auto_is_crowd_where_its_files_are_at_hand(
    cache: Cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"checkpoint": tmp_path / "pose.onnx", "detector_checkpoint": tmp_path / "detector.onnx"}
    for file in files.values():
        file.write_bytes(b"network")
    named: dict[str, Any] = {name: str(file) for name, file in files.items()}
    assert settled(estimator="auto", **named) == PoseSettings(estimator="crowd", **named)
    assert not caplog.messages
    files["checkpoint"].unlink()
    if WITHOUT_CROWD == "blazepose":
        put(cache, "blazepose")
    assert settled(estimator="auto", **named).estimator == WITHOUT_CROWD
    assert f"checkpoint ({files['checkpoint']}) missing" in caplog.text


@pytest.mark.parametrize("name", ["crowd-cpu", "crowd-small", "crowd-gpu"])
def test_auto_takes_a_set_that_was_fetched(cache: Cache, name: str) -> None:
    detector, network = put(cache, name)
    chosen = settled(estimator="auto")
    assert chosen == PoseSettings(estimator="crowd", detector_checkpoint=detector, checkpoint=network)


def test_auto_adds_the_network_that_the_settings_leave_out(cache: Cache) -> None:
    detector, network = put(cache, "yolox_s", "rtmpose-s")
    chosen = settled(estimator="auto", detector_checkpoint="weights:yolox_s")
    assert chosen == PoseSettings(estimator="crowd", detector_checkpoint=detector, checkpoint=network)
