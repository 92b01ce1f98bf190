"""The command line as a stranger meets it: quick help, one typing mistake, exit codes, pictures."""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import pytest
from drivers import ROOT

from choreai.cli.main import COMMANDS, DESCRIPTION
from choreai.config import ExtractConfig, TagConfig, TrainConfig, load_config, load_pose_settings
from choreai.demo.dancers import write_clip
from choreai.errors import ConfigError


def choreai(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from choreai.cli.main import run; run()", *arguments],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command) -> None:
    done = choreai(command, "--help")
    assert done.returncode == 0
    assert f"usage: choreai {command}" in done.stdout


def test_help_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; sys.argv = ['choreai', 'extract', '--help']\n"
        "from choreai.cli.main import run\n"
        "try: run()\nexcept SystemExit: pass\n"
        "heavy = {'ray', 'torch', 'mediapipe', 'cv2', 'av', 'pyarrow', 'matplotlib', 'sklearn', 'boto3'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "loaded: []" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("exract",), "invalid choice: 'exract'"),
        (("extract",), "catalog is missing"),
        (("extract", "/nowhere.csv", "--output", "out"), "/nowhere.csv"),
        (("extract", "gs://bucket/x.csv", "--output", "out"), "gs"),
        (("extract", "x.csv", "--output", "out", "--frames-per-second", "0"), "frames_per_second must be in (0, 240]"),
        (("extract", "x.csv", "--output", "out", "--num-workers", "-1"), "num_workers must be 0"),
        (("tag", "x.csv", "--output", "out", "--config", "/nowhere.toml"), "/nowhere.toml: cannot be read"),
        (("show", "/nowhere.mp4"), "no such file"),
        (("compact", "--output", "typo"), "typo: there is no such folder"),
        (("review", "--output", ".", "--import", "/nope.csv"), "/nope.csv"),
        (("convert", "a.json", "b.parquet"), "a.json: no such file or folder; check the name"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_to_do(
    arguments, words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = choreai(*arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_credentials_are_wrong_input_and_nothing_is_there_to_resume(tmp_path: Path) -> None:
    none = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE")
    files = {name: str(tmp_path / "none") for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    environment = {name: value for name, value in os.environ.items() if name not in none}
    environment |= {**files, "AWS_EC2_METADATA_DISABLED": "true"}
    for command in (["search", "score > 0", "--output"], ["compact", "--output"]):
        code = "from choreai.cli.main import run; run()"
        arguments = [sys.executable, "-c", code, *command, "s3://bucket/out"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 2, done.stderr
        assert "set AWS_ACCESS_KEY_ID" in done.stderr
        assert "resume" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("catalog = 'a'\noutput = 'b'\nvideos_per_shart = 3", "unknown key 'videos_per_shart'"),
        ("catalog = 'a'\noutput = 'b'\n[pose]\nfps = 3", "unknown key 'pose.fps'"),
        ("catalog = 'a'\noutput = 'b'\nvideos_per_shard = '3'", "videos_per_shard"),
        ("catalog = 'a'\noutput = 'b'\n[pose]\nestimator = 'openpose'", "mediapipe"),
        ("catalog = 'a'\noutput = 'b'\n[workers]\nnum_gpus = 1.5", "num_gpus must be a fraction up to 1"),
        ("catalog = 'a'\noutput = ''", "output must not be empty"),
        ("catalog = 'a'\noutput = 'b'\nmax_failed_fraction = 2", "max_failed_fraction must be in [0, 1]"),
        ("output = 'b'", "catalog is missing"),
        ("catalog = ", "not valid TOML"),
        ("catalog = 2026-01-01\noutput = 'b'", "date"),
    ],
)
def test_a_wrong_job_file_is_refused_by_name(text, words, tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"job\.toml") as caught:
        load_config(ExtractConfig, str(path), {})
    assert words in str(caught.value)


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text("catalog = 'a'\noutput = 'b'\n[pose]\nframes_per_second = 4.0\n[workers]\nnum_gpus = 1.0")
    overrides = {"output": "c", "workers.num_workers": 3, "pose.frames_per_second": None}
    config = load_config(ExtractConfig, str(path), overrides)
    assert (config.catalog, config.output) == ("a", str(Path("c").absolute()))
    assert (config.workers.num_workers, config.workers.num_gpus) == (3, 1.0)
    assert config.pose.frames_per_second == 4.0
    assert load_pose_settings(str(path)) == config.pose


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_job_file_loads(path) -> None:
    configs = {"extract": ExtractConfig, "train": TrainConfig, "tag": TagConfig}
    load_config(configs[path.stem.split("-")[0]], str(path), {})
    assert tomllib.loads(path.read_text())


@pytest.mark.usefixtures("real_poses")
def test_show_draws_the_dancer_it_finds(tmp_path: Path) -> None:
    clip = tmp_path / "dance.mp4"
    write_clip(clip, style="hiphop", seed=5, duration_seconds=2.0, frames_per_second=8)
    done = choreai("show", str(clip), "--to", str(tmp_path / "pictures"))
    assert done.returncode == 0, done.stderr
    video = cv2.VideoCapture(str(tmp_path / "pictures" / "dance.annotated.mp4"))
    _, drawn = video.read()
    _, plain = cv2.VideoCapture(str(clip)).read()
    changed = (cv2.absdiff(drawn, plain).max(axis=2) > 60).mean()
    assert 0.005 < changed < 0.2  # a skeleton and a label, not a frame painted over
    assert (tmp_path / "pictures" / "dance.sheet.png").stat().st_size > 10_000


def parsers_of(command: str) -> list[argparse.ArgumentParser]:
    """The parser of a command and those of its sub-commands."""
    found: list[argparse.ArgumentParser] = [COMMANDS[command][0](f"choreai {command}")]
    for action in found[0]._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += action.choices.values()
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_terminal_of_80_columns(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for parser in parsers_of(command):
        assert [line for line in parser.format_help().splitlines() if len(line) > 80] == []


def test_the_overview_has_every_command_and_fits_80_columns() -> None:
    assert re.findall(r"^  choreai ([\w-]+)", DESCRIPTION, flags=re.MULTILINE) == list(COMMANDS)
    assert max(len(line) for line in DESCRIPTION.splitlines()) <= 80
