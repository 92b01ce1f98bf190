"""Natural order: `clip_9` before `clip_10`."""

import re


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Return a sort key that compares numbers in `name` as numbers; different names never have equal keys."""
    # Text and numbers alternate, so text is compared to text and number to number.
    parts = re.split(r"([0-9]+)", name)
    return [_number_key(part) if i % 2 else part for i, part in enumerate(parts)], name


def _number_key(digits: str) -> tuple[int, str]:
    """Return a key that orders as the numbers do, of any length: Python reads no more than 4,300 digits."""
    significant = digits.lstrip("0")
    return len(significant), significant
