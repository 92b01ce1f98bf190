"""What a training's figures do not show, in sentences for its report and model card."""

from choreai.style.evaluation.evaluate import Metrics

LOW_AUROC = 0.75
"""Below this the novelty score misses about half of an unknown style or more."""


def limits(metrics: Metrics, *, split: str, leaky_of: str, context_seconds: float) -> tuple[str, ...]:
    """Return the reservations that hold for these figures, the weightiest first.

    `split` as in `DataSummary`; `leaky_of` names what `metrics.leaky` was measured on.
    """
    return tuple(
        sentence
        for sentence in (
            _about_unseen(metrics),
            _about_groups(metrics, split),
            _about_baselines(metrics),
            _about_recordings(metrics),
            _about_leaks(metrics, leaky_of),
            _about_calibration(metrics),
            _about_precision(metrics),
            _about_unknown_styles(metrics),
            f"Accuracy against clip length is a little too good for short clips: a window's kinematics are measured "
            f"over {context_seconds:g} seconds around it, some of which lie beyond the cut.",
            "Figures are of single networks, each tested on the fold it never saw. The model is all of them together; "
            "as a whole it was tested on nothing.",
            "A score says how sure the model is of a style, not how well somebody dances.",
        )
        if sentence
    )


def _about_unseen(metrics: Metrics) -> str:
    unseen = metrics.unseen
    if unseen is None or unseen.accuracy is None:
        return ""
    alone = ", ".join(unseen.untested)
    return (
        f"{unseen.expectation[0].upper()}{unseen.expectation[1:]}: dancers, places and cameras of which nothing was in "
        "the training. That is a mean over styles, and in each over its sources, each tagged by a network without it "
        "and weighted by the share of the style's videos that the others have."
        + (f" Of {alone} there are no two sources, so there is no such figure for it." if alone else "")
    )


def _about_groups(metrics: Metrics, split: str) -> str:
    if "blocks" in metrics.intervals_over and metrics.unseen is not None and metrics.unseen.accuracy is not None:
        return (
            f"Cross-validation's intervals are over {metrics.intervals_over}, and videos were divided in {split}: "
            "networks had seen the places and cameras on which they were tested, so its figures are too good."
        )
    if "blocks" in metrics.intervals_over:
        return (
            f"Intervals are over {metrics.intervals_over}, and videos were divided in {split}. With so few sources "
            "nothing here shows how the model does on dancers, places and cameras that it has never seen: expect less."
        )
    if metrics.intervals_over == "videos":
        return (
            f"No two videos are of one group; they were divided in {split}. If the same dancers or places are in "
            "several videos all the same, these figures are too good: give such videos the same group."
        )
    return f"Intervals are over {metrics.intervals_over}, and videos were divided in {split}."


def _about_baselines(metrics: Metrics) -> str:
    close = [r.name.replace("_", " ") for r in metrics.baselines if r.macro_f1_gain.low <= 0]
    if not close:
        return ""
    return f"It is not shown that the model beats {', '.join(close)}: the interval of the difference includes 0."


def _about_recordings(metrics: Metrics) -> str:
    """Return how far videos are told apart by how they were recorded, where that is further than by chance."""
    accuracy = next((b.videos.accuracy for b in metrics.baselines if b.name == "mean_score_regression"), None)
    commonest = max(style.num for style in metrics.videos.classes) / metrics.videos.num
    if accuracy is None or accuracy.low <= commonest:
        return ""
    return (
        f"A regression on how well each keypoint was seen, which knows the recording and nothing of the dance, is "
        f"right in {accuracy.value:.0%} (the commonest style is {commonest:.0%}): their recordings differ, "
        "and what of the figures rests on that is lost on new recordings."
    )


def _about_leaks(metrics: Metrics, leaky_of: str) -> str:
    if metrics.leaky is None:
        return ""
    return (
        f"A leaky split, windows divided at random with neighbours in time on both sides, gives {leaky_of} an accuracy "
        f"of {metrics.leaky.accuracy.value:.3f}. It measures how well videos are recognised, not styles, and must not "
        "be quoted as a result."
    )


def _about_calibration(metrics: Metrics) -> str:
    card = metrics.videos
    return (
        f"A perfectly calibrated model would show an expected calibration error of about {card.ece_by_chance:.3f} "
        f"with {card.num} videos, by chance alone; {card.ece:.3f} is to be read beside that."
    )


def _about_precision(metrics: Metrics) -> str:
    calibration = metrics.calibration
    if calibration.precision_interval is None:
        return (
            f"No threshold reaches a precision of {calibration.target_precision:.0%}: the model calls every video "
            "unknown. Train on more videos, or ask for less."
        )
    low, high = calibration.precision_interval
    return (
        f"The threshold aims at {calibration.target_precision:.0%} of tags right and reached "
        f"{calibration.precision:.1%} on held-out videos ({low:.1%} to {high:.1%}), all of which show known styles."
    )


def _about_unknown_styles(metrics: Metrics) -> str:
    if not metrics.left_out_styles:
        return "With so few videos the model cannot recognise what it was not trained on: it tags every video."
    missed = [s.label for s in metrics.left_out_styles if s.auroc < LOW_AUROC]
    if not missed:
        return ""
    return (
        "Movement alone does not reveal an unknown style that is as near to the others as these are: "
        f"{', '.join(missed)}. Only low scores would, and not reliably."
    )
