"""similar: the videos whose movement is most like that of one, and where in them; near-duplicates; or clusters."""

import argparse
import logging
from dataclasses import asdict

from choreai.api.similar import Similarity, similar
from choreai.cli.console import print_json, print_table
from choreai.config import load_pose_settings
from choreai.pipeline.duplicates import UNTOLD, DuplicateGroup, describe_match, find_duplicates, keypoints_version
from choreai.storage.uris import resolve_uri

logger = logging.getLogger(__name__)

HEADER = ("video", "style", "similarity", "there", "here")


def run(arguments: argparse.Namespace) -> int:
    """Print the similar videos or the duplicates, and return the exit code: 1 if some could not be embedded."""
    if arguments.clusters:
        from choreai.cli.clusters import run_clusters

        return run_clusters(arguments)
    return _print_duplicates(arguments) if arguments.duplicates else _print_similar(arguments)


def _print_similar(arguments: argparse.Namespace) -> int:
    answer = similar(
        arguments.video,
        output=resolve_uri(arguments.output, against="."),
        model=arguments.model and resolve_uri(arguments.model, against="."),
        count=arguments.count,
        settings=load_pose_settings(arguments.config),
    )
    if arguments.json:
        found = [{**asdict(each), "style": answer.styles.get(each.video_id)} for each in answer.found]
        print_json({**{name: value for name, value in vars(answer).items() if name != "styles"}, "found": found})
    else:
        _print(answer)
    if answer.num_not_embedded:
        logger.error("%d videos could not be embedded; run it again to try them again", answer.num_not_embedded)
    return int(answer.num_not_embedded > 0)


def _print(answer: Similarity) -> None:
    if not answer.found:
        print("no other video has somebody in view for long enough")
        return
    rows = [
        (
            each.video_id,
            answer.styles.get(each.video_id, ""),
            f"{each.similarity:.2f}",
            _span(each.start_seconds, each.stop_seconds),
            _span(each.own_start_seconds, each.own_stop_seconds),
        )
        for each in answer.found
    ]
    print_table(f"videos like {answer.video}", rows, header=HEADER)
    print("there and here: the two moments most alike")
    print(f"searched {answer.num_windows} windows of {answer.num_videos} videos with {answer.model_version}")


def _print_duplicates(arguments: argparse.Namespace) -> int:
    output = resolve_uri(arguments.output, against=".")
    groups, num_videos = find_duplicates(output, keypoints_version(output, arguments.model))
    if arguments.json:
        print_json({"num_videos": num_videos, "groups": groups})
        return 0
    rows = [row for number, group in enumerate(groups, start=1) for row in _group_rows(number, group)]
    if rows:
        print_table("near-duplicates", rows, header=("video", "group", "correlation", "how"))
    num_again = sum(len(group.others) for group in groups)
    print(f"{num_videos} videos; near-duplicates of others: {num_again}, in groups: {len(groups)}")
    if groups:
        print("in a catalog for training, give the videos of each group one `group`: it is never split")
    return 0


def _group_rows(number: int, group: DuplicateGroup) -> list[tuple[str, ...]]:
    others = [
        (
            each.video_id,
            str(number),
            "" if each.match == UNTOLD else f"{each.match.correlation:.2f}",
            describe_match(each.match),
        )
        for each in group.others
    ]
    return [(group.first, str(number), "", ""), *others]


def _span(start: float, stop: float) -> str:
    return f"{start:.1f}-{stop:.1f} s"
