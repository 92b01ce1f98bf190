"""Files of other programs, written without replacing anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from choreai.errors import StorageError
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder


@contextmanager
def write_file(uri: str) -> Iterator[Path]:
    """Yield a path to write; what is there at the end becomes `uri`. Raises StorageError if it exists."""
    with scratch_folder() as folder:
        path = folder / "written"
        yield path
        if not objects.put_if_absent(uri, path):
            raise StorageError(uri, "exists already; delete it or choose another name")


@contextmanager
def write_folder(uri: str) -> Iterator[Path]:
    """Yield a folder to write into; its files at the end become those of `uri`. Raises StorageError if one exists."""
    with scratch_folder() as scratch:
        folder = scratch / "files"
        folder.mkdir()
        yield folder
        for path in sorted(folder.rglob("*")):
            target = objects.join_uri(uri, *path.relative_to(folder).parts)
            if path.is_file() and not objects.put_if_absent(target, path):
                raise StorageError(target, "exists already; delete it or choose another name")
