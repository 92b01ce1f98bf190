"""The taxonomy of a style model: its labels, and which style is a kind of which."""

import hashlib
import json
from collections.abc import Mapping, Sequence


def check_parents(labels: Sequence[str], parents: Mapping[str, str]) -> None:
    """Raise ValueError for a parent that is no style of the taxonomy, or for styles that are kinds of themselves.

    `parents` is by style; a parent may have a parent.
    """
    if unknown := sorted(parents.keys() - set(labels) - set(parents.values())):
        raise ValueError(f"parents of unknown styles {unknown}; the labels are {list(labels)}")
    for label in parents:
        lineage(label, parents)


def lineage(label: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    """Return the style, its parent, the parent's parent, up to the root. Raises ValueError for a circle."""
    names = [label]
    while (parent := parents.get(names[-1])) is not None:
        if parent in names:
            raise ValueError(f"parents go in a circle: {' < '.join([*names, parent])}")
        names.append(parent)
    return tuple(names)


def taxonomy_version(labels: Sequence[str], parents: Mapping[str, str]) -> str:
    """Return 8 hex digits that change with any label, its place or its parent."""
    content = json.dumps([list(labels), sorted(parents.items())], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:8]
