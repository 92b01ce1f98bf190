"""One member out of a downloaded zip, by its name and no further than its size: nothing else is unpacked."""

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from choreai.errors import WeightsError
from choreai.weights.cache import os_errors, write_all

_CHUNK_BYTES = 1 << 20
_MAX_BYTES = 1 << 32
"""Of a member whose size nobody has published."""
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError)
"""What zipfile was seen to raise on damaged, encrypted and exotic files."""


def unpack_member(archive: Path, member: str, to: Path, *, num_bytes: int = 0) -> None:
    """Write the archive's one file called `member`, in whatever folder of it, to `to`.

    Names inside the archive are compared, never used as paths. Raises WeightsError where there is no such file,
    more than one, or one of another size than `num_bytes` (0: unknown).
    """
    try:
        with zipfile.ZipFile(archive) as content:
            info = _find(content, member)
            if info.file_size > _MAX_BYTES or (num_bytes and info.file_size != num_bytes):
                expected = f"{num_bytes:,}" if num_bytes else "fewer"
                found = f"{info.filename} in the zip has {info.file_size:,} bytes"
                raise WeightsError(f"{found}, {expected} are expected; nothing was kept")
            _copy(content, info, to)
    except _BROKEN as exc:
        raise WeightsError(f"the download is no zip that can be read ({exc}); nothing was kept") from exc


def _find(content: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    found = [info for info in content.infolist() if not info.is_dir() and PurePosixPath(info.filename).name == member]
    if len(found) != 1:
        names = ", ".join(info.filename for info in content.infolist()[:5])
        raise WeightsError(f"the zip has {len(found) or 'no'} files called {member}, one is expected; it has {names}")
    return found[0]


def _copy(content: zipfile.ZipFile, info: zipfile.ZipInfo, to: Path) -> None:
    """Whatever the data would unpack to, zipfile stops at the size that the header says."""
    with os_errors(to):
        target = to.open("wb", buffering=0)
    with target, content.open(info) as source:
        while chunk := source.read(_CHUNK_BYTES):
            with os_errors(to):
                write_all(target.fileno(), chunk)
