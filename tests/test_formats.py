"""The table of formats: docs and command line held to it, and every file known for what it is."""

import json
from pathlib import Path

import pytest
from format_samples import SAMPLES
from neighbour_files import mmpose_instance, yolo_labels
from test_docs import code, page, rows

from choreai.cli.convert import READ, WRITTEN, parse_size
from choreai.cli.main import main
from choreai.errors import ConfigError
from choreai.formats.convert import ConvertSettings
from choreai.formats.glimpse import glimpse
from choreai.formats.registry import FORMATS, recognised


def test_the_formats_page_has_every_format_and_its_ways() -> None:
    told = {code(name)[0]: (read, written) for name, read, written, _, _ in rows(page("formats.md"))}
    assert list(told) == list(FORMATS)
    for name, found in FORMATS.items():
        assert told[name] == tuple("no" if way is None else "yes" for way in (found.read, found.write)), name


def test_the_command_line_has_every_format() -> None:
    assert READ == tuple(name for name, found in FORMATS.items() if found.read)
    assert WRITTEN == tuple(name for name, found in FORMATS.items() if found.write)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_is_known_for_what_it_is_and_for_nothing_else(tmp_path: Path, name: str) -> None:
    if name == "c3d":
        pytest.importorskip("ezc3d")
    seen = glimpse(SAMPLES[name](tmp_path / "sample"))
    assert seen is not None
    assert [found.name for found in FORMATS.values() if found.recognise(seen)] == [name]


def test_a_frame_of_a_crowd_and_an_empty_file_do_not_hide_a_format(tmp_path: Path) -> None:
    crowd = [{"frame_id": 0, "instances": [mmpose_instance(0, person) for person in range(200)]}]
    (tmp_path / "crowd.json").write_text(json.dumps(crowd))
    assert (tmp_path / "crowd.json").stat().st_size > 1 << 16
    labels = Path(yolo_labels(tmp_path / "labels"))
    (labels / "dance_0.txt").write_text("")
    for path, name in ((tmp_path / "crowd.json", "mmpose-json"), (labels, "ultralytics-labels")):
        found = recognised(glimpse(str(path)))
        assert found is not None
        assert found.name == name


def test_every_format_that_is_read_has_a_sample() -> None:
    assert set(SAMPLES) == set(READ)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ["--from", "openpose", "--fps", "25"],
            "this is a COCO annotation file, not OpenPose's JSON, a file a frame; give",
        ),
        ([], "from coco-json to parquet needs frames_per_second; give --frames-per-second"),
        (["--fps", "25", "--size", "4x4"], "size_wh (--size): not used from coco-json to parquet; leave it out"),
        (["--fps", "25", "--to", "cvat-video"], "from coco-json to cvat-video needs size_wh; give --size"),
    ],
)
def test_the_command_says_what_is_wrong_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    source = SAMPLES["coco-json"](tmp_path / "a.json")
    assert main(["convert", source, str(tmp_path / "b.parquet"), *flags]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "b.parquet").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[", b"\xff\xfe\x00", b"PK\x03\x04", b"hello", b"[[[", b"{}", b"[]"])
def test_what_is_nobody_s_is_recognised_as_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    seen = glimpse(str(tmp_path / "x"))
    assert seen is not None
    assert [found.name for found in FORMATS.values() if found.recognise(seen)] == []


@pytest.mark.parametrize("text", ["1920", "x", "1920x", "axb", "-1x5", "1920x1080x3", "0x5"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="size"):
        ConvertSettings(size_wh=parse_size(text))


@pytest.mark.parametrize("pattern", ["frame.jpg", "%s%s", "%d-%d", "%"])
def test_names_of_pictures_need_the_frame_s_number(pattern: str) -> None:
    with pytest.raises(ConfigError, match="must have one %d or %06d"):
        ConvertSettings(image_names=pattern)
