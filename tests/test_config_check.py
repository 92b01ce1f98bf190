"""config: all mistakes of a TOML file at once, and a JSON Schema that says what the jobs take."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from drivers import ROOT

from choreai.cli.main import main
from choreai.config import load_config
from choreai.errors import ConfigError
from choreai.operations.config_check import check_file
from choreai.operations.config_schema import JOBS, any_schema, field_docs, job_schema

FILES = sorted((ROOT / "deploy").glob("*.toml"))
WRONG = """\
# a job file
catalog = "c.csv"
outptu = "out"
num_workers = 3
videos_per_shard = 0
limit = -1
since = 2026-11-01

[pose]
estimator = "mediapip"
frames_per_secnd = 8
min_box_score = [
  1,
]

[workers]
num_workers = -1
num_gpus = 1.5
max_video_gib = nan

[report]
price_per_hour = "1"

[wrokers]
a = 1
"""
SAID = [
    (3, "unknown key 'outptu'; did you mean output?"),
    (4, "unknown key 'num_workers' here; it belongs into [workers]"),
    (5, "videos_per_shard must be at least 1, got 0"),
    (6, "limit must be at least 1, got -1; leave it out to process all videos"),
    (7, "since is a date; write it as a text, in quotes"),
    (10, "did you mean mediapipe?"),
    (11, "unknown key 'frames_per_secnd'; did you mean frames_per_second?"),
    (12, "pose.min_box_score: Input should be a valid number"),
    (17, "num_workers must be 0 (automatic) to 100000, got -1"),
    (18, "num_gpus must be a fraction up to 1, or a whole number, got 1.5"),
    (19, "max_video_gib must be a finite number, got nan"),
    (22, "report.price_per_hour: Input should be a valid number (got '1')"),
    (24, "unknown key 'wrokers'; did you mean workers?"),
]


def job_of(path: Path) -> str:
    return path.name.split("-")[0].removesuffix(".toml")


def test_all_mistakes_are_named_at_once_each_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "nightly.toml"
    path.write_text(WRONG)
    found = check_file(str(path)).mistakes
    assert [each.line for each in found] == [line for line, _ in SAID]
    assert [text for each, (_, text) in zip(found, SAID, strict=True) if text not in each.text] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_shipped_job_file_is_fine_by_check_and_schema(path: Path) -> None:
    checked = check_file(str(path))
    assert (checked.job, checked.mistakes) == (job_of(path), ())
    raw = tomllib.loads(path.read_text())
    jsonschema.validate(raw, job_schema(job_of(path)))
    jsonschema.validate(raw, any_schema())


@pytest.mark.parametrize("job", JOBS)
def test_a_schema_is_one_and_describes_every_key(job: str) -> None:
    schema = job_schema(job)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "null" not in json.dumps(schema)
    for cls, part in ((JOBS[job], schema), *((None, section) for section in schema["$defs"].values())):
        assert part["additionalProperties"] is False
        if cls is not None:
            documented = {name for name, each in part["properties"].items() if "description" in each}
            assert documented >= set(field_docs(cls)) & set(part["properties"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"videos_per_shard": "8"},
        {"outptu": "x"},
        {"pose": {"estimator": "mediapip"}},
        {"workers": {"num_gpus": True}},
        {"allowed_roots": "s3://b"},
        {"training": {"seed": 1}},
    ],
)
def test_what_the_job_refuses_by_type_or_name_the_schema_refuses_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        load_config(JOBS["tag"], None, {"catalog": "c.csv", "output": "out", **wrong})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"catalog": "c.csv", "output": "out", **wrong}, job_schema("tag"))


@pytest.mark.parametrize(
    ("text", "job"), [('model = "m"', "tag"), ("[training]\nseed = 1", "train"), ("videos_per_shard = 4", "extract")]
)
def test_whose_file_it_is_shows_by_what_it_has(tmp_path: Path, text: str, job: str) -> None:
    path = tmp_path / "nightly.toml"
    path.write_text(text)
    assert (check_file(str(path)).job, check_file(str(path)).mistakes) == (job, ())
    assert bool(check_file(str(path), job="extract").mistakes) == (job != "extract")


def test_what_is_wrong_between_keys_is_said_too_and_the_rest_as_well(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text('limit = 3\nlabels = ["a", "b"]\n[parents]\nc = "dance"\n[training]\nnum_folds = 1\n')
    said = {each.line: each.text for each in check_file(str(path)).mistakes}
    assert "limit, since and max_hours are for extract and tag" in said[1]
    assert set(said) >= {1, 6}


def test_a_file_that_is_no_toml_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tag.toml"
    path.write_text('catalog = "c.csv"\noutput = \n')
    assert main(["config", "check", str(path)]) == 2
    assert f"{path}:2: not valid TOML" in capsys.readouterr().out
    path.write_text('catalog = "c.csv"\n')
    assert main(["config", "check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["mistakes"] == []


def test_the_command_prints_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema", "tag"]) == 0
    assert "model" in json.loads(capsys.readouterr().out)["properties"]
