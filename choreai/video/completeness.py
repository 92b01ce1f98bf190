"""Whether a file ends where its container says that it does."""

import os
import struct
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEAD_BYTES = 1 << 16
_MAX_RIFF_CHUNKS = 4096


def ends_early(file: BinaryIO) -> bool:
    """Return whether the file is shorter than its container's first bytes promise.

    Knows Matroska, AVI and ASF; False of any other, and of a stream that promised no size. Moves the file's position.
    """
    num_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head.startswith(_EBML):
        return _matroska_bytes(head) > num_bytes
    if head.startswith(b"RIFF"):
        return _riff_bytes(file, num_bytes) > num_bytes
    at = head.find(_ASF_FILE_PROPERTIES)
    return at >= 0 and len(head) >= at + 48 and struct.unpack_from("<Q", head, at + 40)[0] > num_bytes


def stated_seconds(file: BinaryIO) -> float | None:
    """Return the length in an ASF header, which FFmpeg does not believe where the file ends early; None of others."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 88:
        return None
    duration, _, preroll = struct.unpack_from("<QQQ", head, at + 64)
    return duration / 1e7 - preroll / 1e3


def _matroska_bytes(head: bytes) -> int:
    """Return where the segment ends; 0 where that is not known."""
    at = head.find(_SEGMENT)
    if at < 0:
        return 0
    at += len(_SEGMENT)
    length = 9 - head[at].bit_length() if at < len(head) else 9  # of a variable-size integer
    if length > 8 or at + length > len(head):
        return 0
    size = int.from_bytes(head[at : at + length], "big") & ((1 << 7 * length) - 1)
    return 0 if size == (1 << 7 * length) - 1 else at + length + size


def _riff_bytes(file: BinaryIO, num_bytes: int) -> int:
    """Return where the last RIFF chunk ends: a long AVI has several."""
    stop = 0
    for _ in range(_MAX_RIFF_CHUNKS):
        file.seek(stop)
        name, size = file.read(4), file.read(4)
        if name != b"RIFF" or len(size) < 4:
            break
        stop += 8 + struct.unpack("<I", size)[0]
        if stop >= num_bytes:
            break
    return stop
