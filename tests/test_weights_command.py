"""`choreai weights` as a person meets it: what it prints, where, and its exit codes."""

import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from drivers import ROOT
from weights_server import entry_settings, made_bytes, sha256, write_catalogue

from choreai.cli.weights import weights_parser
from choreai.weights import read_catalogue

DATA, WRONG = made_bytes(5_000), made_bytes(5_000, seed=1)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    (tmp_path / "good.onnx").write_bytes(DATA)
    (tmp_path / "bad.onnx").write_bytes(bytes(5_000))
    good = entry_settings("good", f"{tmp_path}/good.onnx", DATA)
    bad = entry_settings("bad", f"{tmp_path}/bad.onnx", WRONG)
    gone = entry_settings("gone", f"{tmp_path}/gone.onnx", b"gone")
    return write_catalogue(tmp_path / "mine.toml", good, bad, gone, sets={"all": ["bad", "good"]})


def weights(what: str, *arguments: str, catalogue: Path | None = None) -> subprocess.CompletedProcess[str]:
    more = ["--catalogue", str(catalogue), "--cache", str(catalogue.parent / "weights")] if catalogue else []
    code = "from choreai.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, "weights", what, *arguments, *more], capture_output=True, text=True, timeout=120
    )


def test_the_list_fits_a_terminal_and_shows_licences_beside_data(tmp_path: Path) -> None:
    done = weights("list", "--cache", str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    (line,) = [line for line in lines if line.startswith("yolox_nano")]
    assert line.split() == ["yolox_nano", "detector", "3.7", "-", "Apache-2.0", "COCO", "25.8", "box", "AP"]
    assert any(line.startswith("crowd-cpu") and "0 of 2" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_everything_about_one_is_told(tmp_path: Path) -> None:
    done = weights("list", "rtmpose-t", "vitpose-s", "--cache", str(tmp_path))
    assert done.returncode == 0
    for words in ("13,350,364 bytes", "end2end.onnx in a zip of 12,547,710 bytes", "PoseTrack18", "65.9 AP on COCO",
                  "256 x 192; imagenet", "one public repository; the first fetch"):  # fmt: skip
        assert words in done.stdout


def test_help_explains_each_word_within_80_columns() -> None:
    for what in ([], ["list"], ["fetch"], ["verify"], ["mirror"], ["quantize"]):
        done = weights(*what, "--help") if what else weights("--help")
        assert done.returncode == 0
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert done.stdout.startswith("usage: choreai weights")


def test_a_fetched_file_is_listed_verified_and_mirrored(catalogue, tmp_path: Path) -> None:
    path = tmp_path / "weights" / f"{sha256(DATA)}.onnx"
    done = weights("fetch", "good", catalogue=catalogue)
    assert (done.returncode, done.stdout) == (0, f"good: {path}\n")
    assert "code under MIT; trained on: Nobody minds." in done.stderr
    assert weights("fetch", "good", catalogue=catalogue).stdout == f"good: {path} (was here)\n"
    assert "yes" in weights("list", catalogue=catalogue).stdout
    assert str(path) in weights("list", "good", catalogue=catalogue).stdout
    assert weights("verify", catalogue=catalogue).stdout == "good: good\n"
    done = weights("mirror", f"{tmp_path}/mirror", catalogue=catalogue)
    assert (done.returncode, (tmp_path / "mirror" / path.name).read_bytes()) == (0, DATA)
    assert weights("verify", "--mirror", f"{tmp_path}/mirror", catalogue=catalogue).stdout == "good: good\n"


def test_one_bad_file_does_not_keep_the_others_away(catalogue) -> None:
    done = weights("fetch", "all", catalogue=catalogue)
    assert done.returncode == 2
    assert done.stdout.startswith("good: ")
    assert f"sha256 {sha256(bytes(5_000))}, expected {sha256(WRONG)}" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_reached_exits_with_1(catalogue) -> None:
    done = weights("fetch", "gone", "good", catalogue=catalogue)
    assert done.returncode == 1
    assert "gone.onnx: there is nothing here" in done.stderr
    assert done.stdout.startswith("good: ")


def test_verify_names_what_is_damaged_and_what_is_missing(catalogue, tmp_path: Path) -> None:
    assert weights("verify", catalogue=catalogue).stdout == f"no weights in {tmp_path}/weights\n"
    weights("fetch", "good", catalogue=catalogue)
    (tmp_path / "weights" / f"{sha256(DATA)}.onnx").write_bytes(b"short")
    done = weights("verify", "good", "gone", catalogue=catalogue)
    assert done.returncode == 1
    assert f"good: damaged; sha256 {sha256(b'short')}, expected {sha256(DATA)}" in done.stdout
    assert "gone: missing" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fetch", "god"), "did you mean 'good'?"),
        (("fetch",), "the following arguments are required: NAME"),
        (("lst",), "invalid choice: 'lst'"),
        (("mirror", "https://example.org/x"), "can only be read"),
        (("mirror", "somewhere"), "no weights in"),
    ],
)
def test_a_mistake_exits_with_2_and_says_what_to_do(
    arguments, words, catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = weights(*arguments, catalogue=catalogue)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# ---- docs/weights.md ----


def test_the_page_names_the_sets_and_commands_there_are() -> None:
    lines = (ROOT / "docs" / "weights.md").read_text().splitlines()
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:5]]
        for line in lines
        if line.startswith(("| `crowd", "| `blazepose`"))
    ]
    catalogue = read_catalogue()
    for name, detector, pose, megabytes in rows:
        assert catalogue.sets[name] == (detector, pose)
        assert int(megabytes) == round(sum(entry.num_bytes for entry in catalogue.expand([name])) / 1e6)
    assert {row[0] for row in rows} == set(catalogue.sets)
    commands = [line.split("#")[0].split()[3:] for line in lines if line.startswith("$ choreai weights ")]
    assert {words[0] for words in commands} == {"list", "fetch", "verify", "mirror", "quantize"}
    for words in commands:
        arguments = weights_parser("choreai weights").parse_args(words)
        names = getattr(arguments, "names", [])
        assert catalogue.expand(names) or not names


def test_the_page_has_every_file_with_its_licence_and_data() -> None:
    lines = (ROOT / "docs" / "weights.md").read_text().splitlines()
    terms = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines if line.count("|") == 5]
    for entry in read_catalogue().weights.values():
        (row,) = [row for row in terms if row[0].startswith("`") and fnmatch(entry.name, row[0].strip("`"))]
        assert row[1] == entry.licence
        assert all(word in entry.data.terms for word in row[2].split(", "))
