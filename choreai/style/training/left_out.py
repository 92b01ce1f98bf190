"""Sources left out whole: which need a network of their own for that, and the folds that train it.

A group that was cut in blocks was seen in part by each fold's network. What to expect on sources never seen takes a
network that saw nothing of it: the same settings, all other groups' windows, nothing chosen by the result.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from choreai.arrays import IntArray
from choreai.style.evaluation.unseen import counted_sources, divided_groups
from choreai.style.examples import Examples


def groups_to_leave_out(labels: Sequence[str], groups: Sequence[str], fold: IntArray) -> tuple[str, ...]:
    """Return the groups that a network must be trained without: those divided over folds that are a source of a style
    which has another. All three are of the videos."""
    sources = {group for _, group in counted_sources(labels, groups)}
    return tuple(group for group in divided_groups(groups, fold) if group in sources)


def with_groups_as_folds(examples: Examples, groups: Sequence[str]) -> Examples:
    """Return the examples with each of `groups` as a fold, from 0, and the folds of all others after them.

    Networks trained for the first `len(groups)` of these folds are those without the groups.
    """
    of_window = np.array(examples.groups)[examples.video_index]
    fold = examples.fold + len(groups)
    for place, group in enumerate(groups):
        fold[of_window == group] = place
    return replace(examples, fold=fold)
