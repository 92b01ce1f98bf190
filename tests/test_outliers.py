"""Videos given as none of the styles: what moves like them is refused, and as few known ones as before."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from made_predictions import predictions_of

from choreai.arrays import FloatArray
from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.config import KeypointSettings, TrainConfig
from choreai.errors import CatalogError
from choreai.pipeline.train import find_outliers
from choreai.search.corrections import store_reviews
from choreai.style.novelty import Novelty, cross_fitted_novel, fit_novelty, leave_styles_out, try_outliers
from choreai.style.predictions import Predictions

NUM_KNOWN, NUM_FEATURES = 120, 12


def movements(seed: int, num: int, *, shift: float = 0.0) -> FloatArray:
    """Kinematics around 0; of outliers three features are shifted, by less than a video differs from another."""
    features = np.random.default_rng(seed).normal(size=(num, NUM_FEATURES)).astype(np.float32)
    features[:, :3] += shift
    return features


@pytest.fixture(scope="module")
def known() -> Predictions:
    scores = np.full((NUM_KNOWN, 3), 0.1) + 0.7 * np.eye(3)[np.arange(NUM_KNOWN) % 3]
    return predictions_of(scores, np.arange(NUM_KNOWN) % 3, kinematic_features=movements(1, NUM_KNOWN))


@pytest.fixture(scope="module")
def taught(known: Predictions) -> Predictions:
    return replace(known, outliers=movements(2, 60, shift=1.5))


def fitted(predictions: Predictions) -> Novelty:
    found = fit_novelty(predictions)
    assert found is not None
    return found


def test_what_moves_like_the_outliers_is_refused_and_no_more_known_ones(
    known: Predictions, taught: Predictions
) -> None:
    unseen = movements(3, 200, shift=1.5)
    before, after = fitted(known).is_novel(unseen).mean(), fitted(taught).is_novel(unseen).mean()
    assert before < 0.4
    assert after > 0.7
    assert fitted(taught).is_novel(movements(4, 400)).mean() < 0.1
    assert cross_fitted_novel(taught).mean() < 0.1
    assert leave_styles_out(taught)[0].refused_share < 0.2
    assert all((fitted(taught).ratios(unseen) > 1) == fitted(taught).is_novel(unseen))


def test_it_is_told_how_many_are_refused_that_were_not_seen(known: Predictions, taught: Predictions) -> None:
    test = try_outliers(taught)
    assert test is not None
    assert test.num_videos == 60
    assert test.refused_share > 0.7 > test.refused_before
    assert try_outliers(known) is None


def test_too_few_outliers_change_nothing(known: Predictions) -> None:
    few = replace(known, outliers=movements(2, 9, shift=1.5))
    assert fitted(few) == fitted(known)
    assert try_outliers(few) is None


def test_a_model_says_of_outliers_only_where_there_were_some(known: Predictions, taught: Predictions) -> None:
    plain, told = fitted(known).to_dict(), json.loads(json.dumps(fitted(taught).to_dict(), allow_nan=False))
    assert told.keys() - plain.keys() == {"outlier_weights", "outlier_limit"}
    assert Novelty.from_dict(told) == fitted(taught)
    with pytest.raises(ValueError, match="of one size"):
        Novelty.from_dict(told | {"outlier_weights": [0.0]})


def test_outliers_are_those_given_and_those_that_reviewers_called_none_of_the_styles(tmp_path: Path) -> None:
    for name in ("walk", "kept", "none", "waltz"):
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("video_id,uri,label\nkept,kept.mp4,popping\nnone,none.mp4,popping\nwaltz,waltz.mp4,\n")
    given = tmp_path / "given.csv"
    given.write_text("video_id,uri\nwalk,walk.mp4\n")
    reviews = {"none": "unknown", "waltz": "waltz", "kept": "popping"}
    store_reviews(
        str(tmp_path / "out"),
        [
            {"video_id": name, "content_id": None, "style": style, "reviewer": "Ada", "note": None, "dancers": None,
             "reviewed_at": datetime(2026, 1, 1, tzinfo=UTC), "pose_fingerprint": None}
            for name, style in reviews.items()
        ],
    )  # fmt: skip
    config = TrainConfig(catalog=str(catalog), output=str(tmp_path / "out"), labels=("popping", "locking"))
    all_of, outside = (with_content_ids(read_catalog(str(path))) for path in (catalog, given))
    assert [video.video_id for video in find_outliers(config, all_of, outside)] == ["none", "waltz", "walk"]
    assert [video.video_id for video in find_outliers(replace(config, labels=()), all_of, None)] == ["none"]
    given.write_text("video_id,uri\nkept,kept.mp4\n")
    with pytest.raises(CatalogError, match="'kept' has a label"):
        find_outliers(config, all_of, with_content_ids(read_catalog(str(given))))
    with pytest.raises(ValueError, match="not_dance is a catalog of videos"):
        TrainConfig(catalog="-", output="out", not_dance="x.csv", keypoints=KeypointSettings(source="poses"))
