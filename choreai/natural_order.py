"""The order in which people count: `clip_9` before `clip_10`."""

import re


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key by which numbers in `name` compare as numbers; `1` and `01` differ, so any order ends in the same."""
    # Text and numbers alternate, so like meets like.
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
