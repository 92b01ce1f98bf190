"""The trackers on generated dancers who cross, meet and return; `tests/bench_tracking.py` has all the figures."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from crossings import SCENES, Scene, Sighting, make_scene, score_perfect_ids, score_tracker

from choreai.pose.reid import ReidTracker
from choreai.pose.tracking import Tracker


def without_looks(scene: Scene) -> Scene:
    sightings = [Sighting(replace(s.poses, features=None), s.owners) for s in scene.sightings]
    return replace(scene, sightings=sightings)


@pytest.fixture(scope="module")
def circle() -> Scene:
    return make_scene("go round", 0)


@pytest.fixture(scope="module")
def returning() -> Scene:
    return make_scene("leave and return", 1)


# ---------------------------------------------------------------- the scenes


def test_a_scene_follows_from_its_name_and_seed(circle: Scene) -> None:
    again = make_scene("go round", 0)
    assert np.array_equal(again.truth.box_xyxy, circle.truth.box_xyxy)
    for ours, theirs in zip(again.sightings, circle.sightings, strict=True):
        assert np.array_equal(ours.poses.box_xyxy, theirs.poses.box_xyxy)
        assert np.array_equal(ours.owners, theirs.owners)


def test_people_hide_each_other_and_the_detector_errs(circle: Scene) -> None:
    found = np.concatenate([sighting.owners for sighting in circle.sightings])
    assert len(circle.truth) < 4 * len(circle.sightings)  # some are hidden altogether
    assert 0.8 < (found >= 0).sum() / len(circle.truth) < 1.0
    assert 0.01 < (found < 0).mean() < 0.1
    assert 0.8 < score_perfect_ids(circle).hota < 0.95


def test_looks_are_as_alike_as_measured_on_real_clips(returning: Scene) -> None:
    looks: dict[int, list[npt.NDArray[np.float32]]] = {}
    for sighting in returning.sightings:
        features = sighting.poses.features
        assert features is not None
        for owner, feature, score in zip(sighting.owners.tolist(), features, sighting.poses.box_scores, strict=True):
            if owner >= 0 and score > 0.8:
                looks.setdefault(owner, []).append(feature)
    people = [np.array(features) for features in looks.values()]
    others = [np.mean(one @ other.T) for i, one in enumerate(people) for other in people[:i]]
    assert np.mean([(one[1:] * one[:-1]).sum(axis=1).mean() for one in people]) == pytest.approx(0.94, abs=0.02)
    assert np.mean([np.mean(one @ one.T) for one in people]) == pytest.approx(0.8, abs=0.06)
    assert np.mean(others) == pytest.approx(0.56, abs=0.1)


# ---------------------------------------------------------------- the trackers


def test_both_trackers_keep_most_people_who_go_round_each_other_apart(circle: Scene) -> None:
    best = score_perfect_ids(circle)
    for tracker, scene in ((Tracker(), without_looks(circle)), (ReidTracker(), circle)):
        scores = score_tracker(scene, tracker)
        assert 0.6 < scores.hota <= best.hota
        assert 0.6 < scores.idf1 <= best.idf1


def test_there_is_a_scene_of_every_kind() -> None:
    assert set(SCENES) >= {"walk past", "turn back", "go round", "change places", "leave and return"}
