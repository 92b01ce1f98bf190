"""Tags as a person reads them: one video in a few lines, several as a table, styles as counts."""

from collections.abc import Sequence

from choreai.cli.console import print_table
from choreai.pipeline.answers import Answer
from choreai.tables.schemas import UNKNOWN

MAX_REASONS = 4
NO_STYLE = "-"


def print_one(answer: Answer) -> None:
    """Print one video's style, score and doubt, and below what speaks for it."""
    print(f"{answer.video_id}: {_verdict(answer)}")
    if answer.style is None:
        return
    for reason in answer.reasons[:MAX_REASONS]:
        print(f"  {reason}")
    if not answer.reasons:
        print("  nothing that can be measured sets it apart from other styles")
    others = sorted(answer.distribution.items(), key=lambda item: -item[1])[1:4]
    if others:
        print(f"  other styles: {', '.join(f'{style} {score:.2f}' for style, score in others)}")
    dancers = f"{answer.num_dancers} {'dancer' if answer.num_dancers == 1 else 'dancers'}"
    print(f"  {dancers}, {_tempo(answer, unit=' beats per minute') or 'no clear beat'}")


def _verdict(answer: Answer) -> str:
    if answer.style is None:
        return f"no style, {answer.doubt}"
    if answer.style == UNKNOWN:
        return f"unknown ({answer.doubt}); most like {answer.best_style}, score {answer.score:.2f}"
    return f"{answer.style}, score {answer.score:.2f}" + (f" ({answer.doubt})" if answer.doubt else "")


def _tempo(answer: Answer, *, unit: str = "") -> str:
    return "" if answer.beats_per_minute is None else f"{answer.beats_per_minute:.0f}{unit}"


def print_answers(answers: Sequence[Answer]) -> None:
    """Print a row for each video: style, score, dancers, tempo in beats a minute, and doubt or reason.

    An unknown style has no score: that of the best guess stands beside the guess.
    """
    if answers:
        print_table("tags", [_row(answer) for answer in answers],
                    header=("video", "style", "score", "dancers", "tempo", "why"))  # fmt: skip


def _row(answer: Answer) -> tuple[str, ...]:
    is_unknown = answer.style == UNKNOWN
    score = "" if answer.score is None or is_unknown else f"{answer.score:.2f}"
    guess = f"most like {answer.best_style} {answer.score:.2f}; " if is_unknown else ""
    dancers = str(answer.num_dancers) if answer.style is not None else ""
    return answer.video_id, answer.style or NO_STYLE, score, dancers, _tempo(answer), guess + answer.why


def print_counts(counts: Sequence[tuple[str, int, float]]) -> None:
    """Print how many videos of the catalog have each style."""
    num_tagged = sum(num for _, num, _ in counts)
    print_table(
        "styles in this catalog",
        [
            (style, str(num), f"{num / num_tagged:.0%}", "" if style == UNKNOWN else f"{score:.2f}")
            for style, num, score in counts
        ],
        header=("style", "videos", "share", "mean score"),
    )
