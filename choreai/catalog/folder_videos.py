"""The videos in a folder or under a bucket prefix: told by their names, with a count of what is left out."""

import logging
import posixpath
from collections import Counter

logger = logging.getLogger(__name__)

VIDEO_EXTENSIONS = (
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".insv", ".lrv",  # the MP4 family
    ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".flv", ".wmv", ".asf", ".ogv", ".ogm", ".ogg", ".gif", ".mxf",
    ".ts", ".mts", ".m2ts", ".m2t", ".tod", ".trp",  # transport streams
    ".mpg", ".mpeg", ".mpe", ".mp2v", ".m1v", ".m2v", ".mpv", ".m2p", ".ps", ".vob", ".vro", ".mod",  # MPEG-1 and -2
    ".dv", ".dif", ".rm", ".rmvb", ".ivf", ".h264", ".264", ".avc", ".h265", ".265", ".hevc",
)  # fmt: skip
"""What `choreai.video.container` opens, under the names that cameras, phones and programs give it."""

NOT_LOOKED_INTO = frozenset(
    {"$recycle.bin", "system volume information", "lost+found", "__macosx", "@eadir", "#recycle", "@recycle",
     "#snapshot"}
)  # fmt: skip
"""Folders of deleted files and thumbnails, in lower case, beside the hidden ones (`.Trash-1000`, `.thumbnails`)."""
MAX_NAMED = 8


class FolderNames:
    """Tells the videos below one folder or prefix by their names, and counts what is left out."""

    def __init__(self, folder: str, *, extensions: tuple[str, ...] = VIDEO_EXTENSIONS, noun: str = "video") -> None:
        """`folder` is the listed folder or prefix, with a slash at its end; only names below it count."""
        self._folder, self._extensions, self._noun = folder, extensions, noun
        self._others, self._num_hidden = Counter[str](), 0

    def is_wanted(self, uri: str) -> bool:
        """Return whether the name has a video's extension and is neither hidden nor in a hidden or trash folder."""
        name = uri.removeprefix(self._folder)
        has_extension = name.lower().endswith(self._extensions)
        if any(map(_is_hidden, name.split("/"))):
            self._num_hidden += has_extension
            return False
        if not has_extension:
            self._others[posixpath.splitext(name)[1].lower()] += 1
        return has_extension

    def hides(self, uri: str) -> bool:
        """Return whether the name is hidden or in a hidden or trash folder."""
        return any(map(_is_hidden, uri.removeprefix(self._folder).split("/")))

    def log_left_out(self) -> None:
        """Log in one line what `is_wanted` said no to."""
        if self._others or self._num_hidden:
            logger.info("%s: left out %s", self._folder, _describe(self._others, self._num_hidden, self._noun))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in NOT_LOOKED_INTO


def _describe(others: Counter[str], num_hidden: int, noun: str) -> str:
    """Return "7 files not named as videos (5 .jpg, 2 .txt) and 3 videos hidden or in hidden or trash folders"."""
    parts = []
    if num := others.total():
        most = sorted(others.items(), key=lambda item: (-item[1], not item[0], item[0]))[:MAX_NAMED]
        named = [f"{count} {extension[:20] or 'without extension'}" for extension, count in most]
        rest = num - sum(count for _, count in most)
        named += [f"{rest} others"] if rest else []
        parts.append(f"{num} file{'s' * (num > 1)} not named as {noun}s ({', '.join(named)})")
    if num_hidden:
        parts.append(f"{num_hidden} {noun}{'s' * (num_hidden > 1)} hidden or in hidden or trash folders")
    return " and ".join(parts)
