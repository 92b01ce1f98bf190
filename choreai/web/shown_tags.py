"""The tags that the catalog pages show: one temporary database, read again now and then in the background."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

from choreai.errors import ConfigError
from choreai.search.search import MEASURES, Search, open_found
from choreai.search.tag_database import TagDatabase, open_tag_database
from choreai.web.catalog_search import make_shown, update_shown

REFRESH_SECONDS = 60.0
"""How often the tags are read again; twenty times the time that reading takes, if that is longer."""

AnswerT = TypeVar("AnswerT")


def start_thread(work: Callable[[], None]) -> None:
    """Run the work in a thread that ends with the process."""
    threading.Thread(target=work, name="catalog", daemon=True).start()


class ShownTags:
    """The database of the tags under `output`, None while there are none. Thread-safe."""

    def __init__(
        self,
        output: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        in_background: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self._output, self._clock, self._in_background = output, clock, in_background
        self._lock = threading.RLock()
        self._open = ExitStack()
        self._is_reading = False
        self._corrected: list[str] = []
        self._database: TagDatabase | None = None
        self._read_at, self._read_seconds = -math.inf, 0.0

    def ask(self, nothing: AnswerT, answer: Callable[[TagDatabase], AnswerT]) -> AnswerT:
        """Return what the database answers, `nothing` where there are no tags."""
        with self._lock:
            database = self._refresh()
            return nothing if database is None else answer(database)

    def rows(self, statement: str, parameters: Sequence[object]) -> list[dict[str, Any]]:
        """Return the rows of a small result; none where there are no tags."""
        return self.ask([], lambda database: database.rows(statement, parameters))

    def read_again(self) -> None:
        """Read the tables now: a part was compacted into another since they were read."""
        with self._lock:
            self._read()

    def reload_corrections(self, video_ids: Sequence[str]) -> None:
        """Read the corrections again, which have changed for these videos."""
        with self._lock:
            if self._database is not None and video_ids:
                self._database.load_corrections()
                update_shown(self._database, video_ids)
            self._corrected += video_ids if self._is_reading else []

    def _refresh(self) -> TagDatabase | None:
        """Return the database; one that is old is read again in the background. Call with the lock held."""
        age = self._clock() - self._read_at
        if self._database is None:
            if age > max(1.0, 20 * self._read_seconds):
                self._read()
        elif not self._is_reading and age > max(REFRESH_SECONDS, 20 * self._read_seconds):
            self._is_reading = True
            self._in_background(self._read)
        return self._database

    def _read(self) -> None:
        """Read the tables into a new database, and answer from it from then on."""
        started = self._clock()
        try:
            with ExitStack() as opening:
                database = opening.enter_context(open_tag_database(self._output))
                has_tags = _load(database)
                with self._lock:
                    self._open.close()
                    self._open = opening.pop_all()
                    self._database = database if has_tags else None
                    self.reload_corrections(self._corrected)  # that were stored while this one was read
                    self._corrected = []
        finally:
            self._read_at, self._is_reading = self._clock(), False
            self._read_seconds = self._read_at - started


def _load(database: TagDatabase) -> bool:
    """Load all tables that the pages need; return whether there are tags."""
    try:
        open_found(database, Search(""), labels=None, features=MEASURES)
    except ConfigError:
        return False
    database.load_videos(["video_id", "content_id", "duration_seconds", "shard_id", "width", "height"])
    make_shown(database)
    return True
