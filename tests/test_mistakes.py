"""Typing mistakes and missing arguments of every command: refused at once, with a remedy, loading nothing heavy."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from choreai.cli.main import COMMANDS, main

HEAVY = ["ray", "torch", "pandas", "mediapipe", "cv2", "sklearn", "matplotlib", "av", "boto3", "duckdb"]
MAX_SECONDS = 1.0
"""Of processor time, imports included."""

MISTAKES: list[tuple[str, list[str]]] = [
    ("exract", ["invalid choice: 'exract'", "did you mean extract?", "`choreai --help`"]),
    ("describe", ["arguments are required: VIDEO", "`choreai describe --help`"]),
    ("describe dnace.mp4", ["dnace.mp4: there is no such file or folder", "did you mean dance.mp4?"]),
    ("describe https://me:secret@host/x.mp4", ["carries credentials", "give its path"]),
    ("tag", ["name what to tag", "choreai tag dance.mp4"]),
    ("tag --otuput x", ["unrecognized arguments: --otuput", "did you mean --output?"]),
    ("tag nowhere.mp4", ["nowhere.mp4: there is no such file or folder; check the name"]),
    ("tag notes.xlsx", ["unknown extension '.xlsx'", ".csv, .jsonl or .parquet file, a folder, or a video"]),
    ("tag dance.mp4 --model nowhere", ["nowhere: there is no model.json here", "`choreai train`"]),
    ("tag dance.mp4 --model m --config nowhere.toml", ["nowhere.toml: cannot be read"]),
    ("tag ftp://bucket/x.mp4", ["ftp:// is not supported; download it and give its path"]),
    ("tag dance.mp4 --frames-per-second 0", ["frames_per_second must be in (0, 240]"]),
    ("show", ["arguments are required: video"]),
    ("show dnace.mp4", ["did you mean dance.mp4?"]),
    ("demo --seed x", ["argument --seed: invalid int value: 'x'"]),
    ("extract", ["catalog is missing; give it on the command line"]),
    ("extract dance.mp4", ["output is missing; give it on the command line"]),
    ("extract nope*.mp4 --output out", ["nope*.mp4: no file fits this pattern"]),
    ("train", ["catalog is missing"]),
    ("train nowhere.csv --output out", ["nowhere.csv: there is no such file"]),
    ("train dance.mp4 --output out --num-epoch 3 --sed 1", ["did you mean --seed?"]),
    ("train dance.mp4 --output out --log cvs", ["did you mean csv?"]),
    ("train dance.mp4 --output out --log csv --sweep search", ["--log is of the training of a model"]),
    ("train dance.mp4 --output s3://b/out --log tensorboard", ["writes to a folder", "--log csv writes anywhere"]),
    ("generate", ["arguments are required: --style"]),
    ("generate --style hiphop --bmp 90", ["did you mean --bpm?"]),
    ("generate --style hiphop --seconds 0", ["seconds must be 1 to 600, got 0"]),
    ("generate --style hiphop --to gif", ["--to has no gif; name some of mp4, bvh, parquet"]),
    ("generate --style hiphop --generator nowhere", ["nowhere: there is no such file", "`choreai train-generator`"]),
    ("train-generator --dancers 1", ["--dancers must be at least 2, got 1"]),
    ("train-generator --step x", ["invalid int value: 'x'"]),
    ("lift", ["arguments are required: OUTPUT"]),
    ("lift ouput", ["ouput: there is no such folder"]),
    ("train-lifter", ["arguments are required: FILE"]),
    ("train-lifter --mocpa x y", ["did you mean --mocap?"]),
    ("music", ["name what to listen to", "choreai music dance.mp4 --output out"]),
    ("music dance.mp4", ["output is missing; give it on the command line"]),
    ("serve --port 99999999", ["--port must be 0 to 65535, got 99999999"]),
    ("serve --output nowhere", ["nowhere: there is no such folder"]),
    ("search", ["arguments are required: --output"]),
    ("search unknown --output ouput", ["ouput: there is no such folder", "did you mean output?"]),
    ("similar", ["arguments are required: --output"]),
    ("similar --output output", ["name a video whose like to find, or give --duplicates"]),
    ("similar clip --clusters --output output", ["and not both"]),
    ("similar clip --num-clusters 4 --output output", ["--num-clusters goes with --clusters"]),
    ("similar --clusters --num-clusters 1 --output output", ["--num-clusters must be 2 or more, got 1"]),
    ("similar --clusters --to page.htm --output output", ["give a name that ends in .html"]),
    ("similar clip --duplicates --output output", ["and not both"]),
    ("similar clip --output ouput", ["ouput: there is no such folder", "did you mean output?"]),
    ("similar clip --output output --count 0", ["--count must be 1 to 10000, got 0"]),
    ("teach kizomba", ["arguments are required: --output"]),
    ("teach --output output", ["arguments are required: name, VIDEO"]),
    ("teach kizomba clip --output ouput", ["ouput: there is no such folder", "did you mean output?"]),
    ("model", ["arguments are required: WHAT"]),
    ("model psh m hf://user/name", ["did you mean push?"]),
    ("model list --output output --to page.htm", ["page.htm: --to writes a page; give a name that ends in .html"]),
    ("model list", ["arguments are required: --output"]),
    ("model list --output ouput", ["ouput: there is no such folder", "did you mean output?"]),
    ("model push m", ["arguments are required: TARGET"]),
    ("model push nowhere there", ["nowhere: there is no model.json here", "`choreai train`"]),
    ("model push m hf://user", ["hf://user: this names no repository of the hub; write hf://user/name"]),
    ("model push m https://host/models", ["nothing can be written there; give a folder"]),
    ("model pull nowhere there", ["nowhere: there is no model.json here"]),
    ("model pull m", ["arguments are required: FOLDER"]),
    ("model pull m hf://user/name", ["hf:// is not supported"]),
    ("review", ["arguments are required: --output"]),
    ("review --output nowhere", ["nowhere: there is no such folder"]),
    ("report", ["arguments are required: --output"]),
    ("report --output nowhere", ["nowhere: there is no such folder"]),
    ("diff", ["arguments are required: A, B, --output"]),
    ("diff a b --output ouput", ["ouput: there is no such folder", "did you mean output?"]),
    ("diff a b --output output --to page.htm", ["page.htm: --to writes a page; give a name that ends in .html"]),
    ("diff a b --output output --keypoints -1", ["--keypoints must be 0 or more, got -1"]),
    ("pose", ["arguments are required: --checkpoint"]),
    ("pose --checkpoint nowhere.pth --video dance.mp4", ["nowhere.pth: no such file or folder"]),
    ("convert", ["arguments are required: source, target"]),
    ("convert nowhere.json x.parquet", ["nowhere.json: no such file or folder"]),
    ("export clip --output output", ["arguments are required: --to"]),
    ("export clip --output output --to cvs", ["did you mean csv?"]),
    ("export clip --output ouput --to csv", ["ouput: there is no such folder", "did you mean output?"]),
    ("export clip --output output --to csv --person-height 1.7", ["--person-height goes with --to trc"]),
    ("export clip --output output --to csv --person me", ["give ids such as 3 or 3,7, or all"]),
    ("plan", ["is required"]),
    ("plan nowhere.csv", ["nowhere.csv: there is no such file"]),
    ("compact", ["arguments are required: --output"]),
    ("compact --ouput out", ["arguments are required: --output"]),
    ("forget", ["arguments are required: --output"]),
    ("forget --output output", ["arguments are required: VIDEO_ID"]),
    ("forget clip --ouput out", ["arguments are required: --output"]),
    ("forget clip --output ouput", ["ouput: there is no such folder", "did you mean output?"]),
    ("gc", ["arguments are required: --output"]),
    ("gc --output ouput", ["ouput: there is no such folder", "did you mean output?"]),
    ("gc --output output --newest -1", ["--newest must be 0 or more, got -1"]),
    ("weights", ["arguments are required: WHAT"]),
    ("weights fetsh", ["did you mean fetch?"]),
    ("weights list crowd-cpuu", ["did you mean 'crowd-cpu'?"]),
    ("config", ["arguments are required: WHAT"]),
    ("config chekc", ["did you mean check?"]),
    ("config check", ["arguments are required: FILE"]),
    ("config check nowhere.toml", ["nowhere.toml: no such file or folder"]),
    ("config schema tga", ["did you mean tag?"]),
    ("score-tracks", ["arguments are required: GT, RESULT"]),
    ("score-tracks nowhere dance.mp4", ["nowhere: no such file or folder"]),
    ("completion", ["arguments are required: shell"]),
    ("completion fsh", ["did you mean fish?"]),
]

RUN_ALL = f"""
import contextlib, io, json, sys, time
started = time.process_time()
from choreai.cli.main import main
imports = time.process_time() - started
for words in json.loads(sys.argv[1]):
    said, began = io.StringIO(), time.process_time()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main(words.split())
        except SystemExit as exc:
            code = exc.code
    heavy = sorted(set({HEAVY!r}) & set(sys.modules))
    seconds = imports + time.process_time() - began
    print(json.dumps({{"code": code, "said": said.getvalue(), "seconds": seconds, "heavy": heavy}}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each mistake is answered with, all in one process that nothing heavy was loaded into before."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "output").mkdir()
    for name in ("dance.mp4", "notes.xlsx"):
        (folder / name).touch()
    (folder / "m").mkdir()
    (folder / "m" / "model.json").touch()
    all_words = [words for words, _ in MISTAKES]
    before = sorted(folder.rglob("*"))
    done = subprocess.run([sys.executable, "-c", RUN_ALL, json.dumps(all_words)],
                          cwd=folder, capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(folder.rglob("*")) == before, "nothing is written"
    return dict(zip(all_words, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_a_mistake_is_refused_at_once_with_a_remedy(words: str, said: list[str], answers: dict[str, Any]) -> None:
    answer = answers[words]
    assert answer["code"] == 2
    assert [each for each in said if each not in answer["said"]] == [], answer["said"]
    assert "Traceback" not in answer["said"]
    assert "secret" not in answer["said"]
    assert len(answer["said"].splitlines()) <= 2
    assert answer["heavy"] == []
    assert answer["seconds"] < MAX_SECONDS


def test_every_command_has_a_mistake_here() -> None:
    assert {words.split()[0] for words, _ in MISTAKES} >= set(COMMANDS)


def test_without_a_command_there_is_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    overview = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in overview] == []


def test_flags_may_stand_between_videos(tmp_path: Path) -> None:
    parsed = COMMANDS["tag"][0]("choreai tag").parse(["a.mp4", "--output", "out", "b.mp4", "--json"])
    assert (parsed.catalog, parsed.output, parsed.json) == (["a.mp4", "b.mp4"], "out", True)
