"""What a command line names: videos, folders, patterns, web addresses and catalogs."""

import difflib
import glob
import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from choreai.catalog.rows import is_video_name
from choreai.errors import CatalogError
from choreai.storage.scratch import scratch_folder
from choreai.storage.uris import join_uri
from choreai.storage.web_video import fetch_video, is_web_address

logger = logging.getLogger(__name__)

_PATTERN = frozenset("*?[")


def find_sources(words: Sequence[str], *, folder: str, allow_private: bool) -> list[str]:
    """Return what the words name, patterns replaced by their files and web addresses by what was downloaded.

    Downloads are kept under `folder`, and those that are there already are not repeated. Raises CatalogError for a
    pattern that fits nothing, MediaError and StorageError where a download fails.
    """
    found: list[str] = []
    for word in words:
        if is_web_address(word):
            found.append(_download(word, folder, allow_private))
        elif is_pattern(word):
            found += expand_pattern(word)
        else:
            found.append(word)
    return found


def is_pattern(word: str) -> bool:
    """Return whether a word is a pattern that the shell has left alone, such as '*.mp4' in quotes."""
    return bool(_PATTERN & set(word)) and "://" not in word and not os.path.exists(word)


def suggest_path(path: str) -> str:
    """Return a question about what lies beside `path` with nearly its name; empty where nothing does."""
    folder, name = os.path.split(path.rstrip("/"))
    others = os.listdir(folder or ".") if os.path.isdir(folder or ".") else []
    found = difflib.get_close_matches(name, others, n=1, cutoff=0.7)
    return f"; did you mean {os.path.join(folder, found[0])}?" if found else ""


def expand_pattern(pattern: str) -> list[str]:
    """Return the files that fit, in order. Raises CatalogError where none does."""
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise CatalogError(f"{pattern}: no file fits this pattern; check the folder and the extension")
    return files


def download_name(address: str) -> str:
    """Return the file name for an address: the one it ends in, with a hash that tells it from others of that name."""
    name = PurePosixPath(unquote(urlsplit(address).path)).name
    stem, dot, extension = name.rpartition(".")
    if not is_video_name(name):
        stem, dot, extension = name, ".", "mp4"  # what it is in truth, the decoder finds out
    plain = re.sub(r"[^\w-]+", "-", stem).strip("-")[:60] or "video"
    return f"{plain}-{hashlib.sha256(address.encode()).hexdigest()[:8]}{dot}{extension.lower()}"


def _download(address: str, folder: str, allow_private: bool) -> str:
    from choreai.storage import objects

    target = join_uri(folder, "downloads", download_name(address))
    if objects.stat_object(target) is not None:
        logger.info("%s was downloaded before", target)
        return target
    with scratch_folder() as scratch:
        path = scratch / "video"
        fetch_video(address, path, allow_private=allow_private)
        objects.put_if_absent(target, path)
    logger.info("downloaded to %s", target)
    return target
