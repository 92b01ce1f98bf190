"""Which labelled videos train and which test: whole groups, each class on both sides, by a seed."""

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from choreai.errors import ChoreaiWarning, TableError
from choreai.store.catalog import Video
from choreai.style.settings import WhenOneGroup

NUM_ORDERS = 32
"""Greedy assignments tried, each in another order; the best one is taken."""


@dataclass(frozen=True)
class Split:
    """Which videos are held out."""

    test_video_ids: frozenset[str]
    description: str
    """For metrics and model, e.g. `group; locking, popping by contiguous blocks`."""


def find_labels(videos: Sequence[Video], labels: Sequence[str]) -> tuple[str, ...]:
    """The classes, sorted, or `labels` itself unless empty.

    Raises TableError, naming videos, for missing labels, labels not in the list, and classes of fewer than
    two videos.
    """
    if unlabelled := [v.video_id for v in videos if not v.label]:
        raise TableError(f"{_some(unlabelled)} without a label; label them or leave them out of the training catalog")
    num_videos = Counter(str(v.label) for v in videos)
    if labels and (unknown := [v for v in videos if v.label not in labels]):
        raise TableError(
            f"{_some([f'{v.video_id} ({v.label})' for v in unknown])} with a label that is not in the list "
            f"{list(labels)}; correct the label or extend the list"
        )
    classes = tuple(sorted(num_videos)) if not labels else tuple(labels)
    if len(classes) < 2:
        raise TableError(f"training needs two classes or more, but the catalog has {list(classes)}; add another style")
    if small := {label: num_videos[label] for label in classes if num_videos[label] < 2}:
        raise TableError(
            f"a class needs one video to train on and one to test with, but there are too few of {small}; "
            "add videos or leave the class out (videos in which nobody dances long enough do not count)"
        )
    return classes


def split_groups(
    videos: Sequence[Video],
    labels: Sequence[str],
    *,
    seed: int,
    test_fraction: float,
    when_one_group: WhenOneGroup,
) -> Split:
    """The held-out videos: about `test_fraction` of each class, groups never divided.

    A class of one group cannot be on both sides: TableError, or, with `when_one_group="blocks"`, that group's
    videos of the class in natural order of their ids, the last `test_fraction` of them held out, with a
    ChoreaiWarning. Raises TableError as well where groups shared by classes leave no way.
    """
    videos = sorted(videos, key=lambda v: _natural(v.video_id))
    groups_of_class = {label: {_group(v) for v in videos if v.label == label} for label in labels}
    lonely = [label for label in labels if len(groups_of_class[label]) == 1]
    if lonely and when_one_group == "error":
        counts = {label: sum(v.label == label for v in videos) for label in lonely}
        raise TableError(
            "all videos of a class are of one group, so it cannot be both trained and tested: "
            f"{counts} (videos). Add another group to each of these, or set when_one_group = "
            '"blocks" to divide their one group in time (the test then shows dancers and places known from '
            "training, and its accuracy is too good)"
        )
    test = set(_blocks(videos, lonely, test_fraction=test_fraction))
    grouped = [v for v in videos if v.label not in lonely]
    if grouped:
        test |= _assign(grouped, seed=seed, test_fraction=test_fraction)
    description = "group" if any(v.group for v in videos) else "video"
    if lonely:
        description += f"; {', '.join(lonely)} by contiguous blocks"
        warnings.warn(
            f"{', '.join(lonely)}: only one group each, divided in time; their test accuracy is too good",
            ChoreaiWarning,
            stacklevel=2,
        )
    return Split(frozenset(test), description)


def _blocks(videos: Sequence[Video], lonely: Sequence[str], *, test_fraction: float) -> list[str]:
    held_out: list[str] = []
    for label in lonely:
        members = [v.video_id for v in videos if v.label == label]
        num_test = min(max(1, round(test_fraction * len(members))), len(members) - 1)
        held_out += members[-num_test:]
    return held_out


def _assign(videos: Sequence[Video], *, seed: int, test_fraction: float) -> set[str]:
    """The held-out videos among those whose classes have several groups."""
    sizes: dict[str, Counter[str]] = {}
    for video in videos:
        sizes.setdefault(_group(video), Counter())[str(video.label)] += 1
    totals = Counter(str(v.label) for v in videos)
    names = sorted(sizes)
    best: set[str] | None = None
    best_cost = float("inf")
    for order in range(NUM_ORDERS):
        shuffled = [names[i] for i in np.random.default_rng([seed, order]).permutation(len(names))]
        chosen = _greedy(shuffled, sizes, totals, test_fraction=test_fraction)
        held_out = sum((sizes[name] for name in chosen), Counter[str]())
        cost = _cost(held_out, totals, test_fraction=test_fraction)
        if all(0 < held_out[label] < totals[label] for label in totals) and cost < best_cost:
            best, best_cost = chosen, cost
    if best is None:
        shared = [name for name in names if len(sizes[name]) > 1]
        raise TableError(
            "no division into train and test has every class on both sides with whole groups: "
            f"{_some(shared, noun='group')} shared by several classes; add groups or videos"
        )
    return {v.video_id for v in videos if _group(v) in best}


def _greedy(
    names: Sequence[str], sizes: Mapping[str, Counter[str]], totals: Counter[str], *, test_fraction: float
) -> set[str]:
    """Group by group, in this order, held out where that comes nearer to the wanted share of each class."""
    chosen: set[str] = set()
    held_out: Counter[str] = Counter()

    def take(name: str) -> None:
        chosen.add(name)
        held_out.update(sizes[name])

    def leaves_some(name: str) -> bool:
        return all(held_out[label] + count < totals[label] for label, count in sizes[name].items())

    for name in names:
        now = {label: held_out[label] for label in sizes[name]}
        then = {label: now[label] + count for label, count in sizes[name].items()}
        gain = _cost(now, totals, test_fraction=test_fraction) - _cost(then, totals, test_fraction=test_fraction)
        if gain > 0 and leaves_some(name):
            take(name)
    for label in sorted(totals):  # classes whose every group overshoots the share
        if not held_out[label]:
            candidates = [n for n in names if n not in chosen and sizes[n][label] and leaves_some(n)]
            if candidates:
                take(min(candidates, key=lambda n: sizes[n][label]))
    return chosen


def _cost(held_out: Mapping[str, int], totals: Counter[str], *, test_fraction: float) -> float:
    return sum((count / totals[label] - test_fraction) ** 2 for label, count in held_out.items())


def _group(video: Video) -> str:
    # Prefixes keep a group apart from a video that happens to have its name.
    return f"group {video.group}" if video.group else f"video {video.video_id}"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts `clip_9` before `clip_10`."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]


def _some(names: Sequence[str], *, noun: str = "video") -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'} ({shown})"
