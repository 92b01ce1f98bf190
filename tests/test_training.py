"""Training: the loop by itself, and whole runs on Ray Train."""

import copy
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from fitted import CPU, SETTINGS, dataset_of, fit_all, fitted, fitted_by, weights_equal
from moving_skeletons import FINGERPRINT, STYLES, videos_of

from choreai.errors import ChoreaiWarning, TableError
from choreai.style.evaluation.baselines import mean_pose_regression, mean_speed_regression
from choreai.style.evaluation.evaluate import evaluate
from choreai.style.examples import Examples
from choreai.style.model import log_scores_of
from choreai.style.settings import TrainSettings
from choreai.style.training.dataset import Dataset
from choreai.style.training.distributed import Fitted, Progress, TrainResources
from choreai.style.training.fit_state import FitState, dump_state, load_state
from choreai.style.training.fitting import DivergedError
from choreai.style.training.training import networks_of, predict_left_out, predict_out_of_fold, train_style


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As a Ray Train worker with one CPU: sums of more threads may differ in the last digit."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return dataset_of(videos_of(10), SETTINGS)


@pytest.fixture(scope="module")
def examples(dataset: Dataset) -> Examples:
    return dataset.examples


def test_motion_is_learnt_that_neither_mean_pose_nor_mean_speed_shows(dataset: Dataset) -> None:
    settings = replace(SETTINGS, patience_epochs=0)  # so few videos: the next fold had better train
    state = fitted(settings, dataset.examples, num_members=None)
    predictions = predict_out_of_fold(networks_of(state.done, settings, STYLES), dataset)
    assert predictions.is_right.mean() >= 0.9
    for baseline in (mean_pose_regression, mean_speed_regression):
        assert baseline(predictions, dataset.examples.inputs.steps).is_right.mean() < 0.7


def test_the_same_seed_gives_the_same_network_and_another_seed_another(examples: Examples) -> None:
    short = replace(SETTINGS, num_epochs=3)
    first = fitted(short, examples)
    torch.manual_seed(99)  # a global generator in whatever state must not matter
    assert weights_equal(fitted(short, examples), first)
    assert not weights_equal(fitted(replace(short, seed=1), examples), first)


@pytest.mark.parametrize("num_workers", [2, 3])
def test_the_number_of_workers_changes_no_more_than_rounding(examples: Examples, num_workers: int) -> None:
    short = replace(SETTINGS, network="style", dropout=0.5, augment=True, num_epochs=3)  # all that is random
    alone, together = fitted(short, examples), fitted_by(num_workers, short, examples)
    # Scores and not weights: Adam makes much of the rounding in weights without influence.
    scores = [
        log_scores_of(networks_of(state.done, short, STYLES), examples.inputs, num_labels=len(STYLES))
        for state in (alone, together)
    ]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
    for a, b in zip(alone.history, together.history, strict=True):
        assert (a.train_loss, a.validation_loss) == pytest.approx((b.train_loss, b.validation_loss), abs=1e-4)
        assert (a.train_accuracy, a.validation_accuracy) == pytest.approx((b.train_accuracy, b.validation_accuracy))


def test_workers_without_a_window_in_a_batch_keep_in_step(examples: Examples) -> None:
    tiny = replace(SETTINGS, num_epochs=1, batch_size=1)
    assert weights_equal(fitted(tiny, examples), fitted_by(3, tiny, examples), tolerance=1e-4)


@pytest.mark.parametrize("stopped_at", [4, 6, 9])
def test_a_run_resumed_from_a_checkpoint_ends_as_if_never_stopped(examples: Examples, stopped_at: int) -> None:
    short = replace(SETTINGS, num_epochs=6)  # stopped in the first network, between two, in the second
    checkpoints: dict[int, bytes] = {}
    whole = FitState()

    def keep(state: FitState) -> None:
        checkpoints[len(state.history)] = dump_state(state)

    fit_all(whole, examples, short, num_members=2, on_epoch=keep)
    resumed = load_state(checkpoints[stopped_at], short, num_labels=len(STYLES), device=CPU)
    assert len(resumed.history) == stopped_at
    fit_all(resumed, examples, short, num_members=2)
    assert weights_equal(resumed, whole)
    assert resumed.history == whole.history


def test_a_network_learns_nothing_of_the_fold_it_is_tested_on(examples: Examples) -> None:
    short = replace(SETTINGS, num_epochs=2)
    inputs = copy.deepcopy(examples.inputs)
    for array in (inputs.steps, inputs.xyz, inputs.kinematic_features):
        array[examples.fold == 0] = 7.0
    changed = replace(examples, inputs=inputs, label_index=np.where(examples.fold == 0, 0, examples.label_index))
    both = [fitted(short, e, num_members=2) for e in (examples, changed)]
    first, second = ([state.done[i] for state in both] for i in (0, 1))
    assert all(torch.equal(first[0][name], first[1][name]) for name in first[0])
    assert not all(torch.equal(second[0][name], second[1][name]) for name in second[0])


def test_a_source_cut_in_blocks_is_judged_by_a_network_that_saw_nothing_of_it() -> None:
    videos = [
        replace(video, group=f"{video.label} {'large' if int(video.video_id.split('_')[1]) < 7 else 'small'}")
        for video in videos_of(10)
    ]
    short = replace(SETTINGS, num_epochs=2, when_one_group="blocks")
    with pytest.warns(ChoreaiWarning):
        dataset = dataset_of(videos, short)
    fitted_on: list[Examples] = []

    def fit(dataset: Dataset, settings: TrainSettings, num_members: int | None = None) -> Fitted:
        fitted_on.append(dataset.examples)
        state = fitted(settings, dataset.examples, num_members=num_members)
        return Fitted(tuple(state.done), tuple(state.history))

    predictions = predict_out_of_fold(networks_of(fit(dataset, short).members, short, STYLES), dataset)
    found = predict_left_out(predictions, dataset, short, fit)
    assert list(found) == [f"{style} large" for style in STYLES]
    large = np.array(dataset.examples.groups)[dataset.examples.video_index] == "counter large"
    assert found["counter large"].shape == (large.sum(), len(STYLES))
    assert (fitted_on[1].fold[large] == 1).all()  # its windows, and no others, are held out of one network
    assert (fitted_on[1].fold[~large] != 1).all()
    metrics = evaluate(predictions, baselines={}, leaky=None, unseen=found, target_precision=0.9, seed=0)
    assert metrics.unseen is not None
    assert {(s.group, s.num_videos, s.num_left) for s in metrics.unseen.sources} >= {
        ("counter large", 7, 3),
        ("counter small", 3, 7),
    }


def test_the_epoch_with_the_lowest_validation_loss_is_kept(examples: Examples) -> None:
    # Without averaging, and with far too large steps late: the last epoch is not the best.
    wild = replace(SETTINGS, num_epochs=12, average_decay=0.0, learning_rate=0.05, schedule="stairs", decay_epochs=99)
    at_epoch: list[dict[str, torch.Tensor]] = []

    def keep(state: FitState) -> None:
        if state.member is not None:
            at_epoch.append(copy.deepcopy(state.member.network.state_dict()))

    state = FitState()
    fit_all(state, examples, wild, num_members=1, on_epoch=keep)
    losses = [result.validation_loss for result in state.history]
    best = int(np.argmin(np.array(losses, np.float64)))
    assert best < len(losses) - 1
    assert all(torch.equal(state.done[0][name], at_epoch[best][name]) for name in at_epoch[best])


def test_training_stops_early_once_validation_gets_no_better(examples: Examples) -> None:
    labels = np.random.default_rng(0).permutation(examples.label_index)  # nothing to learn that holds elsewhere
    hopeless = replace(examples, label_index=labels)
    state = fitted(replace(SETTINGS, num_epochs=60, patience_epochs=3), hopeless)
    losses = np.array([result.validation_loss for result in state.history], np.float64)
    assert len(losses) < 60
    assert len(losses) - 1 - losses.argmin() == 3


def test_without_patience_all_other_folds_train_to_the_end(examples: Examples) -> None:
    state = fitted(replace(SETTINGS, num_epochs=4, patience_epochs=0), examples)
    assert [result.validation_loss for result in state.history] == [None] * 4


def test_rare_classes_count_as_much_as_frequent_ones(examples: Examples) -> None:
    frequent = np.flatnonzero((examples.label_index != 0) | (examples.video_index < 4))  # a few of the first class
    uneven = examples.take(frequent)
    blind = replace(uneven, inputs=replace(uneven.inputs, steps=np.zeros_like(uneven.inputs.steps)))
    shares = {}
    for balance in (False, True):
        settings = replace(SETTINGS, num_epochs=8, balance_classes=balance, label_smoothing=0.0, patience_epochs=0)
        (network,) = networks_of(fitted(settings, blind).done, settings, STYLES)
        scores = log_scores_of([network], blind.inputs, num_labels=len(STYLES))
        shares[balance] = float(np.exp(scores[0, 0]))
    assert shares[False] < 0.25
    assert shares[True] == pytest.approx(1 / 3, abs=0.04)


def test_a_checkpoint_is_never_unpickled(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trap,)

    with pytest.raises(pickle.UnpicklingError):
        load_state(pickle.dumps(Trap(), protocol=2), SETTINGS, num_labels=len(STYLES), device=CPU)
    assert not trap.exists()


def test_the_learning_rate_goes_down_in_stairs_or_along_a_cosine(examples: Examples) -> None:
    def rates(**changes: Any) -> list[float]:
        settings = replace(SETTINGS, num_epochs=4, **changes)
        return [result.learning_rate for result in fitted(settings, examples).history]

    stairs = rates(schedule="stairs", decay_epochs=2, learning_rate_decay=0.1)
    np.testing.assert_allclose(stairs, [0.01, 0.01, 0.001, 0.001])
    np.testing.assert_allclose(rates(schedule="cosine"), 0.005 * (1 + np.cos(np.pi * np.arange(4) / 4)))


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_weight_decay_is_on_all_weights(examples: Examples, optimizer: Literal["adam", "adamw"]) -> None:
    settings = replace(SETTINGS, num_epochs=5, optimizer=optimizer)
    free, held = (
        networks_of(fitted(replace(settings, weight_decay=decay), examples).done, settings, STYLES)[0]
        for decay in (0.0, 0.1 if optimizer == "adam" else 5.0)
    )
    for name, weights in held.named_parameters():
        assert weights.norm() < free.get_parameter(name).norm(), name


def test_a_loss_that_is_not_finite_stops_training(examples: Examples) -> None:
    inputs = copy.deepcopy(examples.inputs)
    inputs.steps[np.flatnonzero(examples.fold == 2)[0]] = np.nan
    with pytest.raises(DivergedError, match="lower the learning rate"):
        fitted(SETTINGS, replace(examples, inputs=inputs))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 0),
        ("num_epochs", 0),
        ("seed", -1),
        ("learning_rate", 0.0),
        ("learning_rate_decay", 1.5),
        ("weight_decay", float("inf")),
        ("num_folds", 1),
        ("dropout", 1.0),
        ("patience_epochs", -1),
        ("target_precision", 1.0),
        ("network", "transformer"),
        ("schedule", "up"),
        ("when_one_group", "shrug"),
    ],
)
def test_impossible_settings_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        TrainSettings(**{name: value})  # type: ignore[arg-type]


def nothing(progress: Progress) -> None:
    pass


def test_videos_without_keypoints_are_named_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no window of 12 labelled videos.*12 without keypoints"):
        train_style(
            videos_of(4),
            tables_uri=str(tmp_path),
            pose_fingerprint=FINGERPRINT,
            output_uri=str(tmp_path),
            settings=SETTINGS,
            resources=TrainResources(),
            on_progress=nothing,
        )
