"""Teaching a style by examples: it is found, the others stay exactly as they were, and what to expect is said."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made_predictions import predictions_of
from motion_tables import WINDOWS, rows_of, write_output
from moving_skeletons import STYLES, dancer_xy, keypoint_rows

from choreai.api.teach import teach
from choreai.cli.main import main
from choreai.motion.windows import cut_windows
from choreai.search.corrections import read_corrections
from choreai.style.examples import Inputs
from choreai.style.model import StyleModel, StyleModelConfig, load_model, newest_model
from choreai.style.predictions import write_predictions
from choreai.style.tagging import tag_sequence
from choreai.style.taught import TaughtStyle, teach_style
from choreai.tables.keypoints import sequence_of

KNOWN = [f"{style}-{seed}" for style in ("clockwise", "counter") for seed in range(10)]
EXAMPLES = ["seesaw-0", "seesaw-1", "seesaw-2"]
NEW = ["seesaw-7", "seesaw-8"]
ARMS = [7, 8, 9, 10]


def video_of(name: str) -> pa.Table:
    """The new style is danced with raised arms: the network here is not trained, and sees no finer difference."""
    if not name.startswith("seesaw"):
        return rows_of(name)
    xy = dancer_xy("seesaw", seed=int(name.split("-")[1]))
    xy[:, ARMS, 1] -= 80
    return keypoint_rows(name, "c1", xy)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two styles with the videos of its training, and a few of a third style."""
    root = tmp_path_factory.mktemp("teach")
    videos = {name: video_of(name) for name in [*KNOWN, *EXAMPLES, *NEW]}
    version = write_output(root, videos, labels=STYLES[:2])
    predictions = predictions_of(
        np.full((len(KNOWN), 2), 0.5), [STYLES.index(name.split("-")[0]) for name in KNOWN], labels=STYLES[:2]
    )
    write_predictions(
        f"{root}/models/{version}/predictions.parquet",
        replace(predictions, video_ids=tuple(KNOWN), groups=tuple(KNOWN)),
    )
    return root


@pytest.fixture(scope="module")
def models(output: Path) -> tuple[StyleModel, StyleModel]:
    """Before and after."""
    (before,) = (output / "models").iterdir()
    lesson = teach("seesaw", EXAMPLES, output=str(output), reviewer="ann")
    assert lesson.taught_from == before.name
    return load_model(str(before)), load_model(lesson.model_uri)


def tag_of(name: str, model: StyleModel):
    tag = tag_sequence(sequence_of(video_of(name)), model).tag
    assert tag is not None
    return tag


def test_videos_of_the_taught_style_are_tagged_with_it(models: tuple[StyleModel, StyleModel]) -> None:
    for name in [*EXAMPLES, *NEW]:
        prediction = tag_of(name, models[1]).prediction
        assert (prediction.style, prediction.doubt) == ("seesaw", None)
        assert prediction.score >= 0.5


def test_a_video_that_is_not_taken_for_it_keeps_its_tag_and_scores(models: tuple[StyleModel, StyleModel]) -> None:
    before, after = models
    num_same = 0
    for name in KNOWN[::3]:
        old, new = tag_of(name, before), tag_of(name, after)
        if new.prediction.style != "seesaw":
            num_same += 1
            assert new.prediction == old.prediction
            assert new.distribution == {**old.distribution, "seesaw": 0.0}
    assert num_same >= 5


def test_the_distribution_of_a_taught_style_still_sums_to_one(models: tuple[StyleModel, StyleModel]) -> None:
    distribution = tag_of(NEW[0], models[1]).distribution
    assert list(distribution) == [*STYLES[:2], "seesaw"]
    assert sum(distribution.values()) == pytest.approx(1, abs=1e-6)


def test_the_old_model_stays_and_the_new_one_is_the_newest(output: Path, models: tuple[StyleModel, StyleModel]) -> None:
    before, after = models
    assert before.model_version != after.model_version
    assert {path.name for path in (output / "models").iterdir()} >= {before.model_version, after.model_version}
    assert after.training["taught_from"] == before.model_version
    assert after.config.taught["seesaw"].video_ids == tuple(EXAMPLES)
    assert newest_model(str(output)) is not None


def test_a_model_without_taught_styles_is_written_as_it_was_before_there_were_any(
    models: tuple[StyleModel, StyleModel],
) -> None:
    assert "taught" not in models[0].config.to_json()
    assert "taught" in models[1].config.to_json()


def test_the_examples_are_reviews_which_the_next_training_takes_over(
    output: Path, models: tuple[StyleModel, StyleModel]
) -> None:
    reviews = read_corrections(str(output)).to_pylist()
    assert {(row["video_id"], row["style"], row["reviewer"]) for row in reviews} == {
        (name, "seesaw", "ann") for name in EXAMPLES
    }


def test_taught_again_a_style_is_replaced_and_a_second_one_comes_beside_it(
    output: Path, models: tuple[StyleModel, StyleModel], tmp_path: Path
) -> None:
    uri = f"{output}/models/{models[1].model_version}"
    again = load_model(teach("seesaw", [*EXAMPLES, NEW[0]], output=str(output), reviewer="ann", model=uri).model_uri)
    assert again.config.labels == models[1].config.labels
    assert len(again.config.taught["seesaw"].video_ids) == 4
    other = load_model(teach("waltz", [NEW[1]], output=str(output), reviewer="ann", model=uri).model_uri)
    assert other.config.labels == (*STYLES[:2], "seesaw", "waltz")
    assert other.config.taught["waltz"].expectation.precision is None


def clusters(num: int, *, seed: int, place: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = np.zeros((1, 128))
    centers[0, place] = 1.0
    return (centers + rng.normal(0, 0.05, (num, 128))).astype(np.float32)


def taught_by(num: int) -> TaughtStyle:
    known = np.concatenate([clusters(30, seed=1, place=0), clusters(30, seed=2, place=1)])
    examples = clusters(num, seed=3, place=2)
    return teach_style(examples, known, np.repeat([0, 1], 30), video_ids=[str(n) for n in range(num)])


@pytest.mark.parametrize("num", [1, 3, 5])
def test_a_style_apart_is_found_and_the_known_ones_are_not_taken_for_it(num: int) -> None:
    style = taught_by(num)
    assert (style.evidence(clusters(200, seed=4, place=2)) > 0).mean() > 0.7
    assert (style.evidence(clusters(200, seed=5, place=0)) > 0).mean() < 0.1
    if num > 1:
        assert style.expectation.found_share == pytest.approx((num + 1) / (num + 2))
        assert 0.8 < (style.expectation.precision or 0) < 1


def test_a_style_like_a_known_one_is_expected_to_be_wrong() -> None:
    known = np.concatenate([clusters(30, seed=1, place=0), clusters(30, seed=2, place=1)])
    style = teach_style(clusters(5, seed=3, place=0), known, np.repeat([0, 1], 30), video_ids=list("abcde"))
    assert (style.expectation.found_share or 0) < 0.5


def test_what_is_stored_comes_back(models: tuple[StyleModel, StyleModel]) -> None:
    style = taught_by(2)
    assert TaughtStyle.from_dict(json.loads(json.dumps(asdict(style)))) == style
    inputs = Inputs.from_windows(cut_windows(sequence_of(video_of(NEW[0])), WINDOWS))
    assert models[1].calibrated(models[1].window_log_scores(inputs)).shape == (len(inputs), 3)


def test_labels_and_taught_styles_must_fit_each_other(models: tuple[StyleModel, StyleModel]) -> None:
    config: StyleModelConfig = models[1].config
    with pytest.raises(ValueError, match="the last labels must be the styles taught"):
        replace(config, labels=("seesaw", *STYLES[:2]))


def test_the_command_says_what_to_expect(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = next(path for path in (output / "models").iterdir() if not load_model(str(path)).config.taught)
    arguments = ["teach", "tango", *EXAMPLES, "--output", str(output), "--model", str(before), "--reviewer", "ann"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "tango: taught by 3 videos, told from 20 of known styles" in said
    assert "of its tags should be right" in said
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["style"]["video_ids"] == EXAMPLES
    assert main(["teach", "Clockwise", *EXAMPLES, "--output", str(output), "--model", str(before)]) == 2
    assert "was trained on 'clockwise' already" in capsys.readouterr().err


def test_without_the_videos_of_its_training_nothing_can_be_taught(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = next(path for path in (output / "models").iterdir() if not load_model(str(path)).config.taught)
    write_output(tmp_path, {"seesaw-0": rows_of("seesaw-0")}, labels=STYLES[:2], num_parts=1)
    arguments = ["teach", "tango", "seesaw-0", "--output", str(tmp_path), "--reviewer", "ann"]
    assert main(arguments) == 2
    assert "there is no predictions.parquet" in capsys.readouterr().err
    assert main([*arguments, "--model", str(before)]) == 2
    assert "has 0 of the 20 videos" in capsys.readouterr().err
    assert isinstance(read_corrections(str(tmp_path)), pa.Table)
    assert len(read_corrections(str(tmp_path))) == 0
