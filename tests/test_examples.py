"""Every example runs, on generated dancers or on an output folder that is there already."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import previous_output
import pyarrow.parquet as pq
import pytest
from drivers import ROOT
from nbclient import NotebookClient

from choreai.config import KeypointSettings
from choreai.demo.dancers import write_clip
from choreai.pipeline.keypoints import look_at_keypoints

EXAMPLES = ROOT / "examples"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "MPLBACKEND": "agg",
}
SECONDS = 4.0


def run(*arguments: str | Path, cwd: Path, timeout: int = 560) -> str:
    """What an example prints."""
    done = subprocess.run(
        [str(word) for word in arguments], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "dance.mp4"
    write_clip(path, style="hiphop", seed=31_000, duration_seconds=SECONDS, frames_per_second=15)
    return path


def test_every_example_is_listed_and_tested() -> None:
    names = {
        path.name for path in EXAMPLES.iterdir() if path.name != "README.md" and not path.name.startswith((".", "_"))
    }
    listed = (EXAMPLES / "README.md").read_text()
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f"[{name}]({name})" in listed and name in tests for name in names)


@pytest.mark.usefixtures("real_poses")
def test_a_video_is_posed(clip: Path) -> None:
    printed = run(sys.executable, EXAMPLES / "pose_a_video.py", clip, cwd=clip.parent)
    assert "dance: 1 person, 60 poses" in printed
    assert "hands_speed_mean" in printed
    lines = clip.with_suffix(".keypoints.csv").read_text().splitlines()
    assert lines[0].startswith("track_id,frame_index,pts_seconds,nose_x")
    assert len(lines) == 61


def test_tags_are_queried(tmp_path: Path) -> None:
    printed = run(sys.executable, EXAMPLES / "query_tags.py", previous_output.WRITTEN, cwd=tmp_path)
    assert all(video_id in printed for video_id in previous_output.VIDEO_IDS)
    assert "hands_speed" in printed
    assert "start_seconds" in printed


def test_the_report_s_data_is_made_as_it_had_it(tmp_path: Path) -> None:
    printed = run(sys.executable, EXAMPLES / "report_data.py", "data", "--train", "4", "--test", "3", cwd=tmp_path)
    assert "data: 4 and 3 sequences" in printed
    given = look_at_keypoints(KeypointSettings(source=str(tmp_path / "data"), frames_per_second=25))
    assert (len(given.catalog), given.origin.has_scores) == (7, True)
    assert (tmp_path / "data" / "Y_train.txt").read_text() == "1\n2\n3\n1\n"


@pytest.mark.slow
@pytest.mark.usefixtures("mediapipe")  # the model was trained on its poses
def test_the_notebook_runs(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "VIDEO": str(clip), "MODEL": str(previous_output.MODEL)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MPLBACKEND")  # the kernel's own shows pictures in the page
    notebook = nbformat.read(EXAMPLES / "dance.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before you commit"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(clip.parent))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = str(outputs)
    assert "data:image/jpeg;base64" in shown  # four frames with skeletons
    assert any("image/png" in output.get("data", {}) for output in outputs)  # the plot
    assert "dance: hiphop" in shown


@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("real_poses")
def test_a_model_is_trained_on_own_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for style in ("classical", "hiphop"):
        (tmp_path / "videos" / style).mkdir(parents=True)
        for seed in range(3):
            path = tmp_path / "videos" / style / f"{seed}.mp4"
            write_clip(path, style=style, seed=seed, duration_seconds=2.0, frames_per_second=10)
    flags = ("--num-folds", "2", "--num-epochs", "3")
    command = tmp_path / "bin" / "choreai"  # of this checkout, whichever is installed
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from choreai.cli.main import run; run()' \"$@\"\n")
    command.chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{command.parent}:{ENVIRONMENT['PATH']}")
    printed = run("bash", EXAMPLES / "train_on_own_labels.sh", "videos/", "out", *flags, cwd=tmp_path)
    tagged = pq.read_table(tmp_path / "out" / "tags")["video_id"].to_pylist()
    assert len(set(tagged)) == len(tagged) == len(list((tmp_path / "videos").rglob("*.mp4")))
    assert "accuracy" in printed
