"""Exports of a search: what a spreadsheet, a program and OpenSearch read, and what must not run anywhere."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from tag_rows import tag_row, video_row, write_rows, write_tags

from choreai.cli.main import main
from choreai.errors import ConfigError
from choreai.search.exports import export_lines
from choreai.search.spreadsheet import escape_formula, unescape_formula
from choreai.storage import objects

HOSTILE = ["=HYPERLINK(1)", "+1+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1", "''=1", "-", "\n=1"]
HARMLESS = ["hiphop", "a=b", "'quoted'", "", "5-a", "élan", "<b>"]


def exported(found: list[pa.Table], to, **settings: str) -> str:
    return b"".join(export_lines(found, to=to, **settings)).decode()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_formula_is_escaped_and_comes_back_whole(text) -> None:
    assert escape_formula(text).startswith("'")
    assert escape_formula(text) != text
    assert unescape_formula(escape_formula(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_plain_text_stays_as_it_is(text) -> None:
    assert escape_formula(text) == text
    assert unescape_formula(text) == text


def test_no_cell_of_a_csv_begins_a_formula_but_numbers_stay_numbers(tmp_path: Path) -> None:
    write_tags(str(tmp_path), [tag_row(text, text, 0.5) for text in HOSTILE])
    row = tag_row("plain", kinematics={"hands_spectral_arc_length": -1.5})
    write_tags(str(tmp_path), [row], part_id="1")
    target = tmp_path / "found.csv"
    assert main(["search", "--output", str(tmp_path), "--format", "csv", "--to", str(target)]) == 0
    rows = list(csv.DictReader(io.StringIO(target.read_bytes().decode(), newline="")))
    assert sorted(unescape_formula(row["video_id"]) for row in rows) == sorted([*HOSTILE, "plain"])
    for row in rows:
        for name in ("video_id", "style", "best_style"):
            assert row[name][0] not in "=+-@\t\r\n＝"
    (plain,) = (row for row in rows if row["video_id"] == "plain")
    assert float(plain["hands_spectral_arc_length"]) == -1.5
    assert plain["unknown"] == "false"
    assert plain["tagged_at"] == "2026-11-01T03:00:00.000Z"
    assert plain["feet_speed_mean"] == ""


def test_jsonl_has_a_document_per_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segments = [{"start_seconds": 0.0, "stop_seconds": 4.5, "track_id": 0, "style": "hiphop", "score": 0.9}]
    write_tags(str(tmp_path), [tag_row("a\u2028b", segments=segments), tag_row("none", None, None, tempo=None)])
    write_rows(str(tmp_path), "videos", "fp1", "0", [video_row("a\u2028b", duration=12.5)])
    assert main(["search", "--output", str(tmp_path), "--format", "jsonl"]) == 0
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (first["video_id"], first["score"], first["tempo"], first["duration"]) == ("a\u2028b", 0.9, 100.0, 12.5)
    assert first["distribution"] == {"hiphop": 0.9, "other": 0.1}
    assert first["segments"] == segments
    assert (second["style"], second["tempo"], second["distribution"]) == (None, None, {})


def test_opensearch_gets_an_action_and_a_document_per_video(tmp_path: Path) -> None:
    write_tags(str(tmp_path), [tag_row("a"), tag_row("b", score=0.8)])
    target = str(tmp_path / "bulk.json")
    command = ["search", "--output", str(tmp_path), "--format", "opensearch", "--index", "dances", "--to", target]
    assert main(command) == 0
    text = objects.read_object(target).decode()
    assert text.endswith("\n")  # the bulk API wants it
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0::2] == [{"index": {"_index": "dances", "_id": name}} for name in "ab"]
    assert [line["video_id"] for line in lines[1::2]] == ["a", "b"]


@pytest.mark.parametrize("index", ["", "Tags", "-tags", "a/b", "a b", "a,b"])
def test_an_index_that_opensearch_refuses_is_refused_here(index) -> None:
    with pytest.raises(ConfigError, match="OpenSearch index"):
        list(export_lines([], to="opensearch", index=index))


def test_nothing_found_is_a_csv_with_a_header_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tags(str(tmp_path), [tag_row("a")])
    assert main(["search", "style = none", "--output", str(tmp_path), "--format", "csv"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("video_id,uri,")


def test_an_export_goes_to_s3_and_never_over_something_else(store_uri: str) -> None:
    write_tags(store_uri, [tag_row("a")])
    command = ["search", "--output", store_uri, "--format", "csv", "--to", f"{store_uri}/found.csv"]
    assert main(command) == 0
    before = objects.read_object(f"{store_uri}/found.csv")
    assert before.count(b"\n") == 2
    assert main(command) == 1
    assert objects.read_object(f"{store_uri}/found.csv") == before


def test_a_table_has_no_file(tmp_path: Path) -> None:
    write_tags(str(tmp_path), [tag_row("a")])
    assert main(["search", "--output", str(tmp_path), "--to", str(tmp_path / "x")]) == 2


def test_a_reader_that_has_enough_ends_the_export_quietly(tmp_path: Path) -> None:
    write_rows(str(tmp_path), "tags", "lstm-a", "0", [tag_row(f"v{n}") for n in range(500)])
    choreai = [sys.executable, "-c", "from choreai.cli.main import run; run()"]
    command = [*choreai, "search", "--output", str(tmp_path), "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as search:
        assert search.stdout is not None
        assert search.stderr is not None
        assert search.stdout.readline().startswith(b"video_id")
        search.stdout.close()
        assert search.wait(60) == 0
        assert search.stderr.read() == b""


@pytest.mark.parametrize("to", ["csv", "jsonl", "opensearch"])
def test_rows_are_written_as_they_come(to) -> None:
    """However many are found, a few thousand are held at a time."""
    taken = []

    def found():
        for number in range(1000):
            taken.append(number)
            yield pa.table({"video_id": ["v"] * 4000, "distribution": [[{"style": "a", "score": 1.0}]] * 4000})

    pieces = export_lines(found(), to=to)
    assert next(pieces).count(b"\n") >= 4000
    assert taken == [0]
