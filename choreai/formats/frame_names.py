"""Frame numbers out of the names of files."""

import os
import re

import numpy as np

from choreai.arrays import IntArray
from choreai.natural_order import natural_key

MAX_FRAME = 2**31 - 1
_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.ASCII | re.DOTALL)
_MAX_DIGITS = 1000
"""Python refuses to read numbers of more than 4,300; none of more than ten is a frame's."""


def frame_numbers(names: list[str]) -> IntArray:
    """Return (len(names),) frame indices of images or files.

    The last number in each name, if all names are alike around it and no two share a number ("12.jpg", "12",
    "dance_000000000012_keypoints.json"); otherwise the rank of the name in natural order ("b2" before "b10").
    """
    matches = [_LAST_NUMBER.fullmatch(os.path.splitext(name)[0]) for name in names]
    around = {(match[1], match[3]) for match in matches if match}
    numbers = [int(match[2]) for match in matches if match and len(match[2]) <= _MAX_DIGITS]
    alike = len(numbers) == len(names) and len(around) == 1
    if alike and len(set(numbers)) == len(names) and max(numbers) <= MAX_FRAME:
        return np.array(numbers, np.int64)
    frame_index = np.zeros(len(names), np.int64)
    frame_index[sorted(range(len(names)), key=lambda i: natural_key(names[i]))] = np.arange(len(names))
    return frame_index
