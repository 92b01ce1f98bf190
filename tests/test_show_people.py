"""What `choreai show` says and draws of several people, and what it stores when one of them is named."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arms_model import arms_model
from moving_skeletons import FINGERPRINT
from two_dancers import SIZE_WH, two_people, write_duo

from choreai.cli.show_people import chosen_dancers, print_people
from choreai.errors import ConfigError
from choreai.search.dancer_reviews import Found, read_dancer_reviews
from choreai.style.explain.annotated_video import LEGEND, annotate
from choreai.style.tagging import DANCER_UNCERTAIN, tag_sequence
from choreai.tables.posed_video import PosedVideo, find_in_tables
from choreai.video.decode import VideoReader

MODEL = arms_model(unknown_below=0.2)


@pytest.fixture
def duo(tmp_path: Path) -> PosedVideo:
    """A grey clip in the tables under `tmp_path`, with two people beside each other."""
    write_duo(tmp_path)
    found = find_in_tables("duo", str(tmp_path), FINGERPRINT)
    assert found is not None
    return found


def arguments(root: Path, person: str | None = None, reviewer: str | None = "Kim") -> argparse.Namespace:
    return argparse.Namespace(output=str(root), person=person, reviewer=reviewer)


def stored(root: Path) -> list[int] | None:
    named = read_dancer_reviews(str(root)).get("duo", "c")
    return None if named is None else named.track_ids


def test_a_named_person_is_stored_and_taken_the_next_time(duo, tmp_path: Path, capsys: Any) -> None:
    assert chosen_dancers(duo, arguments(tmp_path)) == Found(None)
    assert chosen_dancers(duo, arguments(tmp_path, "1")).track_ids == [1]
    assert "stored: dancers 1 in duo; `choreai tag` will tag it again" in capsys.readouterr().out
    assert chosen_dancers(duo, arguments(tmp_path)).track_ids == [1]
    assert "dancers named by Kim: 1" in capsys.readouterr().out
    assert chosen_dancers(duo, arguments(tmp_path, "0, 1")).track_ids == [0, 1]
    assert stored(tmp_path) == [0, 1]
    assert chosen_dancers(duo, arguments(tmp_path, "auto")).track_ids is None
    assert stored(tmp_path) == []
    assert chosen_dancers(duo, arguments(tmp_path)) == Found(None)


@pytest.mark.parametrize(
    ("person", "problem"), [("2", "--person 2: nobody in duo has this id; there are 0, 1"), ("left", "give ids as"),
                            ("", "give ids as")],
)  # fmt: skip
def test_a_person_that_there_is_not_is_refused_and_nothing_is_stored(duo, tmp_path: Path, person, problem) -> None:
    with pytest.raises(ConfigError, match=problem):
        chosen_dancers(duo, arguments(tmp_path, person))
    assert stored(tmp_path) is None


def test_of_a_video_that_is_in_no_table_the_person_is_drawn_but_not_stored(duo, tmp_path: Path, capsys: Any) -> None:
    loose = PosedVideo("duo", duo.uri, duo.rows)
    assert chosen_dancers(loose, arguments(tmp_path, "1")).track_ids == [1]
    assert "not stored" in capsys.readouterr().out
    assert stored(tmp_path) is None


def test_everybody_is_listed_and_the_title_says_that_the_dancer_is_uncertain(duo, capsys: Any) -> None:
    unclear = two_people(margin=0)
    print_people(PosedVideo("duo", duo.uri, unclear), Found(None), SIZE_WH)
    out = capsys.readouterr().out
    assert "prominence" in out
    assert "name the dancer with --person ID" in out
    print_people(duo, Found([1]), SIZE_WH)
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line[:1].isdecimal()]
    assert [(row[0], row[-1]) for row in rows] == [("1", "100%"), ("0", "0%")]
    assert "--person" not in out
    assert DANCER_UNCERTAIN not in out
    print_people(PosedVideo("solo", duo.uri, duo.rows.track(0)), Found(None), SIZE_WH)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("named", [0, 1])
def test_only_the_dancer_is_drawn_in_colour(duo, tmp_path: Path, named) -> None:
    drawn = annotate(duo, tag_sequence(duo.rows, MODEL, named=[named]), folder=tmp_path / "pictures")
    assert drawn.size_wh == SIZE_WH
    with drawn.video.open("rb") as file, VideoReader(file, uri="drawn.mp4") as reader:
        image = next(iter(reader.frames())).image.astype(int)[60 : SIZE_WH[1]]
    colour = np.ptp(image, axis=2) > 60
    left, right = colour[:, :320].sum(), colour[:, 320:].sum()
    assert (left > 300, right > 300) == (named == 0, named == 1)
    assert min(left, right) < 30
    grey = np.abs(image - 90).max(axis=2) > 60
    assert min(grey[:, :320].sum(), grey[:, 320:].sum()) > 300  # the other one is there too


def test_a_legend_stands_in_the_picture_where_there_are_several_people(duo, tmp_path: Path) -> None:
    assert "grey" in LEGEND
    solo = PosedVideo("solo", duo.uri, duo.rows.track(0))
    changed = []
    for video in (duo, solo):
        drawn = annotate(video, tag_sequence(video.rows, MODEL), folder=tmp_path / video.name)
        with drawn.video.open("rb") as file, VideoReader(file, uri="drawn.mp4") as reader:
            corner = next(iter(reader.frames())).image[SIZE_WH[1] - 14 : SIZE_WH[1], -40:].astype(int)
        changed.append((np.abs(corner - 90).max(axis=2) > 20).mean())
    assert changed[0] > 0.8
    assert changed[1] < 0.1
