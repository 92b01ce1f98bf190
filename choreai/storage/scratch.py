"""Scratch folders on local disk: freed at the end, swept where a process was killed, clear where there is no room."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from choreai.errors import StorageError

PREFIX = "choreai-"
_LOCK_NAME = ".in-use"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder, which is deleted when the block ends. Raises StorageError if there is no room."""
    scratch = ScratchFolder()
    try:
        with no_room_is_a_storage_error():
            yield scratch.path
    finally:
        scratch.close()


class ScratchFolder:
    """A folder that `close` deletes; a lock tells whoever sweeps that its process is alive."""

    def __init__(self) -> None:
        with no_room_is_a_storage_error():
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._lock = os.open(self.path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
            with suppress(OSError):  # a file system without locks: then nothing is swept there
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Delete the folder with everything in it; the second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
            shutil.rmtree(self.path, ignore_errors=True)


def sweep_scratch() -> int:
    """Delete the scratch folders of this user's processes that were killed, and return how many."""
    try:
        root = Path(tempfile.gettempdir())
        folders = [path for path in root.glob(f"{PREFIX}*/{_LOCK_NAME}") if path.stat().st_uid == os.geteuid()]
    except OSError:
        return 0
    return sum(map(_sweep, folders))


def _sweep(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its process is alive
        return False
    finally:
        os.close(descriptor)
    shutil.rmtree(lock.parent, ignore_errors=True)
    return True


def is_no_room(exc: BaseException) -> bool:
    """Return whether a local disk is full, read-only or out of handles, or there is no folder for scratch files."""
    no_folder = isinstance(exc, FileNotFoundError) and "temporary directory" in str(exc)
    return isinstance(exc, OSError) and (exc.errno in _NO_ROOM or no_folder)


def no_room_error(exc: BaseException) -> StorageError:
    """Return the StorageError for an `exc` of which `is_no_room`."""
    assert isinstance(exc, OSError)
    place = exc.filename or os.environ.get("TMPDIR") or "/tmp"
    return StorageError(str(place), f"{exc.strerror or exc}; free some space, or set TMPDIR to a folder with room")


@contextmanager
def no_room_is_a_storage_error() -> Iterator[None]:
    """Translate a full or missing disk, which is no file's fault, into StorageError."""
    try:
        yield
    except OSError as exc:
        if is_no_room(exc):
            raise no_room_error(exc) from exc
        raise
