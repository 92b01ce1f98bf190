"""DeepLabCut's HDF5: tables that pandas wrote, read without pandas, PyTables and what they would run.

pandas keeps the columns' names as pickles, and a pickle may do anything when it is loaded; here only lists, tuples,
texts and numbers are. Needs h5py: `pip install "choreai[formats]"`.
"""

import io
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from choreai.arrays import Float64Array
from choreai.errors import ConfigError, TableError
from choreai.formats.people import PeopleBuffer
from choreai.storage import objects

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ADVICE = "export it from DeepLabCut as CSV (deeplabcut.analyze_videos(..., save_as_csv=True))"


def is_hdf5(head: bytes) -> bool:
    """Return whether a file that begins so is HDF5."""
    return head.startswith(_SIGNATURE)


def read_h5(uri: str, people: PeopleBuffer) -> Iterator[tuple[str, Float64Array, Sequence[tuple[str, ...]]]]:
    """Yield name, values (C,) and the C columns of each row. Raises ConfigError without h5py, TableError."""
    try:
        import h5py
    except ImportError as exc:
        raise ConfigError(
            f'{uri}: reading HDF5 needs h5py; install it with `pip install "choreai[formats]"`, or {_ADVICE}'
        ) from exc
    data = objects.read_object(uri)
    people.digest.update(data)
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            group = next((item for item in file.values() if "pandas_type" in item.attrs), None)
            if group is None:
                raise TableError(f"{uri}: no table of pandas in it, so it is not DeepLabCut's; {_ADVICE}")
            names, values, columns = _from_table(group) if "table" in group else _from_frame(group)
    except (OSError, KeyError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as exc:
        raise TableError(f"{uri}: not a table as DeepLabCut writes it ({exc}); {_ADVICE}") from exc
    if values.ndim != 2 or len(columns) != values.shape[1] or len(names) != len(values):
        raise TableError(f"{uri}: {len(columns)} columns for values of shape {values.shape}; {_ADVICE}")
    for name, row in zip(names, values, strict=True):
        yield name, row, columns


def _from_table(group: Any) -> tuple[list[str], Float64Array, list[tuple[str, ...]]]:
    """Read pandas' format "table", in which videos are analysed."""
    table = group["table"]
    columns = _plain_pickle(table.attrs["values_block_0_kind"])
    rows = table[()]
    return [str(index) for index in rows["index"]], rows["values_block_0"].astype(np.float64), _as_columns(columns)


def _from_frame(group: Any) -> tuple[list[str], Float64Array, list[tuple[str, ...]]]:
    """Read pandas' format "fixed", in which labelled data are kept."""
    names = ["/".join(parts) for parts in _axis(group, "axis1")]
    return names, group["block0_values"][()].astype(np.float64), _axis(group, "block0_items")


def _axis(group: Any, name: str) -> list[tuple[str, ...]]:
    if name in group:
        return [(_text(value),) for value in group[name][()]]
    num_levels = int(group.attrs[f"{name}_nlevels"])
    levels = [[_text(value) for value in group[f"{name}_level{n}"][()]] for n in range(num_levels)]
    labels = [group[f"{name}_label{n}"][()] for n in range(num_levels)]
    return [tuple(levels[n][labels[n][row]] for n in range(num_levels)) for row in range(len(labels[0]))]


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _as_columns(value: object) -> list[tuple[str, ...]]:
    if not isinstance(value, list) or not all(isinstance(column, tuple) and len(column) > 2 for column in value):
        raise ValueError("its columns have no scorer, bodyparts and coords")
    return [tuple(str(part) for part in column) for column in value]


class _PlainUnpickler(pickle.Unpickler):
    """Loads lists, tuples, texts and numbers, and refuses whatever would have to be imported."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it holds {module}.{name}, not only names")


def _plain_pickle(data: Any) -> object:
    return _PlainUnpickler(io.BytesIO(bytes(data))).load()
