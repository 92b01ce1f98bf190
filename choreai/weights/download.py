"""One file's bytes from one address into one growing file on the disk: resumed, retried, bounded."""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from choreai.errors import StorageError, WeightsError
from choreai.storage.objects import without_secrets
from choreai.weights.cache import os_errors, write_all
from choreai.weights.sources import ConnectionBrokenError, Reply, open_reply

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes that there will be (None: unknown)."""

_CHUNK_BYTES = 1 << 18
_PROGRESS_BYTES = 1 << 20
"""After an attempt that brought this much, failures are counted from the start again."""
_MAX_BYTES = 1 << 32
"""Of a file whose size nobody has published: no weights are larger, and no server may fill the disk."""


@dataclass(frozen=True)
class Patience:
    """How long to put up with a bad network."""

    retry_seconds: Sequence[float] = (1.0, 2.0, 4.0, 8.0)
    """Pauses before further attempts; when they are used up, the download is given up."""
    timeout_seconds: float = 30.0
    """Without a byte for so long, a connection counts as broken."""


def no_progress(_done: int, _total: int | None) -> None:
    """Show nothing."""


def download(
    uri: str, part: Path, *, num_bytes: int = 0, patience: Patience | None = None, on_progress: OnProgress = no_progress
) -> None:
    """Fill `part` with the bytes of `uri`, going on where an earlier call stopped.

    `num_bytes` is the size they must have, 0 where unknown. Raises WeightsError for another size and StorageError
    for all else, ConnectionBrokenError when patience ends; then `part` keeps what has come, except on a full disk.
    """
    patience = patience or Patience()
    failures = 0
    while True:
        before = _size(part)
        if num_bytes and before == num_bytes:
            return
        try:
            with open_reply(uri, start=before if not num_bytes or before < num_bytes else 0,
                            timeout_seconds=patience.timeout_seconds) as reply:  # fmt: skip
                _receive(uri, reply, part, num_bytes, on_progress)
            return
        except ConnectionBrokenError as exc:
            has_progressed = _size(part) - before >= _PROGRESS_BYTES
            failures = 1 if has_progressed else failures + 1
            if failures > len(patience.retry_seconds):
                raise _given_up(exc, failures, _size(part)) from exc
            time.sleep(patience.retry_seconds[failures - 1])


def _receive(uri: str, reply: Reply, part: Path, num_bytes: int, on_progress: OnProgress) -> None:
    shown = without_secrets(uri)
    if num_bytes and reply.num_bytes not in (None, num_bytes):
        raise WeightsError(
            f"{shown}: the file there has {reply.num_bytes:,} bytes, the catalogue says {num_bytes:,}: it is another "
            "file, or an error page; nothing was kept"
        )
    total = num_bytes or reply.num_bytes
    limit = total or _MAX_BYTES
    done = reply.start
    with os_errors(part):
        file = part.open("ab" if reply.start else "wb", buffering=0)  # a buffer could fail later
    with file:
        on_progress(done, total)
        while chunk := reply.stream.read(_CHUNK_BYTES):
            done += len(chunk)
            if done > limit:
                raise WeightsError(f"{shown}: sends more than {limit:,} bytes, which is too many; nothing was kept")
            _append(file, chunk, part)
            on_progress(done, total)
    if total and done < total:
        raise ConnectionBrokenError(shown, f"the connection was cut after {done:,} of {total:,} bytes")


def _append(file: io.FileIO, chunk: bytes, part: Path) -> None:
    """Write it all; a full disk gets its space back."""
    with os_errors(part):
        try:
            write_all(file.fileno(), chunk)
        except OSError:
            part.unlink(missing_ok=True)
            raise


def _given_up(exc: ConnectionBrokenError, num_attempts: int, num_kept: int) -> StorageError:
    kept = f"; {num_kept:,} bytes are kept, and fetching again goes on from there" if num_kept else ""
    return ConnectionBrokenError(exc.uri, f"{exc.reason}; given up after {num_attempts} attempts{kept}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
