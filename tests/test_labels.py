"""Labels and the taxonomy: where they come from, and which are refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from moving_skeletons import FINGERPRINT, STYLES

from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.errors import CatalogError, ChoreaiWarning
from choreai.motion.windows import WindowSettings
from choreai.style.model import StyleModelConfig
from choreai.style.taxonomy import lineage, taxonomy_version
from choreai.style.training.labels import labelled_videos


def folder_catalog(root: Path, files: Mapping[str, str]) -> str:
    """A folder of such files, by relative path; returns its URI."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


@pytest.fixture
def dances(tmp_path: Path) -> str:
    names = ("salsa/a.mp4", "salsa/b.mp4", "tango/c.mp4", "d.mp4")
    return folder_catalog(tmp_path / "dances", dict.fromkeys(names, "video"))


def labels_in(catalog_uri: str, **changes: Any) -> dict[str, tuple[str | None, str | None]]:
    settings: dict[str, object] = {"labels_from": "catalog", "labels_file": None} | changes
    catalog = with_content_ids(read_catalog(catalog_uri))
    return {v.video_id: (v.label, v.group) for v in labelled_videos(catalog, **settings)}  # type: ignore[arg-type]


def test_folder_names_are_labels_and_what_lies_outside_has_none(dances: str) -> None:
    found = labels_in(dances, labels_from="folders")
    assert found == {"salsa/a.mp4": ("salsa", None), "salsa/b.mp4": ("salsa", None), "tango/c.mp4": ("tango", None)}


def test_a_catalog_without_labels_is_refused_with_the_ways_to_give_some(dances: str) -> None:
    with pytest.raises(CatalogError, match=r"no video has a label.*folders.*labels_file"):
        labels_in(dances)


def test_a_label_file_takes_the_place_of_labels_and_unknown_videos_are_counted(dances: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "video_id,label,group,note\nsalsa/a.mp4,bachata,ana,x\nd.mp4,tango,,\ntango/c.mp4,,,\n9,tango,,\n"
    )
    with pytest.warns(ChoreaiWarning, match=r"1 video \(9\) not in the catalog"):
        found = labels_in(dances, labels_file=str(labels))
    assert found == {"salsa/a.mp4": ("bachata", "ana"), "d.mp4": ("tango", None)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("video_id,style\na,salsa\n", r"no column \['label'\]"),
        ("video_id,label\na,salsa\na,tango\n", "row 3: video_id 'a' was there already"),
        ("video_id,label\na\n", "not readable as CSV"),
        (None, "cannot be read"),
    ],
)
def test_a_label_file_that_cannot_be_used_is_named(dances: str, tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "labels.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CatalogError, match=rf"labels\.csv.*{words}"):
        labels_in(dances, labels_file=str(path))


def test_a_style_knows_its_lineage_and_the_version_changes_with_any_of_it() -> None:
    parents = {"popping": "funk", "locking": "funk", "funk": "street"}
    assert lineage("popping", parents) == ("popping", "funk", "street")
    versions = {
        taxonomy_version(("popping", "locking"), parents),
        taxonomy_version(("locking", "popping"), parents),
        taxonomy_version(("popping", "locking"), {}),
        taxonomy_version(("popping", "locking"), {**parents, "funk": "hip hop"}),
    }
    assert len(versions) == 4


@pytest.mark.parametrize(
    ("parents", "words"),
    [
        ({"waltz": "ballroom"}, r"unknown styles \['waltz'\]"),
        ({STYLES[0]: "x", "x": STYLES[0]}, f"circle: {STYLES[0]} < x < {STYLES[0]}"),
    ],
)
def test_a_hierarchy_that_is_none_is_refused(parents: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        StyleModelConfig(
            STYLES, FINGERPRINT, WindowSettings(), network="report", hidden_size=8, num_members=2, parents=parents
        )


def test_labels_of_a_table_and_of_folders_spelt_in_several_ways_are_one(dances: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("video_id,label,group\nsalsa/a.mp4,Hip-Hop,Ana\nsalsa/b.mp4,hip hop,ana\ntango/c.mp4,Hip-Hop,\n")
    found = labels_in(dances, labels_file=str(labels))
    assert set(found.values()) == {("Hip-Hop", "Ana"), ("Hip-Hop", None)}
    (tmp_path / "dances" / "Salsa").mkdir()
    (tmp_path / "dances" / "Salsa" / "e.mp4").write_text("video")
    assert {label for label, _ in labels_in(dances, labels_from="folders").values()} == {"salsa", "tango"}
