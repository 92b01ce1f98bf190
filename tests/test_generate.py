"""New dances: bodies whose bones keep their length and whose feet stand, in files that say they are made up."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from choreai.arrays import Float64Array
from choreai.cli.main import main
from choreai.demo.dancers import STYLES, Dancer
from choreai.demo.joints import body_of_joints, skeleton_of_joints
from choreai.errors import ChoreaiWarning, ConfigError, WeightsError
from choreai.formats.bvh import read_bvh
from choreai.formats.settings import ConvertSettings
from choreai.generate import measures
from choreai.generate.choreography import generate_dances
from choreai.generate.dances import Dance, Windows, beat_features, generated_dances
from choreai.generate.diffusion import kept
from choreai.generate.distributed import dances_from_bytes, dances_to_bytes
from choreai.generate.feet import lock_feet
from choreai.generate.fitting import FitSettings, FitState, Share, fit, fitted
from choreai.generate.judging import judge, measure
from choreai.generate.model import Generator, GeneratorConfig, shipped_generator
from choreai.generate.plan import Plan, steady_beats
from choreai.generate.representation import LEFT_ANKLE, Proportions, decode, encode, heading

TIMES = np.arange(90) / 15
LABELS = ("afrobeat", "classical", "hiphop")


@pytest.fixture(scope="module")
def dancer() -> Dancer:
    return Dancer("hiphop", 7)


@pytest.fixture(scope="module")
def joints(dancer: Dancer) -> Float64Array:
    return dancer.skeleton(TIMES).keypoints_xyz


@pytest.fixture(scope="module")
def dances() -> list[Dance]:
    return list(generated_dances(range(900_000, 900_006), seconds=12))


@pytest.fixture(scope="module")
def small(dances: list[Dance]) -> Generator:
    """A generator that has learned next to nothing, but is one."""
    config = GeneratorConfig(LABELS, num_frames=30, size=16, num_layers=1, num_heads=2)
    windows = Windows(dances, labels=LABELS, num_frames=30)
    settings = FitSettings(num_steps=3, batch_size=4)
    state = FitState(config, settings, Share())
    fit(state, windows, settings)
    return fitted(state, config, windows)


# --- movement as numbers ---


def test_a_movement_comes_back_from_its_numbers(dancer: Dancer, joints: Float64Array) -> None:
    height = dancer.body.height
    features = encode(joints, height=height)
    start = joints[0, 11:13].mean(0)
    back = decode(features, height=height, start_xz=(start[0], start[2]), start_yaw=heading(joints)[0])
    assert np.abs(back[:, 11:13].mean(1) - joints[:, 11:13].mean(1)).max() < 1e-3
    assert np.abs(heading(back) - heading(joints)).max() < 0.1
    assert np.abs(back - joints).max() < 0.12  # this body is not the mean one


def test_bones_keep_their_length(small: Generator) -> None:
    made = generate_dances(small, Plan(LABELS[:1], 4, steady_beats(100, 4)), locks_feet=False)[0]
    for start, end in ((5, 7), (7, 9), (11, 13), (13, 15), (11, 12), (5, 6)):
        lengths = np.linalg.norm(made[:, start] - made[:, end], axis=1)
        assert lengths.std() < 1e-4 * lengths.mean()


def test_turning_the_whole_dance_changes_no_number(joints: Float64Array) -> None:
    turned = joints @ np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]).T
    assert np.allclose(encode(turned, height=1.7), encode(joints, height=1.7), atol=1e-4)


def test_joints_that_are_missing_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        encode(np.full((5, 17, 3), np.nan), height=1.7)


# --- feet ---


def test_a_foot_that_stands_is_held_and_its_leg_keeps_its_length(joints: Float64Array, dancer: Dancer) -> None:
    rng = np.random.default_rng(0)
    slipping = joints + np.cumsum(rng.normal(0, 0.004, (len(joints), 1, 3)) * [1, 0, 1], axis=0)
    height = dancer.body.ankle_height
    held = lock_feet(slipping, standing_height=height, frames_per_second=15)

    def slide(joints: Float64Array) -> float:
        return measures.foot_slide(joints, standing_height=height, frames_per_second=15)

    assert slide(held) < 0.5 * slide(slipping)
    for start, end in ((11, 13), (13, 15)):
        lengths = np.linalg.norm(held[:, start] - held[:, end], axis=1)
        assert np.allclose(lengths, lengths[0])


def test_no_foot_goes_through_the_floor(joints: Float64Array) -> None:
    sunk = joints - np.array([0, 0.1, 0])
    assert lock_feet(sunk, standing_height=0.07, frames_per_second=15)[:, LEFT_ANKLE, 1].min() > 0.069


# --- the plan ---


def test_styles_change_at_a_beat() -> None:
    plan = Plan(("afrobeat", "hiphop"), 10, steady_beats(100, 10))
    styles = plan.style_of_frame()
    change = styles.index("hiphop") / 15
    assert abs(change - 5) < 0.6
    assert min(abs(change - beat) for beat in plan.beats) <= 1 / 15


def test_the_beat_goes_on_before_the_first_and_after_the_last() -> None:
    plan = Plan(("hiphop",), 4, (1.0, 1.5, 2.0))
    assert np.allclose(plan.beat_of_frame()[[0, 15, 30, 45]], [-2, 0, 2, 4])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seconds": 0.2}, "seconds"), ({"count": 0}, "count"), ({"seed": -1}, "seed"), ({"styles": ()}, "style"),
        ({"beats": (1.0,)}, "beats"), ({"beats": (2.0, 1.0)}, "beats"), ({"height": 9.0}, "height"),
    ],
)  # fmt: skip
def test_what_cannot_be_danced_is_refused(change: dict, word: str) -> None:
    plan = Plan(("hiphop",), 4, steady_beats(100, 4))
    with pytest.raises(ConfigError, match=word):
        replace(plan, **change)


def test_a_style_that_the_generator_lacks_is_refused(small: Generator) -> None:
    with pytest.raises(ConfigError, match="does not know salsa; it dances afrobeat, classical, hiphop"):
        generate_dances(small, Plan(("salsa",), 4, steady_beats(100, 4)))


# --- the generator ---


def test_a_dance_of_any_length_begins_and_ends_as_given(small: Generator, dances: list[Dance]) -> None:
    plan = Plan(("hiphop",), 5, steady_beats(100, 5))
    known = dances[0].features[:5]
    made = generate_dances(small, plan, start_features=known, end_features=known, locks_feet=False)[0]
    assert made.shape == (75, 17, 3)
    wanted = decode(known, height=plan.height)
    assert np.allclose(made[:5], wanted, atol=2e-3)
    assert np.allclose(made[-1, :, 1], wanted[-1, :, 1], atol=2e-3)


def test_the_same_seed_makes_the_same_dance(small: Generator) -> None:
    plan = Plan(("hiphop",), 3, steady_beats(100, 3), count=2)
    first, again, other = (generate_dances(small, each) for each in (plan, plan, replace(plan, seed=1)))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first[0], first[1])


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(dances: list[Dance]) -> None:
    config = GeneratorConfig(LABELS, num_frames=30, size=16, num_layers=1, num_heads=2)
    windows, settings = Windows(dances, labels=LABELS, num_frames=30), FitSettings(num_steps=4, batch_size=4)
    whole, stopped = (FitState(config, settings, Share()) for _ in range(2))
    saved = {}
    fit(whole, windows, settings, on_step=lambda state, _: saved.update({state.step: state.to_bytes()}))
    fit(stopped.load(saved[2], step=2), windows, settings)
    assert stopped.to_bytes() == whole.to_bytes()


def test_dances_travel_without_pickles(dances: list[Dance]) -> None:
    quiet = replace(dances[1], beat=None)
    back = dances_from_bytes(dances_to_bytes([dances[0], quiet]))
    assert np.array_equal(back[0].features, dances[0].features)
    assert (back[0].style, back[0].person) == (dances[0].style, dances[0].person)
    assert back[1].beat is None
    assert not beat_features(None, 3).any()


def test_half_precision_moves_no_joint_visibly(small: Generator) -> None:
    plan = Plan(("hiphop",), 2, steady_beats(100, 2))
    read = Generator.from_bytes(small.to_bytes(), name="x")
    stored, exact = (generate_dances(each, plan, locks_feet=False) for each in (read, small))
    assert np.abs(stored - exact).max() < 0.01


@pytest.mark.parametrize("data", [b"", b"no", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_what_is_no_generator_is_refused(data: bytes) -> None:
    with pytest.raises(WeightsError, match="not a generator"):
        Generator.from_bytes(data, name="x")


def test_noise_grows_from_none_to_all() -> None:
    left = kept(torch.linspace(0, 1, 11))
    assert left[0] == 1
    assert left[-1] < 1e-3
    assert (left.diff() < 0).all()


# --- judging ---


def test_real_dances_pass_for_real_and_copies_for_copies(dances: list[Dance]) -> None:
    learned, judges, real = (
        measure(list(generated_dances(range(first, first + 6), seconds=10)), LABELS) for first in (1, 50, 90)
    )
    copied = judge(learned, learned=learned, judges=judges, real=real, num_labels=3)
    honest = judge(measure(dances, LABELS), learned=learned, judges=judges, real=real, num_labels=3)
    assert copied.copies
    assert copied.novelty < 0.01
    assert not honest.copies
    assert honest.style_by_measures > 0.8
    assert honest.frechet_kinetic < 10 * honest.real_frechet_kinetic
    assert 0.7 < honest.diversity < 1.4


def test_moving_with_the_beat_is_told_from_moving_beside_it(dances: list[Dance]) -> None:
    coherent = []
    for dance in dances:
        made = decode(dance.features, height=1.7)
        assert dance.beat is not None
        coherent.append([measures.beat_coherence(made, dance.beat * rate) for rate in (1.0, 0.8, 1.25)])
    own, slower, faster = np.mean(coherent, axis=0)
    assert own > slower
    assert own > faster


def test_the_distance_of_a_set_to_itself_is_nothing() -> None:
    some = np.random.default_rng(0).normal(size=(200, 5))
    assert measures.frechet_distance(some, some) == pytest.approx(0, abs=1e-6)
    assert measures.frechet_distance(some + 1, some) > 4


# --- pictures and files ---


def test_a_body_around_joints_has_them_where_they_are(joints: Float64Array) -> None:
    body = body_of_joints(joints, np.random.default_rng(0))
    skeleton = skeleton_of_joints(body, joints)
    assert body.height == pytest.approx(Dancer("hiphop", 7).body.height, rel=0.05)
    assert np.allclose(skeleton.bones["left_forearm"].origin, joints[:, 7])
    for name, bone in skeleton.bones.items():
        unit = bone.axes.swapaxes(1, 2) @ bone.axes
        assert np.allclose(unit, np.eye(3), atol=0.05), name


def test_generate_writes_films_and_tables_that_say_they_are_synthetic(
    tmp_path: Path, small: Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small.safetensors"
    file.write_bytes(small.to_bytes())
    words = [
        "generate",
        "--style",
        "hiphop,afrobeat",
        "--seconds",
        "2",
        "--to",
        "parquet,bvh,mp4",
        "--generator",
        str(file),
    ]
    assert main([*words, "--folder", str(tmp_path / "new"), "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["dances"]
    table_path, bvh_path, film_path = made["files"]
    with pytest.warns(ChoreaiWarning, match="never has left_eye"):
        skeleton = read_bvh(bvh_path, ConvertSettings(video_id="x"))
    lifted = np.array(skeleton["keypoints_xyz"].to_pylist(), np.float64).reshape(-1, 17, 3)
    with av.open(film_path) as film:
        assert json.loads(film.metadata["comment"])["synthetic"] is True
        assert film.streams.video[0].frames == 59
    table = pq.read_table(table_path)
    assert table.schema.metadata[b"choreai.synthetic"] == b"true"
    assert table.num_rows == len(lifted) == 30
    joints = np.array(table["joints_xyz"].to_pylist()).reshape(-1, 17, 3)
    spans = [np.linalg.norm(each[:, 9] - each[:, 10], axis=1) for each in (lifted, joints)]
    assert np.corrcoef(*spans)[0, 1] > 0.99
    assert set(table["style"].to_pylist()) == {"hiphop", "afrobeat"}


def test_a_generator_that_copies_is_refused(
    tmp_path: Path, small: Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "copies.safetensors"
    file.write_bytes(replace(small, config=replace(small.config, trained_on={"copies": True})).to_bytes())
    assert main(["generate", "--style", "hiphop", "--generator", str(file), "--folder", str(tmp_path)]) == 2
    assert "repeats dances that it learned from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "gif"], "--to has no gif"), (["--to", ","], "--to names nothing"), (["--bpm", "5"], "40 to 240"),
        (["--generator", "none.safetensors"], "no such file"),
    ],
)  # fmt: skip
def test_wrong_words_are_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--style", "hiphop", *words]) == 2
    assert said in capsys.readouterr().err


def test_lengths_are_those_of_a_body() -> None:
    lengths = Proportions().lengths()
    assert (lengths > 0.05).all()
    assert lengths.sum() < 3


def test_the_generator_that_comes_along_knows_the_demo_s_styles_and_says_what_it_is_worth() -> None:
    shipped = shipped_generator()
    assert set(shipped.config.labels) == set(STYLES)
    known = shipped.config.trained_on
    assert known["source"] == "choreai's own generated dancers"
    assert not known["copies"]
    assert known["figures"]["style_by_network"] > 0.8
