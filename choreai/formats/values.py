"""Numbers in the files of other programs: checked, and named in messages as a person can find them."""

import json
import math

import numpy as np

from choreai.arrays import Float64Array
from choreai.errors import TableError

MAX_NUMBER = float(np.finfo(np.float32).max)
"""The tables hold float32."""


def numbers_in(value: object, where: str) -> Float64Array:
    """Return a flat JSON list of finite numbers (within float32). Raises TableError naming `where`."""
    try:
        numbers = np.asarray(value)
    except ValueError:  # lists of different lengths
        numbers = np.asarray(None)
    if numbers.ndim != 1 or (numbers.dtype.kind not in "iuf" and len(numbers)):
        raise TableError(f"{where}: expected numbers, got {abbreviate(value)}")
    numbers = numbers.astype(np.float64)
    if not (np.abs(numbers) <= MAX_NUMBER).all():  # also where NaN
        raise TableError(f"{where}: NaN, infinity or a number beyond float32 in {abbreviate(value)}")
    return numbers


def number_in(text: str, where: str, *, decimal_comma: bool = False) -> float:
    """Return the number that `text` is, NaN where it is empty or says so. Raises TableError naming `where`."""
    text = text.strip()
    if text.lower() in ("", "nan", "na", "none", "null"):
        return math.nan
    try:
        value = float(text.replace(",", ".") if decimal_comma else text)
    except ValueError:
        value = math.inf
    if not abs(value) <= MAX_NUMBER:
        raise TableError(f"{where}: {abbreviate(text)} is not a usable number; correct it or remove the line")
    return value


def json_in(data: bytes, uri: str) -> object:
    """Return the JSON value in `data`. Raises TableError."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise TableError(f"{uri} is not valid JSON ({exc}); copy it again, or make it again") from exc


def abbreviate(value: object) -> str:
    """Return `value` as a message shows it: not all 400 numbers of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def join_alternatives(values: tuple[int, ...] | list[int]) -> str:
    """Return "17, 26 or 136"."""
    *rest, last = map(str, values)
    return f"{', '.join(rest)} or {last}" if rest else last
