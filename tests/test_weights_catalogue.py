"""The catalogue of weights: the one that is shipped, and what is refused of others."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from weights_server import entry_settings, write_catalogue

from choreai.errors import ConfigError
from choreai.pose.onnx_pose import PREPROCESSING
from choreai.weights import read_catalogue
from choreai.weights.catalogue import POSE_PREPROCESSING, Kind

DATA = b"weights"
URL = "https://example.org/a.onnx"


def test_the_shipped_catalogue_is_well_formed() -> None:
    catalogue = read_catalogue()
    assert {entry.kind for entry in catalogue.weights.values()} == set(get_args(Kind))
    hashes = [entry.sha256 for entry in catalogue.weights.values()]
    assert len(set(hashes)) == len(hashes)
    for entry in catalogue.weights.values():
        assert re.fullmatch(r"https://[^ ]+", entry.url)
        assert entry.file_name in (f"{entry.sha256}.onnx", f"{entry.sha256}.tflite")
        assert entry.zip_member.endswith(".onnx") == entry.url.endswith(".zip")
        assert entry.data.terms
        assert len(entry.data.terms) > len(entry.data.name)


def test_the_shipped_catalogue_has_yolox_nano_as_its_publisher_released_it() -> None:
    entry = read_catalogue().find("yolox_nano")
    assert (entry.kind, entry.num_bytes, entry.input_hw) == ("detector", 3_659_407, (416, 416))
    assert re.fullmatch("c789161e[0-9a-f]{56}", entry.sha256)
    assert (entry.licence, entry.accuracy) == ("Apache-2.0", "25.8 box AP")


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("crowd-small", ["yolox_nano", "rtmpose-t"]),
        ("crowd-cpu", ["yolox_tiny", "rtmpose-s"]),
        ("crowd-gpu", ["yolox_m", "rtmpose-m"]),
        ("blazepose", ["blazepose-det", "blazepose-full"]),
    ],
)
def test_a_set_is_a_detector_and_a_pose_network(name, members) -> None:
    entries = read_catalogue().expand([name])
    assert [entry.name for entry in entries] == members
    assert [entry.kind for entry in entries] == ["detector", "pose"]
    assert all(entry.vouchers > 1 and entry.num_bytes for entry in entries)


def test_pose_networks_use_the_words_of_the_pose_settings() -> None:
    assert set(POSE_PREPROCESSING) == set(PREPROCESSING)


def test_names_are_found_whatever_their_dashes_and_each_file_comes_once() -> None:
    catalogue = read_catalogue()
    assert catalogue.find("YOLOX-nano").name == "yolox_nano"
    found = catalogue.expand(["rtmpose_s", "crowd_cpu", "yolox_tiny"])
    assert [entry.name for entry in found] == ["rtmpose-s", "yolox_tiny"]


@pytest.mark.parametrize(("name", "words"), [("rtmpose-z", "did you mean 'rtmpose-"), ("??", "there are: yolox_nano")])
def test_an_unknown_name_is_answered_with_a_known_one(name, words) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        read_catalogue().expand([name])
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "abc"}, "sha256 must be 64 small hexadecimal digits, got 'abc'"),
        ({"kind": "tracker"}, "kind must be one of detector, pose, re-id, got 'tracker'"),
        ({"name": "Yolox Nano"}, "name must be small letters"),
        ({"url": "ftp://example.org/a.onnx"}, "url must begin with https://"),
        ({"num_bytes": -1}, "num_bytes must be 0 (unknown) or more"),
        ({"num_bytes": "7"}, "num_bytes has a value of the wrong type: '7'"),
        ({"vouchers": 0}, "somebody must have seen the file"),
        ({"download_num_bytes": 7}, "give zip_member too"),
        ({"kind": "pose", "preprocessing": "rgb"}, "preprocessing must be one of imagenet"),
        ({"input_hw": [416]}, "input_hw must be height and width"),
        ({"data": "coco"}, "there is no [data.coco]"),
        ({"wheel": "mediapipe"}, "wheel must be NAME==VERSION, got 'mediapipe'"),
        ({"license": "MIT"}, "unknown key 'license'"),
        ({"licence": ""}, "licence must not be empty"),
    ],
)
def test_a_wrong_entry_is_refused_by_file_name_and_key(change: dict[str, Any], words, tmp_path: Path) -> None:
    path = write_catalogue(tmp_path / "mine.toml", entry_settings("a", URL, DATA) | change)
    with pytest.raises(ConfigError, match=r"mine\.toml: ") as caught:
        read_catalogue(path)
    assert words in str(caught.value)


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    settings = entry_settings("a", URL, DATA)
    del settings["measured_on"]
    with pytest.raises(ConfigError, match="a: measured_on is missing"):
        read_catalogue(write_catalogue(tmp_path / "mine.toml", settings))


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    entries = [entry_settings("a-b", URL, DATA), entry_settings("a_b", URL, b"others")]
    with pytest.raises(ConfigError, match="'a_b' is there twice"):
        read_catalogue(write_catalogue(tmp_path / "mine.toml", *entries))


def test_a_set_of_what_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write_catalogue(tmp_path / "mine.toml", entry_settings("a", URL, DATA), sets={"both": ["a", "b"]})
    with pytest.raises(ConfigError, match="the set 'both' names 'b'"):
        read_catalogue(path)


@pytest.mark.parametrize(("text", "words"), [("[sets", "not valid TOML"), ("x = 1", "unknown key 'x'")])
def test_what_is_no_catalogue_is_refused(text, words, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_catalogue(tmp_path / "mine.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_catalogue(tmp_path / "nowhere.toml")
