"""Reading an object of a store by ranges, as if it were a file."""

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO

from choreai.errors import StoreUnavailableError
from choreai.storage.uris import ObjectInfo

READ_AHEAD_BYTES = 4 << 20
"""One ranged GET fetches this much: large against a request's latency, small against a worker's memory."""
_BODY_ATTEMPTS = 3  # the libraries retry a request, but not a body that breaks off

GetRange = Callable[[int, int], bytes]
"""Return the bytes from the first position to before the second, of the version that was opened."""


class BrokenBodyError(StoreUnavailableError):
    """The body of a reply broke off: worth another request."""


def open_ranges(info: ObjectInfo, get_range: GetRange) -> BinaryIO:
    """Return a seekable file of the object that `info` describes, which `get_range` reads."""
    return io.BufferedReader(_RangeReader(info, get_range), READ_AHEAD_BYTES)


class _RangeReader(io.RawIOBase):
    """Ranged reads of one version of one object; the `io.BufferedReader` around it is the read-ahead."""

    def __init__(self, info: ObjectInfo, get_range: GetRange) -> None:
        self.name = info.uri
        self._size = info.size
        self._get_range = get_range
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise ValueError(f"cannot seek to {origin + offset}, before the start of {self.name}")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:  # a writable buffer, which has no name before Python 3.12
        data = self._fetch(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._fetch(self._size)

    def _fetch(self, num_bytes: int) -> bytes:
        start, stop = self._position, min(self._position + num_bytes, self._size)
        if start >= stop:
            return b""
        for attempt in range(1, _BODY_ATTEMPTS + 1):
            try:
                data = self._get_range(start, stop)
                break
            except BrokenBodyError:
                if attempt == _BODY_ATTEMPTS:
                    raise
        self._position = stop
        return data
