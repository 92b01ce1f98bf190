"""Open an untrusted file as a video, or raise MediaError with the reason.

Only real video containers are opened, nothing in them can make FFmpeg open another file or URL, and pictures of
implausible size are never decoded.
"""

import io
from typing import BinaryIO

import av
from av.container import InputContainer

from choreai.errors import MediaError, StorageError

MAX_PIXELS = 2**27
"""134 megapixels: a 16384x8192 picture, 400 MB as RGB."""

# Excluded on purpose: hls, dash, concat, image2 and sdp open the files they list, and tty renders text.
_FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif,mxf,dv,mpegvideo,rm,ivf,h264,hevc"
_SOUND_FORMATS = "wav,mp3,flac,aac,aiff,w64,caf"
# The list of protocols cannot be empty; there is no protocol of this name.
_NO_PROTOCOL = "none"
_GENERATE_PTS = 0x1  # AVFMT_FLAG_GENPTS
_READ_BYTES = 1 << 18

_IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"avif")
_AUDIO_STARTS = (b"ID3", b"fLaC")
_TEXT_BYTES = bytes([*b"\t\n\f\r\x1b", *range(0x20, 0x100)])
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")

NO_VIDEO_STREAM = "the file has sound but no video stream (a cover picture does not count)"


class FileSource:
    """The file as FFmpeg sees it: without a name, so that no demuxer is chosen by name; remembers read errors.

    FFmpeg treats a failed read as the end of the file, and PyAV prints to stderr if a second error follows the first.
    So a failed read returns no bytes here, as at the end of the file, and `raise_failure` after each step raises the
    error.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._failure: StorageError | OSError | None = None

    def head(self, num_bytes: int) -> bytes:
        """Return the first bytes and go back to the start."""
        self._file.seek(0)
        head = self._file.read(num_bytes)
        self._file.seek(0)
        return head

    def read(self, num_bytes: int) -> bytes:
        """Return up to `num_bytes`; none after a failure."""
        if self._failure is None:
            try:
                return self._file.read(num_bytes)
            except (StorageError, OSError) as exc:
                self._failure = exc
        return b""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position and return it; 0 after a failure."""
        if self._failure is None:
            try:
                return self._file.seek(offset, whence)
            except (StorageError, OSError) as exc:
                self._failure = exc
        return 0

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def raise_failure(self) -> None:
        """Raise the error of the first read or seek that failed, if any."""
        if self._failure is not None:
            raise self._failure


def open_container(source: FileSource, *, uri: str, may_be_sound: bool = False) -> InputContainer:
    """Open the container and read its header; with `may_be_sound` also one of sound alone.

    Raises MediaError, and the file's own read errors.
    """
    head = source.head(512)
    reason = _why_no_video(head)
    if reason and not (may_be_sound and reason == NO_VIDEO_STREAM):
        raise MediaError(uri, reason)
    formats = f"{_FORMATS},{_SOUND_FORMATS}" if may_be_sound else _FORMATS
    try:
        container = av.open(
            source,
            mode="r",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"format_whitelist": formats, "protocol_whitelist": _NO_PROTOCOL},
            metadata_errors="replace",
            buffer_size=_READ_BYTES,
        )
    except av.FFmpegError as exc:
        source.raise_failure()
        raise MediaError(uri, _why_not_opened(head, exc)) from exc
    source.raise_failure()
    # FFmpeg would generate missing timestamps, wrongly for H.264 with B-frames in AVI; the decoder does better.
    container.flags &= ~_GENERATE_PTS
    return container


def _why_no_video(head: bytes) -> str | None:
    """Return the reason if the first bytes show that the file is not a video."""
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
        return "the MP4 header (moov) is missing or damaged; is the file truncated?"
    if isinstance(exc, av.error.InvalidDataError | av.error.ArgumentError):
        return f"not a supported video container ({_FORMATS.replace(',', ', ')}), or a damaged one"
    return f"the container is damaged or truncated ({exc.strerror})"
