"""teach: a style added to a model by a few examples."""

import argparse
from dataclasses import asdict

from choreai.api.teach import Lesson, teach
from choreai.cli.console import print_json
from choreai.cli.show_people import user_name
from choreai.config import load_pose_settings
from choreai.storage.uris import resolve_uri


def run(arguments: argparse.Namespace) -> int:
    """Teach the style, print what to expect of it, and return the exit code."""
    lesson = teach(
        arguments.name,
        arguments.examples,
        output=resolve_uri(arguments.output, against="."),
        reviewer=arguments.reviewer or user_name(),
        model=arguments.model and resolve_uri(arguments.model, against="."),
        settings=load_pose_settings(arguments.config),
    )
    if arguments.json:
        style = asdict(lesson.style)
        shown = {name: style[name] for name in ("video_ids", "expectation")}
        print_json({**asdict(lesson), "style": shown})
    else:
        _print(lesson)
    return 0


def _print(lesson: Lesson) -> None:
    expected = lesson.style.expectation
    num = len(lesson.style.video_ids)
    print(f"{lesson.name}: taught by {num} videos, told from {lesson.num_known} of known styles")
    if expected.precision is None or expected.found_share is None:
        print("  a single example: nothing can be said about how right its tags will be; give a few more")
    else:
        print(f"  {expected.precision:.0%} of its tags should be right where it is as frequent as each other style")
        print(f"  {expected.found_share:.0%} of its videos should be found: each example was judged by the others")
    print(f"  {expected.false_share:.1%} of the known styles' videos passed for it")
    if lesson.num_reviews:
        print(f"  {lesson.num_reviews} examples are stored as reviews, for the next training")
    print(f"model: {lesson.model_uri}")
