"""The cache of weights: one folder of files named by their sha256.

A file gets its name only when all its bytes are on the disk and their hash is right, so what has a name is whole.
Unfinished downloads are hidden files that end in `.part`; a lock for each file, which the system drops with the
process that holds it, keeps two processes from writing the same one.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from choreai.errors import ConfigError, StorageError
from choreai.storage.files import write_atomically
from choreai.weights.catalogue import WeightsFile

CACHE_VARIABLE = "CHOREAI_WEIGHTS"
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}  # some network file systems
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return `$CHOREAI_WEIGHTS`, else `choreai/weights` in the user's cache folder. ConfigError without a home."""
    if given := environment.get(CACHE_VARIABLE):
        return Path(given).expanduser().absolute()
    if (base := Path(environment.get("XDG_CACHE_HOME", ""))).is_absolute():
        return base / "choreai" / "weights"
    try:
        return Path.home() / ".cache" / "choreai" / "weights"
    except RuntimeError as exc:
        raise ConfigError(f"this user has no home folder to keep weights in; set {CACHE_VARIABLE}") from exc


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Cache:
    """The files in one folder, which is made when the first one is fetched."""

    folder: Path

    def path_of(self, entry: WeightsFile) -> Path:
        """Return where the file is, or will be."""
        return self.folder / entry.file_name

    def find(self, entry: WeightsFile) -> Path | None:
        """Return the file if it is there with the right size; its hash was checked before it got its name."""
        path = self.path_of(entry)
        with os_errors(path):
            if not path.is_file() or path.stat().st_size != (entry.num_bytes or path.stat().st_size):
                return None
        return path

    @contextlib.contextmanager
    def lock(self, entry: WeightsFile, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[bool]:
        """Hold the file's lock; calls `on_wait` where another process has it. False where there are no locks."""
        with os_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / f".{entry.sha256}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            yield _acquire(descriptor, on_wait)
        finally:
            os.close(descriptor)

    def part_of(self, entry: WeightsFile, *, suffix: str, shared: bool) -> Path:
        """Return where a download grows: always the same place, so that it resumes, unless others may write there."""
        word = "" if shared else f".{uuid.uuid4().hex}"
        return self.folder / f".{entry.sha256}{suffix}{word}.part"

    def parts_of(self, entry: WeightsFile) -> list[Path]:
        """Unfinished downloads of this file."""
        return sorted(self.folder.glob(f".{entry.sha256}.*part"))

    def adopt(self, finished: Path, entry: WeightsFile) -> Path:
        """Give a finished, checked file its name, in one step and so that it survives a power cut."""
        path = self.path_of(entry)
        with os_errors(path):
            _sync(finished)
            os.replace(finished, path)
            _sync(self.folder)
        return path

    def confirmed_from(self, entry: WeightsFile) -> str | None:
        """Return the official address, if a fetch from there has confirmed the catalogue's hash on this machine."""
        try:
            record = json.loads(self._confirmation_of(entry).read_text())
        except (OSError, ValueError):
            return None
        return record.get("url") if isinstance(record, dict) else None

    def confirm(self, entry: WeightsFile) -> None:
        """Record that the official address has the bytes that the catalogue says."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"name": entry.name, "url": entry.url, "sha256": entry.sha256, "confirmed_at": now}
        path = self._confirmation_of(entry)
        with os_errors(path), write_atomically(path) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n")

    def _confirmation_of(self, entry: WeightsFile) -> Path:
        return self.folder / f"{entry.sha256}.confirmed.json"


@contextlib.contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors into StorageError; a full disk is called that."""
    try:
        yield
    except OSError as exc:
        raise StorageError(str(path), _reason(exc)) from exc


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte to an unbuffered file, so that a full disk is noticed here and now."""
    while data:
        data = data[os.write(descriptor, data) :]


def _reason(exc: OSError) -> str:
    words = exc.strerror or str(exc)
    if exc.errno in _FULL:
        return f"no space ({words.lower()}): free some, or keep weights elsewhere with {CACHE_VARIABLE}"
    if isinstance(exc, PermissionError) or exc.errno == errno.EROFS:
        return f"{words.lower()}: keep weights elsewhere with {CACHE_VARIABLE}"
    return words


def _acquire(descriptor: int, on_wait: Callable[[], None]) -> bool:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as exc:
        if exc.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
