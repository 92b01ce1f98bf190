"""Division of labelled videos into folds: whole groups, every class spread over them, by a seed.

Fold k's network is trained without fold k, so that each video is tested by one that never saw its group.
"""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from choreai.arrays import IntArray
from choreai.catalog.catalog import Video
from choreai.errors import ChoreaiWarning, TableError
from choreai.natural_order import natural_key
from choreai.style.examples import Examples
from choreai.style.settings import WhenOneGroup
from choreai.tables import schemas

NUM_ORDERS = 32
"""Greedy assignments tried, each in another order; the best one is taken."""
MAX_GROUP_SHARE = 0.6
"""A group with more of a class's videos than this leaves too little of the class to train on while it is tested."""


@dataclass(frozen=True)
class Folds:
    """The fold in which each video is tested."""

    fold_of: Mapping[str, int]
    """By video_id, from 0."""
    num_folds: int
    description: str
    """For metrics and model, e.g. `5 folds by group; locking, popping by contiguous blocks`."""


class _Unit(NamedTuple):
    """What is never divided: a group, or one of the blocks into which a group is cut."""

    name: str
    block: int = -1
    """-1: all of the group."""


def find_labels(videos: Sequence[Video], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes, sorted, or `labels` itself unless empty.

    Raises TableError, naming videos, for missing labels, labels not in the list, and classes of fewer than two videos.
    """
    if unlabelled := [v.video_id for v in videos if not v.label]:
        raise TableError(f"{some_names(unlabelled)} without a label; label them, or leave them out of the catalog")
    num_videos = Counter(str(v.label) for v in videos)
    if labels and (unknown := [v for v in videos if v.label not in labels]):
        raise TableError(
            f"{some_names([f'{v.video_id} ({v.label})' for v in unknown])} with a label that is not in the list "
            f"{list(labels)}; correct the label or extend the list"
        )
    classes = tuple(sorted(num_videos)) if not labels else tuple(labels)
    if schemas.UNKNOWN in classes:
        raise TableError(
            f'{num_videos[schemas.UNKNOWN]} videos have the label "{schemas.UNKNOWN}", which is the tag of what a '
            "model is unsure of; leave them out, or name their style"
        )
    if len(classes) < 2:
        raise TableError(f"training needs two classes or more, but the catalog has {list(classes)}; add another style")
    if small := {label: num_videos[label] for label in classes if num_videos[label] < 2}:
        raise TableError(
            f"a class needs one video to train on and one to test with, but there are too few of {small}; "
            "add videos or leave the class out (videos in which nobody dances long enough do not count)"
        )
    return classes


def divide_folds(
    videos: Sequence[Video],
    labels: Sequence[str],
    *,
    seed: int,
    num_folds: int,
    when_one_group: WhenOneGroup,
    copies: Sequence[Sequence[str]] = (),
) -> Folds:
    """Return the videos in folds, whole groups each, every class spread over the folds as evenly as they allow.

    A class needs two groups, since each of its videos is tested by a network that learnt the class from others. One of
    a single group: TableError, or, with `when_one_group="blocks"`, that group is cut into blocks of its videos in
    natural order of their ids, with a ChoreaiWarning. So is then a group with more than MAX_GROUP_SHARE of a class's
    videos, since without it little of the class would be left to learn from. A class of fewer groups than folds is
    tested in some folds only; there are no more folds than the class with the most groups can fill. `copies`: sets of
    video_ids that are kept in one fold each, with their groups. Raises TableError as well where groups shared by
    classes leave no way.
    """
    videos = join_groups(videos, copies)
    videos = sorted(videos, key=lambda v: natural_key(v.video_id))
    shares = {label: _largest_share(videos, label) for label in labels}
    lonely = [label for label in labels if shares[label] == 1]
    if lonely and when_one_group == "error":
        counts = {label: sum(v.label == label for v in videos) for label in lonely}
        raise TableError(
            "all videos of a class are of one group, so it cannot be both trained and tested: "
            f"{counts} (videos). Add another group to each of these, or set when_one_group = "
            '"blocks" to divide their one group in time (the test then shows dancers and places known from '
            "training, and its accuracy is too good)"
        )
    blocked = [label for label in labels if shares[label] > MAX_GROUP_SHARE and when_one_group == "blocks"]
    unit_of = _units(videos, blocked, num_folds=num_folds)
    for first, *others in copies:
        unit_of |= {name: unit_of[first] for name in others}
    sizes: dict[_Unit, Counter[str]] = {}
    for video in videos:
        sizes.setdefault(unit_of[video.video_id], Counter())[str(video.label)] += 1
    num_units = Counter(label for counts in sizes.values() for label in counts)
    if (most := max(num_units.values())) < num_folds:
        _warn(f"no class has more than {most} groups: {most} folds and not {num_folds}")
        num_folds = most
    fold_of_unit = _assign(sizes, seed=seed, num_folds=num_folds)
    for remark in _remarks(videos, sizes, blocked=blocked, num_folds=num_folds):
        _warn(remark)
    description = f"{num_folds} folds by {'group' if any(v.group for v in videos) else 'video'}"
    if blocked:
        description += f"; {', '.join(blocked)} by contiguous blocks"
    return Folds({v.video_id: fold_of_unit[unit_of[v.video_id]] for v in videos}, num_folds, description)


def join_groups(videos: Sequence[Video], copies: Sequence[Sequence[str]]) -> list[Video]:
    """Return the videos with one group wherever `copies`, sets of video_ids, tie groups together: their first.

    Groups could not be left out one by one where another has a copy of their videos.
    """
    own = {video.video_id: _group(video) for video in videos}
    joined = dict(own)
    for names in copies:
        tied = {joined[name] for name in names}
        first = min(tied, key=natural_key)
        joined |= {name: first for name, group in joined.items() if group in tied}
    size = Counter(joined.values())
    return [
        replace(video, group=joined[video.video_id].split(" ", 1)[1])
        if joined[video.video_id] != own[video.video_id] or (not video.group and size[joined[video.video_id]] > 1)
        else video
        for video in videos
    ]


def num_folds_of(examples: Examples) -> int:
    """Return the number of folds."""
    return int(examples.fold.max()) + 1


@dataclass(frozen=True, eq=False)
class Roles:
    """The windows of some examples by their role for one fold's network: indices, sorted."""

    train: IntArray
    validation: IntArray
    test: IntArray


def roles_of(examples: Examples, member: int, *, with_validation: bool) -> Roles:
    """Return the roles for the network that is tested on fold `member`; the next fold validates it, the others train.

    Whole groups of the validation fold train instead where a class would otherwise go untrained; all of it does without
    `with_validation`, and in two folds.
    """
    test = examples.fold == member
    validation = (examples.fold == (member + 1) % num_folds_of(examples)) & with_validation & ~test
    missing = set(examples.label_index[~test]) - set(examples.label_index[~test & ~validation])
    group = np.array(examples.groups)[examples.video_index]
    needed = set(group[validation & np.isin(examples.label_index, list(missing))])
    validation &= ~np.isin(group, list(needed))
    return Roles(np.flatnonzero(~test & ~validation), np.flatnonzero(validation), np.flatnonzero(test))


def _largest_share(videos: Sequence[Video], label: str) -> float:
    """Return the share of a class's videos that its largest group has."""
    counts = Counter(_group(v) for v in videos if v.label == label)
    return max(counts.values()) / counts.total()


def _units(videos: Sequence[Video], blocked: Sequence[str], *, num_folds: int) -> dict[str, _Unit]:
    """Return by video_id its group, or a block of that where the group dominates one of the `blocked` classes."""
    unit_of = {v.video_id: _Unit(_group(v)) for v in videos}
    for label in blocked:
        members = [v for v in videos if v.label == label]
        largest, size = Counter(_group(v) for v in members).most_common(1)[0]
        names = [v.video_id for v in members if _group(v) == largest]
        for block, places in enumerate(np.array_split(np.arange(size), num_folds)):
            unit_of |= {names[i]: _Unit(f"{label} of {largest}", block) for i in places}
    return unit_of


def _assign(sizes: Mapping[_Unit, Counter[str]], *, seed: int, num_folds: int) -> dict[_Unit, int]:
    """Return the fold of each unit; `sizes` is by unit and label."""
    totals = sum(sizes.values(), Counter[str]())
    best: dict[_Unit, int] | None = None
    best_cost = float("inf")
    for order in range(NUM_ORDERS):
        units = _order_units(sizes, np.random.default_rng([seed, order]))
        fold_of = _assign_greedily(units, sizes, totals, num_folds=num_folds)
        counts = [Counter[str]() for _ in range(num_folds)]
        for unit, fold in fold_of.items():
            counts[fold].update(sizes[unit])
        is_sound = all(counts) and all(sum(label in count for count in counts) > 1 for label in totals)
        cost = sum((count[label] / totals[label]) ** 2 for count in counts for label in totals)
        if is_sound and cost < best_cost:
            best, best_cost = fold_of, cost
    if best is None:
        shared = sorted(unit.name for unit in sizes if len(sizes[unit]) > 1)
        raise TableError(
            f"no division into {num_folds} folds has every class in two of them with whole groups: "
            f"{some_names(shared, noun='group')} shared by several classes; add groups or videos"
        )
    return best


def _order_units(sizes: Mapping[_Unit, Counter[str]], rng: np.random.Generator) -> list[_Unit]:
    """Return blocks in the order of time, so that a block's neighbour validates it; then the largest groups, of equals
    any."""
    units = sorted(sizes)
    groups = [units[i] for i in rng.permutation(len(units)) if units[i].block < 0]
    return [unit for unit in units if unit.block >= 0] + sorted(groups, key=lambda unit: -max(sizes[unit].values()))


def _assign_greedily(
    units: Sequence[_Unit], sizes: Mapping[_Unit, Counter[str]], totals: Counter[str], *, num_folds: int
) -> dict[_Unit, int]:
    """Assign unit by unit, in this order, to the fold that has least of its classes so far."""
    counts = [Counter[str]() for _ in range(num_folds)]
    fold_of: dict[_Unit, int] = {}
    for unit in units:
        costs = [sum(count[label] / totals[label] for label in sizes[unit]) for count in counts]
        fold = min(range(num_folds), key=lambda f: (costs[f], counts[f].total(), f))
        counts[fold].update(sizes[unit])
        fold_of[unit] = fold
    return fold_of


def _remarks(
    videos: Sequence[Video], sizes: Mapping[_Unit, Counter[str]], *, blocked: Sequence[str], num_folds: int
) -> Iterator[str]:
    """Yield what a careful user may want to know of these folds."""
    if blocked:
        yield (
            f"{', '.join(blocked)}: most videos are of one group each, which was divided in time; "
            "the figures of these classes are too good"
        )
    num_units = Counter(label for counts in sizes.values() for label in counts)
    if few := {label: num for label, num in sorted(num_units.items()) if num < num_folds}:
        yield f"classes of fewer groups than the {num_folds} folds are tested in some folds only: {few} (groups)"
    uneven = [
        label for label in sorted(num_units) if label not in blocked and _largest_share(videos, label) > MAX_GROUP_SHARE
    ]
    if uneven:
        yield (
            f"{', '.join(uneven)}: most videos are of one group, and while it is tested little is left to train on; "
            'when_one_group = "blocks" divides it in time'
        )
    labels_of: dict[str, set[str]] = {}
    for video in videos:
        labels_of.setdefault(_group(video), set()).add(str(video.label))
    shared = sorted(name for name, labels in labels_of.items() if len(labels) > 1)
    if 0 < len(shared) < len(labels_of) / 2:  # where most do, dancers dance several styles: as good as it gets
        yield f"{some_names(shared, noun='group')} with videos of several classes: each stays whole, in one fold"


def _warn(message: str) -> None:
    warnings.warn(message, ChoreaiWarning, stacklevel=3)


def _group(video: Video) -> str:
    # Prefixes keep a group apart from a video that happens to have its name.
    return f"group {video.group}" if video.group else f"video {video.video_id}"


def some_names(names: Sequence[str], *, noun: str = "video") -> str:
    """Return the number of names and the first five, for a message."""
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'} ({shown})"
