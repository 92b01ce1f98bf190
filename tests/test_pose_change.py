"""The default estimator changes where weights are fetched: what an output with MediaPipe poses is told, and pays."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from arms_tagging import ArmsTagWorker, arms_named
from tag_rows import video_row, write_rows
from tiny_poses import FINGERPRINT, EachWorker

from choreai.cli import extract as extract_command
from choreai.cli import tag as tag_command
from choreai.cli.flags import extract_parser, tag_parser
from choreai.pose.choice import follow, settle
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.tables import schemas
from choreai.tables.parts import list_parts, part_uri, write_part
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest
from choreai.weights.cache import Cache
from choreai.weights.catalogue import read_catalogue


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An output with MediaPipe poses of two of three videos; since then crowd's weights were fetched here."""
    monkeypatch.setenv("CHOREAI_WEIGHTS", str(tmp_path / "cache"))
    cache = Cache(tmp_path / "cache")
    cache.folder.mkdir()
    for entry in read_catalogue().expand(["crowd-cpu"]):
        with cache.path_of(entry).open("wb") as file:
            file.truncate(entry.num_bytes)
    output = str(tmp_path / "out")
    rows = [video_row(name, run_id="20261101T020000Z-aaaaaa", duration=1800.0) for name in ("a", "b")]
    write_rows(output, "videos", FINGERPRINT, "0", rows)
    poses = part_uri(output, "keypoints", FINGERPRINT, "s1")  # without it they would count as lost
    assert write_part(poses, schemas.KEYPOINTS.empty_table(), tmp_path / "poses")
    config = {"workers": {"num_cpus": 1.0, "num_gpus": 0.0}, "pose": {"estimator": "mediapipe"}}
    run = RunManifest("extract_poses", "20261101T020000Z-aaaaaa", config, FINGERPRINT)
    run.add(ShardReport("s", True, {}, (), 80, 80, 3600.0, 0, "host-1:1"))
    run.wall_seconds = 3600.0
    run.write(output)
    return output


@pytest.fixture
def catalog(tmp_path: Path) -> str:
    rows = ["video_id,uri,content_id", *(f"{name},/{name}.mp4,c1" for name in "abc")]
    (tmp_path / "catalog.csv").write_text("\n".join(rows))
    return str(tmp_path / "catalog.csv")


def extract(catalog: str, output: str, *flags: str) -> int:
    parsed = extract_parser(None).parse_args([catalog, "--output", output, "--num-workers", "1", *flags])
    return extract_command.run(parsed, worker=EachWorker)


def tag(catalog: str, output: str, *flags: str) -> int:
    parsed = tag_parser(None).parse_args([catalog, "--output", output, "--num-workers", "1", "--model", "m", *flags])
    return tag_command.run(parsed, pose_worker=EachWorker, tag_worker=ArmsTagWorker)


def job_file(tmp_path: Path, estimator: str) -> list[str]:
    (tmp_path / "job.toml").write_text(f'[pose]\nestimator = "{estimator}"\n')
    return ["--config", str(tmp_path / "job.toml")]


LINE = (
    'estimator = "auto" is crowd here now, so 2 videos with mediapipe poses must be extracted again, about 3 hours of '
    'one worker; estimator = "mediapipe" in [pose] keeps the old poses'
)
"""An hour was measured for two videos, with MediaPipe."""


@pytest.mark.usefixtures("mediapipe")
def test_a_dry_run_says_what_the_new_default_costs_before_anybody_pays(
    catalog: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract(catalog, output, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert LINE in printed
    assert "with mediapipe; times 3" in printed
    assert extract(catalog, output, "--dry-run", *job_file(tmp_path, "mediapipe")) == 0
    printed = capsys.readouterr().out
    assert "must be extracted again" not in printed
    assert "times 3" not in printed


def test_the_setting_that_the_line_names_keeps_the_old_poses(
    catalog: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract(catalog, output, "--dry-run", *job_file(tmp_path, "mediapipe")) == 0
    assert [line.split("│")[2].strip() for line in capsys.readouterr().out.splitlines() if "to extract" in line] == [
        "1"
    ]


@pytest.fixture
def local_ray() -> Iterator[None]:
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},  # for the worker class
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.usefixtures("mediapipe", "local_ray")
def test_a_real_run_says_it_in_one_line_and_once(catalog: str, output: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="choreai")
    assert extract(catalog, output) == 1  # the videos are not there: all are quarantined
    assert [record.getMessage() for record in caplog.records if "estimator" in record.getMessage()] == [LINE]
    assert list_parts(output, "keypoints", "crowd-poses")
    caplog.clear()
    extract(catalog, output)
    assert "estimator" not in caplog.text


@pytest.mark.usefixtures("mediapipe")
def test_tagging_follows_the_estimator_of_the_models_training(
    catalog: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tag(catalog, output, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "must be extracted again" not in printed
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in printed.splitlines() if "│" in line}
    assert rows["videos to extract"] == "1"
    assert rows["other pose settings than before"] == "0"
    # A job file that names an estimator is obeyed, and the model refused.
    named = [*job_file(tmp_path, "crowd")]
    Path(named[1]).write_text(
        '[pose]\nestimator = "crowd"\ncheckpoint = "weights:rtmpose-s"\ndetector_checkpoint = "weights:yolox_tiny"\n'
    )
    with pytest.raises(Exception, match=f"trained on poses {FINGERPRINT}, but this job's settings make crowd-poses"):
        tag(catalog, output, "--dry-run", *named)


@pytest.mark.usefixtures("mediapipe")
def test_what_auto_follows_is_the_first_candidate_with_these_poses(output: str) -> None:
    def followed(pose_id: str, **settings: str) -> str:
        asked = PoseSettings(**settings)  # type: ignore[arg-type]
        kept = follow(asked, pose_id, fingerprint=EachWorker.fingerprint, read_file=objects.read_object)
        return settle(kept, read_file=objects.read_object).estimator

    assert arms_named("m").config.pose_fingerprint == FINGERPRINT
    assert followed(FINGERPRINT) == "mediapipe"
    assert followed("crowd-poses") == "crowd"
    assert followed("of another machine") == "crowd"  # the recommended one; the job then refuses the model
    assert followed("crowd-poses", estimator="mediapipe") == "mediapipe"
