"""--json: what a program reads on standard output is JSON and nothing else."""

import json
from pathlib import Path
from typing import Any

import previous_output
import pytest

from choreai.cli.main import main


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output with tables of every kind, below the working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    previous_output.copy_output(folder)
    monkeypatch.chdir(folder)
    return folder / "out"


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("plan --num-videos 10 --mean-seconds 10 --video-seconds-per-second 2", "need"),
        ("report --output out", "page"),
        ("review --output out --num 2 --to page", "videos"),
    ],
)
def test_a_result_is_an_object(output: Path, words: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[key]


@pytest.mark.parametrize("words", ["compact --output out", "weights list yolox_nano"])
def test_a_result_is_a_list(output: Path, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)


def test_a_search_gives_a_line_a_video(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "", "--output", "out", "--json"]) == 0
    found: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found
    assert {"video_id", "style", "score"} <= set(found[0])
    assert main(["search", "", "--output", "out", "--json", "--format", "csv"]) == 2
