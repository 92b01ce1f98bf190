"""The file system backend of `choreai.storage.objects`: the same guarantees on plain paths as S3 gives."""

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage.uris import ObjectInfo

_TEMPORARY_PREFIX = ".choreai-"
_TEMPORARY_SUFFIX = ".tmp"
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
_STORE_WIDE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE}
_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_NOREPLACE = 1  # linux/fs.h


def is_folder(uri: str, path: str) -> bool:
    """Return whether `path` is a folder."""
    with _os_errors(uri):
        return os.path.isdir(path)


def check_may_be_folder(path: str) -> None:
    """Raise ConfigError if `path`, or what it lies in, is there and no folder."""
    inside = os.path.abspath(path)
    while not os.path.lexists(inside):
        inside = os.path.dirname(inside)
    if not os.path.isdir(inside):
        what = "is a file" if inside == os.path.abspath(path) else f"lies in {inside}, which is a file"
        raise ConfigError(f"{path}: {what}; give a folder, or the name of one that is not there yet")


def stat_file(uri: str, path: str) -> ObjectInfo | None:
    """Return size and content id, or None if nothing is there. Raises `ObjectUnusableError` if it is not a file."""
    with _os_errors(uri):
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    if stat.S_ISDIR(found.st_mode):
        raise ObjectUnusableError(uri, "is a folder, not a file")
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
        raise ObjectUnusableError(uri, "is not a regular file (a pipe, a socket or a device)")
    return _info(uri, found)


def open_file(uri: str, path: str) -> BinaryIO:
    """Open the file for reading."""
    with _os_errors(uri):
        return open(path, "rb")


def put_file(uri: str, path: str, data: bytes) -> None:
    """Write `path`, replacing what is there in one step."""
    with _os_errors(uri), _synced_copy(path, data) as temporary:
        os.replace(temporary, path)
        _sync_folder(path)


def put_file_if_absent(uri: str, path: str, source: bytes | Path) -> bool:
    """Write `path` unless something is there; return whether this call wrote it."""
    with _os_errors(uri):
        if os.path.isdir(path):
            raise ObjectUnusableError(uri, "is a folder, not a file")
        if os.path.lexists(path):
            return False
        with _synced_copy(path, source) as temporary:
            try:
                _link_or_move(uri, temporary, path)
            except FileExistsError:
                return False
            _sync_folder(path)
            return True


def replace_file(info: ObjectInfo, path: str, source: bytes | Path) -> bool:
    """Replace the file that `info` describes; return False if another is there by now, or none.

    Of two that replace the same file at once the second waits, and finds it changed; on a file system without locks
    it does not wait.
    """
    with _os_errors(info.uri):
        try:
            old = open(path, "rb")
        except FileNotFoundError:
            return False
        with old, _synced_copy(path, source) as temporary:
            with suppress(OSError):
                fcntl.flock(old, fcntl.LOCK_EX)
            found = stat_file(info.uri, path)
            if found != info or os.fstat(old.fileno()).st_ino != os.stat(path).st_ino:
                return False
            os.replace(temporary, path)
            _sync_folder(path)
    return True


def list_files(
    uri: str, path: str, *, sub_folders: bool, on_problem: Callable[[str, str], None] | None = None
) -> Iterator[ObjectInfo]:
    """Yield every file under a folder, following links to folders once; nothing if there is no folder.

    `on_problem` is told the path and the trouble of each folder below that cannot be read, and of each entry that is
    neither file nor folder; without it, the first raises and the second is left out.
    """
    folders, seen = [path.rstrip("/") or "/"], set[tuple[int, int]]()
    while folders:
        folder = folders.pop()
        try:
            with _os_errors(uri if folder == path else folder):
                found = os.stat(folder)
                entries = os.scandir(folder)
        except ObjectMissingError:
            continue
        except ObjectUnusableError as exc:
            if on_problem is None or folder == (path.rstrip("/") or "/"):
                raise
            on_problem(f"{folder}/", exc.reason)
            continue
        with entries:
            if (found.st_dev, found.st_ino) in seen:  # a link back up
                continue
            seen.add((found.st_dev, found.st_ino))
            for entry in entries:
                if _is_folder(entry):
                    folders.extend([entry.path] if sub_folders else [])
                elif not _is_temporary(entry.name):
                    info = _file_info(entry, on_problem)
                    if info is not None:
                        yield info


def sweep_temporaries(path: str) -> int:
    """Delete the temporary files under a folder whose writers are gone: those that nobody has locked."""
    found = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names if _is_temporary(name)]
    return sum(map(_sweep_temporary, found))


def _sweep_temporary(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
    except OSError:  # gone meanwhile, being written, or on a file system without locks
        return False
    return True


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _file_info(entry: "os.DirEntry[str]", on_problem: Callable[[str, str], None] | None) -> ObjectInfo | None:
    """Return what is known of a file; None if the entry is none or gone."""
    try:
        if entry.is_file():
            return _info(entry.path, entry.stat())
        problem = "a link to nothing" if entry.is_symlink() else "not a regular file (a pipe, a socket or a device)"
    except FileNotFoundError:  # gone since the folder was read
        return None
    except OSError as exc:
        problem = exc.strerror or type(exc).__name__
    if on_problem is not None:
        on_problem(entry.path, problem)
    return None


def delete_file(uri: str, path: str) -> None:
    """Delete `path` if it is there."""
    with _os_errors(uri), suppress(FileNotFoundError):
        os.unlink(path)


def _info(uri: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(uri, found.st_size, f"{found.st_size}-{found.st_mtime_ns}", found.st_mtime)


def _is_temporary(name: str) -> bool:
    return name.startswith(_TEMPORARY_PREFIX) and name.endswith(_TEMPORARY_SUFFIX)


def temporary_path(path: Path) -> Path:
    """Return an unused hidden name in the folder of `path`; listings leave such names out."""
    # Of its own length: the name of `path` may already be as long as the file system allows.
    return path.with_name(f"{_TEMPORARY_PREFIX}{uuid.uuid4().hex}{_TEMPORARY_SUFFIX}")


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; the file there replaces `path` when the block ends.

    A reader of `path` sees the old file or the whole new one. If the block raises, the old one stays. For local
    files that may be lost in a power cut; what must survive one goes through `choreai.storage.objects`.
    """
    temporary = temporary_path(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _synced_copy(path: str, source: bytes | Path) -> Iterator[str]:
    """Yield a copy of `source`, synced to disk, in the folder of `path`; it is deleted afterwards unless moved away.

    It is locked meanwhile, which tells whoever sweeps that its writer is alive.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = str(temporary_path(Path(path)))
    try:
        with open(temporary, "xb") as file:
            with suppress(OSError):  # a file system without locks: then nothing is swept there
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if isinstance(source, bytes):
                file.write(source)
            else:
                with open_file(str(source), str(source)) as original:
                    shutil.copyfileobj(original, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
            yield temporary
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _link_or_move(uri: str, temporary: str, path: str) -> None:
    """Give the temporary file its name. Raises FileExistsError if the name is taken."""
    try:
        os.link(temporary, path)
        return
    except OSError as exc:
        if exc.errno not in _NO_HARD_LINKS:
            raise
    try:
        _move_without_replacing(temporary, path)
    except FileExistsError:
        raise
    except OSError as exc:
        reason = "this file system has neither hard links nor exclusive renames; write to another one or to s3://"
        raise StorageError(uri, reason) from exc


def _move_without_replacing(source: str, target: str) -> None:
    """Call renameat2(2) with RENAME_NOREPLACE, which Python does not offer."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # glibc 2.28 or later
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def _sync_folder(path: str) -> None:
    """Make a new name survive a power cut."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _os_errors(uri: str) -> Iterator[None]:
    """Translate OSError into StorageError, or ObjectUnusableError where only this object is concerned."""
    try:
        yield
    except IsADirectoryError as exc:
        raise ObjectUnusableError(uri, "is a folder, not a file") from exc
    except FileNotFoundError as exc:
        raise ObjectMissingError(uri, "there is nothing here; check the name") from exc
    except PermissionError as exc:
        reason = f"{exc.strerror}: give user {os.geteuid()} access, or choose another folder"
        raise ObjectUnusableError(uri, reason) from exc
    except OSError as exc:
        kind = StorageError if exc.errno in _STORE_WIDE else ObjectUnusableError
        raise kind(uri, exc.strerror or str(exc)) from exc
    except UnicodeEncodeError as exc:
        raise ObjectUnusableError(uri, "the name has characters that no file name can hold") from exc
