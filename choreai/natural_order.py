"""Natural order: `clip_9` before `clip_10`."""

import re


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that compares numbers in `name` as numbers; different names never have equal keys."""
    # Text and numbers alternate, so text is compared to text and number to number.
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
