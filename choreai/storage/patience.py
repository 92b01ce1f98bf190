"""How long a store in trouble is asked again, and whether the store or one object is at fault: for every backend."""

import logging
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from choreai.errors import ObjectForbiddenError, ObjectMissingError, ObjectUnusableError, StoreUnavailableError
from choreai.storage.uris import StoreLocation

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")

PATIENCE_SECONDS = 300.0
"""A store that answers 5xx or not at all is asked again for this long: an outage of a few minutes costs a wait."""
FIRST_CONTACT_SECONDS = 8.0
"""The same where no store has ever answered this process: the endpoint is more likely wrong than down."""
NOTICE_SECONDS = 20.0
MANY_REFUSED = 10
"""So many objects refused in a row, and none ever given: the credentials cannot read here at all."""
_LONGEST_PAUSE_SECONDS = 15.0


@dataclass
class Contact:
    """What this process has seen of one store."""

    translate_errors: Callable[[str], AbstractContextManager[None]]
    """Given the URI that is asked for, turns what the store's library raises into our own errors."""
    is_answer: Callable[[BaseException | None], bool]
    """Returns whether what the library raised is the store's answer, rather than that of a network without it."""
    has_answered: bool = False
    given: dict[str, StoreLocation] = field(default_factory=dict)
    """By operation, the last object that the store gave."""
    num_refused: int = 0
    """Objects refused in a row."""

    def has_given_nothing(self) -> bool:
        """Return whether the store has refused every object that this process wanted to read."""
        return self.num_refused > 0 and "GET" not in self.given

    def ask(self, uri: str, call: Callable[[], ResultT]) -> ResultT:
        """Return what `call` gives; ask again, for `PATIENCE_SECONDS`, while the store itself has trouble."""
        started, pause, notice_at = time.monotonic(), 0.5, NOTICE_SECONDS
        while True:
            try:
                with self.translate_errors(uri):
                    reply = call()
                self.has_answered = True
                return reply
            except StoreUnavailableError as exc:
                spent = time.monotonic() - started
                if _is_about_credentials(exc) or spent + pause > self._patience(exc):
                    raise
                if spent > notice_at:
                    logger.warning("waiting for the store: %s", exc)
                    notice_at = 2 * spent
            time.sleep(pause * random.uniform(0.5, 1.0))  # or all workers would come back at once
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def ask_for_object(
        self, uri: str, location: StoreLocation, call: Callable[[StoreLocation], ResultT], *, name: str = "HEAD"
    ) -> ResultT:
        """Ask for one object. If it is refused, find out whether the store still gives the last one that it gave.

        Raises ObjectForbiddenError where it is this object, StoreUnavailableError where the store refuses all.
        """
        try:
            reply = self.ask(uri, lambda: call(location))
        except ObjectForbiddenError as exc:
            self.num_refused += 1
            given = self.given.get(name)
            if given is not None and given != location and not self._is_still_given(given, call):
                reason = f"the store now refuses even what it gave before; were the credentials revoked? ({exc.reason})"
                raise StoreUnavailableError(uri, reason) from exc
            if given is None and self.num_refused >= MANY_REFUSED:
                reason = f"the store refused {self.num_refused} objects in a row and gave none; {exc.reason}"
                raise StoreUnavailableError(uri, reason) from exc
            raise
        self.given[name], self.num_refused = location, 0
        return reply

    def _patience(self, exc: StoreUnavailableError) -> float:
        is_there = self.has_answered or self.is_answer(exc.__cause__)
        return PATIENCE_SECONDS if is_there else FIRST_CONTACT_SECONDS

    def _is_still_given(self, location: StoreLocation, call: Callable[[StoreLocation], object]) -> bool:
        try:
            self.ask(location.uri, lambda: call(location))
        except ObjectForbiddenError:
            return False
        except (ObjectMissingError, ObjectUnusableError):
            pass  # deleted meanwhile: no proof of anything
        return True


def _is_about_credentials(exc: StoreUnavailableError) -> bool:
    return "credentials" in exc.reason
