"""Opens a stranger's file as a video container, or says in plain words why it is none.

Only real video containers are opened, nothing in them can make FFmpeg open another file or address, and
pictures too large to be honest are never decoded.
"""

import io
from typing import BinaryIO

import av
from av.container import InputContainer

from choreai.errors import MediaError, StorageError

MAX_PIXELS = 2**27
"""134 megapixels: a 16384x8192 picture, 400 MB as RGB."""

# Left out on purpose: hls, dash, concat, image2 and sdp open what they name, and tty draws text.
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif,mxf"
# The list of protocols cannot be empty; there is no protocol of this name.
_NO_PROTOCOL = "none"
_GENERATE_PTS = 0x1  # AVFMT_FLAG_GENPTS
_READ_BYTES = 1 << 18

_IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"avif")
_AUDIO_STARTS = (b"ID3", b"fLaC")
_TEXT_BYTES = bytes([*b"\t\n\f\r\x1b", *range(0x20, 0x100)])
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")

NO_VIDEO_STREAM = "the file has sound but no video stream (a cover picture is none)"


class FileSource:
    """The file as FFmpeg sees it: nameless, so that no demuxer goes by a name, and its read errors are kept.

    FFmpeg takes a failed read for the end of the file, and PyAV prints to stderr when a second error follows
    the first; so a failure reads as the end here, and `raise_failure` after each step brings it back.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._failure: StorageError | OSError | None = None

    def head(self, num_bytes: int) -> bytes:
        """The first bytes; leaves the file at its start."""
        self._file.seek(0)
        head = self._file.read(num_bytes)
        self._file.seek(0)
        return head

    def read(self, num_bytes: int) -> bytes:
        if self._failure is None:
            try:
                return self._file.read(num_bytes)
            except (StorageError, OSError) as exc:
                self._failure = exc
        return b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if self._failure is None:
            try:
                return self._file.seek(offset, whence)
            except (StorageError, OSError) as exc:
                self._failure = exc
        return 0

    def tell(self) -> int:
        return self._file.tell()

    def raise_failure(self) -> None:
        """Raises the error that a read or seek met, if one did."""
        if self._failure is not None:
            raise self._failure


def open_container(source: FileSource, *, uri: str) -> InputContainer:
    """The opened container, its header read. Raises MediaError, or what reading the file raised."""
    head = source.head(512)
    if reason := _why_no_video(head):
        raise MediaError(uri, reason)
    try:
        container = av.open(
            source,
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": _NO_PROTOCOL},
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
        )
    except av.FFmpegError as exc:
        source.raise_failure()
        raise MediaError(uri, _why_not_opened(head, exc)) from exc
    source.raise_failure()
    # FFmpeg would invent them, wrongly for H.264 with B-frames in AVI; the decoder has better means.
    container.flags &= ~_GENERATE_PTS
    return container


def _why_no_video(head: bytes) -> str | None:
    """What a file is by its first bytes, where they show that it is no video."""
    if not head:
        return "the file is empty"
    is_heif = head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS
    if head.startswith(_IMAGE_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or is_heif:
        return "the file is a still image, not a video"
    is_mpeg_audio = len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0
    if head.startswith(_AUDIO_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WAVE") or is_mpeg_audio:
        return NO_VIDEO_STREAM
    if not head.translate(None, _TEXT_BYTES):
        return "the file is text (a web page or a playlist?), not a video"
    return None


def _why_not_opened(head: bytes, exc: av.FFmpegError) -> str:
    if isinstance(exc, av.error.InvalidDataError) and head[4:8] in _MP4_BOXES:
        return "the MP4 header (moov) is missing or damaged; was the file cut short?"
    if isinstance(exc, av.error.InvalidDataError | av.error.ArgumentError):
        return f"not a video container that is read here ({_FORMATS.replace(',', ', ')}), or a damaged one"
    return f"the container is damaged or cut short ({exc.strerror})"
