"""Training and tagging on keypoints that somebody has already: what is read, and what is said of what cannot be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fitted import fitted
from given_keypoints import RATE, GivenArmsWorker, with_scores, write_alphapose, write_folder, write_text
from moving_skeletons import STYLES, dancer_xy, keypoint_rows, write_keypoints

from choreai.cli import tag as tag_command
from choreai.cli import train as train_command
from choreai.cli.flags import tag_parser, train_parser
from choreai.cli.job import load_job
from choreai.cli.main import main
from choreai.config import KeypointSettings, TrainConfig
from choreai.errors import CatalogError, ChoreaiError, ConfigError, TableError, WeightsError
from choreai.formats.convert import ConvertSettings, convert
from choreai.formats.keypoint_files import find_keypoint_files
from choreai.pipeline.keypoint_labels import label_keypoints
from choreai.pipeline.keypoints import GivenKeypoints, look_at_keypoints, take_keypoints
from choreai.pipeline.train import find_labelled
from choreai.storage.objects import put_object
from choreai.style.examples import read_windows
from choreai.style.settings import TrainSettings
from choreai.style.training.dataset import Dataset
from choreai.style.training.distributed import Fitted
from choreai.tables import schemas
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import read_table


def looked_at(source: Path, **settings: Any) -> GivenKeypoints:
    return look_at_keypoints(KeypointSettings(source=str(source), **{"frames_per_second": 10.0, **settings}))


def labelled(folder: Path, *flags: str) -> dict[str, tuple[str | None, str | None]]:
    """Label and group by video_id, as training takes them."""
    words = ["--keypoints", str(folder), *RATE, "--output", str(folder.parent / "out"), *flags]
    config = load_job(TrainConfig, train_parser(None).parse_args(words)).config
    given = look_at_keypoints(config.keypoints, but=[config.labels_file] if config.labels_file else [])
    config, catalog = label_keypoints(given, config)
    return {video.video_id: (video.label, video.group) for video in find_labelled(config, catalog)}


def tag(*words: str) -> int:
    return tag_command.run(tag_parser(None).parse([*words, "--model", "m"]), tag_worker=GivenArmsWorker)


def test_results_of_videos_are_tagged_as_their_videos_would_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "poses", 1)
    flags = ("--keypoints", str(tmp_path / "poses"), *RATE, "--output", str(tmp_path / "out"))
    assert tag(*flags, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {video["video_id"]: video["style"] for video in found["videos"]} == {f"{s}_0": s for s in STYLES}
    assert tag(*flags) == 0  # nothing is read or tagged twice
    assert "nothing to do: 3 of 3 videos are tagged" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "keypoints").rglob("*.parquet"))) == 1
    show = ["show", f"{STYLES[0]}_0", "--output", str(tmp_path / "out"), "--to", str(tmp_path / "pictures")]
    (tmp_path / "pictures").mkdir()
    assert main(show) == 0
    assert "no annotated video: the tables were made of the keypoints in" in capsys.readouterr().out
    assert {path.suffix for path in (tmp_path / "pictures").iterdir()} == {".png", ".svg"}  # its movement


def fit_here(dataset: Dataset, settings: TrainSettings, num_members: int | None = None) -> Fitted:
    state = fitted(settings, dataset.examples, num_members=num_members)
    return Fitted(tuple(state.done), tuple(state.history))


def test_a_model_of_keypoints_alone_says_so_and_tags_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = write_folder(tmp_path / "poses", 4)
    config = tmp_path / "job.toml"
    windows = "{num_steps = 40, window_seconds = 4.0}"
    config.write_text(f'[training]\nnetwork = "report"\nhidden_size = 8\nwindows = {windows}\n')
    given = ["--keypoints", str(tmp_path / "poses"), *RATE, "--output", str(tmp_path / "out"), "--json"]
    flags = ["--labels", str(labels), "--config", str(config), "--num-epochs", "2", "--num-folds", "2"]
    assert train_command.run(train_parser(None).parse([*given, *flags, "--log", "csv"]), fit=fit_here) == 0
    (log,) = (tmp_path / "out" / "training" / "logs").glob("*.csv")
    assert "# model: " in log.read_text()
    assert len([line for line in log.read_text().splitlines() if line[0].isdigit()]) == 2 * 2  # folds, epochs
    trained = json.loads(capsys.readouterr().out)
    assert sum(style["num"] for style in trained["metrics"]["videos"]["classes"]) == 12
    folder = Path(trained["model"])
    assert "keypoints by alphapose, coco-17, with scores" in (folder / "MODEL_CARD.md").read_text()
    assert "keypoints only, and no video" in (folder / "report.html").read_text()
    assert tag_command.run(tag_parser(None).parse(given)) == 0
    tagged = json.loads(capsys.readouterr().out)["videos"]
    assert [video["best_style"] in STYLES for video in tagged] == [True] * 12


def test_a_file_that_cannot_be_read_is_quarantined_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write_folder(tmp_path / "poses", 2)
    (tmp_path / "poses" / "broken.json").write_text('[{"keypoints": [1, 2]}]')
    (tmp_path / "poses" / "empty.json").write_text("[]")
    assert tag("--keypoints", str(tmp_path / "poses"), *RATE, "--output", str(tmp_path / "out"), "--json") == 0
    found = {video["video_id"]: video for video in json.loads(capsys.readouterr().out)["videos"]}
    assert "2 keypoint numbers" in found["broken"]["doubt"]
    assert found["empty"]["doubt"] == "nobody in view"
    assert "quarantined: 1 file (broken: " in caplog.text


def test_a_model_is_not_given_keypoints_of_another_kind(tmp_path: Path) -> None:
    flat = np.concatenate([dancer_xy("seesaw", seed=0), np.ones((60, 17, 1), np.float32)], axis=2)
    write_alphapose(tmp_path / "no_scores.json", flat)
    with pytest.raises(WeightsError, match=r"alphapose, without scores .* trained on keypoints by alphapose, with sc"):
        tag("--keypoints", str(tmp_path / "no_scores.json"), *RATE)
    write_text(tmp_path, "a", STYLES)
    with pytest.raises(WeightsError, match=r"by an unknown estimator.*--made-by"):
        tag("--keypoints", str(tmp_path / "X_a.txt"), *RATE)
    assert tag("--keypoints", str(tmp_path / "X_a.txt"), *RATE, "--made-by", "alphapose", "--quiet") == 0
    (tmp_path / "other").mkdir()
    write_keypoints(tmp_path / "other", {"a": [keypoint_rows("a", "a", dancer_xy("seesaw", seed=0))]})
    with pytest.raises(WeightsError, match="an unknown estimator, without scores"):
        tag("--keypoints", str(tmp_path / "other"))


OF_OTHERS = [("openpose", "dance"), ("csv", "dance.csv"), ("coco-results", "dance.json")]


@pytest.mark.parametrize(("name", "target"), OF_OTHERS)
def test_whatever_can_be_converted_can_be_taken(tmp_path: Path, name: str, target: str) -> None:
    scored = with_scores(dancer_xy("seesaw", seed=0))
    write_alphapose(tmp_path / "from.json", scored)
    settings = ConvertSettings(video_id="dance", frames_per_second=10)
    convert(str(tmp_path / "from.json"), str(tmp_path / "from.parquet"), settings)
    (tmp_path / "poses").mkdir()
    convert(str(tmp_path / "from.parquet"), str(tmp_path / "poses" / target), ConvertSettings(), target_format=name)
    given = looked_at(tmp_path / "poses")
    assert list(looked_at(tmp_path / "poses" / target).files) == ["dance"]
    assert (list(given.files), given.origin.has_scores) == (["dance"], True)
    assert given.origin.made_by == {"openpose": "openpose"}.get(name, "unknown")
    taken = take_keypoints(given, TrainConfig(catalog="-", output=str(tmp_path / "out")))
    ((video_id, sequence),) = (
        pair for part in (tmp_path / "out" / "keypoints").rglob("*.parquet")
        for pair in read_videos(str(part), {v.video_id: v.content_id for v in given.catalog.videos()})
    )  # fmt: skip
    assert (video_id, taken.statuses) == ("dance", {"ok": 1})
    np.testing.assert_allclose(sequence.keypoints_xy, scored[..., :2], atol=0.1)


def test_larger_keypoint_sets_are_kept_whole_and_told_apart(tmp_path: Path) -> None:
    coco = with_scores(dancer_xy("seesaw", seed=0))
    halpe = np.concatenate([coco, coco[:, :9]], axis=1)
    write_alphapose(tmp_path / "poses" / "a.json", halpe)
    write_alphapose(tmp_path / "poses" / "b.json", coco)
    given = looked_at(tmp_path / "poses")
    assert str(given.origin).startswith("keypoints by alphapose (halpe-26), with scores")
    taken = take_keypoints(given, TrainConfig(catalog="-", output=str(tmp_path / "out")))
    assert [name for name, _ in taken.problems] == ["b"]
    (part,) = (tmp_path / "out" / "keypoints").rglob("*.parquet")
    assert len(pq.read_table(part)["other_keypoints_xy"][0].as_py()) == 18


def test_one_kind_without_scores_among_others_is_quarantined(tmp_path: Path) -> None:
    write_folder(tmp_path / "poses", 1)
    xy = dancer_xy("seesaw", seed=0)
    write_alphapose(tmp_path / "poses" / "flat.json", np.concatenate([xy, np.ones((60, 17, 1))], axis=2))
    given = looked_at(tmp_path / "poses")
    taken = take_keypoints(given, TrainConfig(catalog="-", output=str(tmp_path / "out")))
    ((name, reason),) = taken.problems
    assert (name, "without scores" in reason) == ("flat", True)


def test_labels_are_found_by_the_names_of_videos(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = write_folder(tmp_path / "poses", 4)
    with labels.open("a") as file:
        file.write("lost.mp4,seesaw,x\n")
    (tmp_path / "poses" / "nobody_knows.json").write_text("[]")
    found = labelled(tmp_path / "poses", "--labels", str(labels))
    assert found == {f"{s}_{i}": (s, f"{s}-{i // 2}") for s in STYLES for i in range(4)}
    assert "keypoints without a label, left out of training: 1 video (nobody_knows)" in caplog.text
    assert "labels without keypoints, left out: 1 video (lost.mp4)" in caplog.text


def test_results_in_a_folder_each_are_named_and_labelled_by_folders(tmp_path: Path) -> None:
    for style in STYLES:
        for name in ("one", "two"):
            folder = tmp_path / "poses" / style / name
            write_alphapose(folder / "alphapose-results.json", with_scores(dancer_xy(style, seed=0)))
            (folder / "sep-json").mkdir()
            (folder / "sep-json" / "0.json").write_text("{}")
    found = labelled(tmp_path / "poses", "--labels-from", "folders")
    assert {name: label for name, (label, _) in found.items()} == {
        f"{s}/{n}": s for s in STYLES for n in ("one", "two")
    }


def test_text_brings_its_own_labels(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "train", [*STYLES, *STYLES])
    x, y = write_text(tmp_path / "a", "test", [*STYLES, *STYLES])
    names = ("--class-names", ",".join(STYLES))
    found = labelled(tmp_path / "a", *names)
    assert list(found)[:2] == ["X_test/sequence-000001", "X_test/sequence-000002"]
    assert [label for label, _ in found.values()] == [*STYLES] * 4
    assert [label for label, _ in labelled(x, *names).values()] == [*STYLES] * 2  # Y_test.txt lies beside it
    other = y.rename(tmp_path / "other.txt")
    assert [label for label, _ in labelled(x, "--labels", str(other)).values()] == ["1", "2", "3"] * 2


def test_a_sequence_has_as_many_lines_as_is_said(tmp_path: Path) -> None:
    x, _ = write_text(tmp_path, "a", STYLES, num_lines=50)
    assert len(looked_at(x, sequence_lines=50).catalog) == 3
    with pytest.raises(TableError, match=r"150 lines are not a whole number of sequences of 100 lines.*sequence-lines"):
        looked_at(x)


def test_tables_of_an_extraction_keep_their_fingerprint_and_their_3d(tmp_path: Path) -> None:
    rows = keypoint_rows("a", "content", dancer_xy("seesaw", seed=0))
    xyz = pa.array(np.random.default_rng(0).random((60, 51), np.float32).tolist(), pa.list_(pa.float32()))
    rows = rows.set_column(rows.column_names.index("keypoints_xyz"), schemas.KEYPOINTS.field("keypoints_xyz"), xyz)
    folder = tmp_path / "elsewhere" / "keypoints" / "f00df00d"
    folder.mkdir(parents=True)
    with pq.ParquetWriter(folder / "part-1.parquet", schemas.KEYPOINTS) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata({"choreai.pose_fingerprint": "f00df00d"})
    for place in (tmp_path / "elsewhere", folder.parent, folder):
        given = looked_at(place, frames_per_second=None)
        assert given.origin.pose_fingerprint == "f00df00d"
    take_keypoints(given, TrainConfig(catalog="-", output=str(tmp_path / "out")))
    (part,) = (tmp_path / "out" / "keypoints" / "f00df00d").iterdir()
    assert pq.read_table(part)["keypoints_xyz"].to_pylist() == rows["keypoints_xyz"].to_pylist()
    with pytest.raises(ConfigError, match="leave out --made-by"):
        looked_at(folder, made_by="openpose")


def test_windows_of_keypoints_are_those_of_their_video(tmp_path: Path) -> None:
    write_folder(tmp_path / "poses", 1)
    given = looked_at(tmp_path / "poses")
    output = str(tmp_path / "out")
    taken = take_keypoints(given, TrainConfig(catalog="-", output=output))
    assert taken.statuses == {"ok": 3}
    found = read_windows(
        output, taken.pose_fingerprint, list(given.catalog.videos()), GivenArmsWorker.load_model("").config.windows
    )
    assert {name: len(windows) for name, windows in found.windows.items()} == {f"{s}_0": 5 for s in STYLES}
    videos = read_table(output, "videos", taken.pose_fingerprint, schemas.VIDEOS, columns=["num_rows", "width"])
    assert videos.to_pydict() == {"num_rows": [60] * 3, "width": [None] * 3}


def _nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.md").write_text("none")


def _mixed(folder: Path) -> None:
    write_folder(folder, 1)
    pq.write_table(keypoint_rows("a", "a", dancer_xy("seesaw", seed=0)), folder / "a.parquet")


def _all_broken(folder: Path) -> None:
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.json").write_text("{")


def _nan(folder: Path) -> None:
    x, _ = write_text(folder, "a", STYLES)
    lines = x.read_text().splitlines()
    lines[149] = "nan" + lines[149][lines[149].index(",") :]
    x.write_text("\n".join(lines))


def _short_line(folder: Path) -> None:
    x, _ = write_text(folder, "a", STYLES)
    x.write_text(x.read_text().replace(",", ";", 1))


def _too_few_labels(folder: Path) -> None:
    _, y = write_text(folder, "a", STYLES)
    y.write_text("1\n2\n")


def _no_labels(folder: Path) -> None:
    _, y = write_text(folder, "a", STYLES)
    y.unlink()


def _other_labels(folder: Path) -> None:
    write_folder(folder, 1).write_text("video_id,label\nx,waltz\n")


@pytest.mark.parametrize(
    ("make", "flags", "error", "message"),
    [
        (_nothing, (), ConfigError, r"no keypoint files here \(1 \.md\)"),
        (_mixed, (), ConfigError, r"several kinds: 3 alphapose-json \(.*1 parquet \(a\.parquet\)"),
        (_all_broken, (), TableError, "none of 2 keypoint files can be used; the first: .*a.json"),
        (_nan, (), TableError, r"X_a\.txt: line 150, column 1: 'nan' is not a finite"),
        (_short_line, (), TableError, r"line 1 has 50 comma-separated values; it needs 51"),
        (_too_few_labels, (), TableError, r"Y_a\.txt: 2 labels, but .*X_a\.txt holds 3 sequences"),
        (_no_labels, (), CatalogError, r"X_a\.txt: no file of labels beside it"),
        (_other_labels, ("--labels", "labels.csv"), CatalogError, "no video_id of it is one of the keypoints"),
        (lambda folder: write_folder(folder, 1), (), CatalogError, "keypoints without labels; give a CSV"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_told_by_name(
    tmp_path: Path, make: Callable[[Path], object], flags: tuple[str, ...], error: type[ChoreaiError], message: str
) -> None:
    make(tmp_path / "poses")
    with pytest.raises(error, match=message):
        labelled(tmp_path / "poses", *(str(tmp_path / "poses" / f) if f == "labels.csv" else f for f in flags))


def test_the_rate_is_asked_for_where_files_have_no_times(tmp_path: Path) -> None:
    write_folder(tmp_path / "poses", 1)
    with pytest.raises(ConfigError, match="alphapose-json has no times; say with --frames-per-second"):
        looked_at(tmp_path / "poses", frames_per_second=None)


def test_wrong_input_ends_with_2_before_anything_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ("--output", str(tmp_path / "out"))
    assert main(["train", "--keypoints", str(tmp_path / "none"), *output]) == 2
    assert main(["train", "catalog.csv", "--keypoints", str(tmp_path), *output]) == 2
    assert main(["tag", "--keypoints", str(tmp_path), "--limit", "2", *output]) == 2
    said = capsys.readouterr().err
    for words in ("no such file or folder; check --keypoints", "not both", "limit, since and max_hours are for videos"):
        assert words in said


def test_a_recording_may_be_faster_than_any_video(tmp_path: Path) -> None:
    flags = ["--keypoints", str(tmp_path), "--output", str(tmp_path / "out"), "--frames-per-second", "300"]
    config = load_job(TrainConfig, train_parser(None).parse_args(flags)).config
    assert (config.keypoints.frames_per_second, config.pose.frames_per_second) == (300, 15)


def test_keypoints_in_a_store_are_found_and_taken(store_uri: str, tmp_path: Path) -> None:
    write_folder(tmp_path, 1)
    for path in tmp_path.glob("*.json"):
        put_object(f"{store_uri}/poses/solo/{path.name}", path.read_bytes())
    given = look_at_keypoints(KeypointSettings(source=f"{store_uri}/poses", frames_per_second=10))
    assert sorted(given.files) == [f"solo/{style}_0" for style in sorted(STYLES)]
    assert take_keypoints(given, TrainConfig(catalog="-", output=f"{store_uri}/out")).statuses == {"ok": 3}


def test_hidden_files_and_tables_of_labels_are_no_keypoints(tmp_path: Path) -> None:
    write_folder(tmp_path, 1)
    (tmp_path / ".cache.json").write_text("[]")
    write_folder(tmp_path / "out", 1)
    found = find_keypoint_files(str(tmp_path), but=[str(tmp_path / "out")])
    assert len(find_keypoint_files(str(tmp_path / "out"), but=[str(tmp_path / "out")])) == 3
    assert [file.name for file in found] == [f"{style}_0" for style in sorted(STYLES)]
