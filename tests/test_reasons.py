"""Reasons: which features set a style apart, in words, and which are never given."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from measured_dancers import CLIPS, clip, measure, plain

from choreai.demo.dancers import STYLES
from choreai.motion.kinematics import FEATURES, Kinematics
from choreai.motion.reasons import WORDINGS, StyleReference, describe

CALM = Kinematics(**dict.fromkeys([field.name for field in fields(Kinematics)], 1.0))


def references(**videos: list[Kinematics]) -> dict[str, StyleReference]:
    return {style: StyleReference.from_videos(measured) for style, measured in videos.items()}


def varied(center: Kinematics, *, num: int = 7, spread: float = 0.1) -> list[Kinematics]:
    rng = np.random.default_rng(3)
    return [replace(center, **{f: getattr(center, f) + rng.normal(0, spread) for f in FEATURES}) for _ in range(num)]


def test_the_features_that_set_a_style_apart_are_its_reasons_strongest_first() -> None:
    low = replace(CALM, hips_height_mean=0.2, hands_speed_mean=1.5)
    styles = references(low=varied(low), calm=varied(CALM), upright=varied(CALM))
    reasons = describe(low, styles, style="low")
    assert [r.sentence for r in reasons] == ["low, grounded hips", "hands are busy and fast"]
    assert reasons[0].strength > reasons[1].strength
    assert reasons[0].value == 0.2
    assert reasons[0].others_median == pytest.approx(1, abs=0.1)
    assert [r.sentence for r in describe(low, styles, style="low", max_reasons=1)] == ["low, grounded hips"]


def test_what_speaks_against_a_style_is_no_reason_for_it() -> None:
    low, high = replace(CALM, hips_height_mean=0.2), replace(CALM, hips_height_mean=1.8)
    styles = references(low=varied(low), calm=varied(CALM))
    assert describe(high, styles, style="low") == []
    assert describe(low, styles, style="calm") == []


def test_features_that_say_the_same_are_given_once() -> None:
    low = replace(CALM, hips_height_mean=0.2, low_hips_share=1.9, head_height_mean=0.1)
    reasons = describe(low, references(low=varied(low), calm=varied(CALM)), style="low")
    assert len({WORDINGS[r.feature].theme for r in reasons}) == len(reasons) == 1


def test_a_tempo_without_a_clear_beat_is_no_reason() -> None:
    fast = replace(CALM, beats_per_minute=1.8)
    styles = references(fast=varied(fast), calm=varied(CALM))
    assert [r.feature for r in describe(fast, styles, style="fast")] == ["beats_per_minute"]
    assert describe(replace(fast, beat_strength=0.14), styles, style="fast") == []


def test_what_is_not_known_gives_no_reason() -> None:
    low = replace(CALM, hips_height_mean=0.2)
    hidden = replace(low, hips_height_mean=float("nan"))
    assert describe(hidden, references(low=varied(low), calm=varied(CALM)), style="low") == []
    assert describe(low, references(low=[low, low], calm=varied(CALM)), style="low") == []


def test_every_wording_is_of_a_feature_that_knows_no_side() -> None:
    assert set(WORDINGS) <= set(FEATURES)
    assert not [name for name in WORDINGS if name.startswith(("left_", "right_"))]
    sentences = [s for wording in WORDINGS.values() for s in (wording.high, wording.low)]
    assert len(set(sentences)) == len(sentences)


def test_a_reference_survives_json_and_gives_the_same_reasons() -> None:
    low = replace(CALM, hips_height_mean=0.2)
    styles = references(low=varied(low), calm=varied(CALM))
    back = {name: StyleReference(**json.loads(json.dumps(asdict(r)))) for name, r in styles.items()}
    assert back == styles
    assert describe(low, dict(reversed(back.items())), style="low") == describe(low, styles, style="low")


def test_wrong_references_are_refused() -> None:
    styles = references(calm=varied(CALM))
    with pytest.raises(ValueError, match="style must be one of calm, got 'low'"):
        describe(CALM, styles, style="low")
    with pytest.raises(ValueError, match="two styles or more"):
        describe(CALM, styles, style="calm")
    with pytest.raises(ValueError, match="unknown features"):
        StyleReference(median={"elegance": 1.0}, spread={"elegance": 1.0}, num_videos=3)
    with pytest.raises(ValueError, match="same features"):
        StyleReference(median={"reach_mean": 1.0}, spread={}, num_videos=3)


def test_reasons_for_the_right_style_are_the_stronger_ones() -> None:
    styles = references(**{s: [measure(clip(s, seed, 8), 8) for seed in range(200, 212)] for s in STYLES})
    right = []
    for style, seed in CLIPS:
        strengths = {s: sum(r.strength for r in describe(plain(style, seed, 8), styles, style=s)) for s in STYLES}
        right.append(max(strengths, key=lambda s: strengths[s]) == style)
    assert np.mean(right) > 0.8, right
