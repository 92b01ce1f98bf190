"""How large the pictures of a video may be, from the first to the last: a stream may change its size at any frame."""

from choreai.errors import MediaError
from choreai.video.container import MAX_PIXELS

MAX_SIDE = 16_384
_MAX_ERRORS_IN_A_ROW = 10


class PictureLimits:
    """The limits of one video, named `uri` in messages; `max_pixels` may be lower than what is decoded at all."""

    def __init__(self, uri: str, max_pixels: int = MAX_PIXELS) -> None:
        self._uri, self._max_pixels = uri, max_pixels

    @property
    def decoder_max_pixels(self) -> int:
        """FFmpeg's own limit: above ours, so that a picture somewhat too large is seen and named."""
        return min(MAX_PIXELS, 4 * self._max_pixels)

    def check_size(self, width: int, height: int) -> None:
        """Raise MediaError unless a picture of this size may be processed."""
        limits = f"the limits are {MAX_SIDE} pixels per side and {MAX_PIXELS // 10**6} megapixels"
        if not (width and height):
            # FFmpeg, given the limit, also reports a size above it as zero.
            raise MediaError(self._uri, f"the picture has no usable size ({width}x{height}); {limits}")
        if width * height > self._max_pixels < MAX_PIXELS:
            raise MediaError(self._uri, f"{width} x {height} is too large; the limit is {self._max_pixels} pixels")
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise MediaError(self._uri, f"the picture is {width}x{height}; {limits}")

    def check_errors(self, num_in_a_row: int) -> None:
        """Raise MediaError where a limit is set and nothing can be decoded any more: FFmpeg refuses large pictures."""
        if self._max_pixels < MAX_PIXELS and num_in_a_row >= _MAX_ERRORS_IN_A_ROW:
            reason = f"its pictures cannot be decoded any more; are they damaged, or above {self._max_pixels} pixels?"
            raise MediaError(self._uri, reason)
