"""The elastic pool: shards in, reports out, on Ray actors that come, die and go.

Why not `ray.util.ActorPool` or a Ray Data actor pool: the first stalls behind an actor whose node never comes,
the second hides which shard killed its worker. Here an actor gets work only once it has answered, a dead actor
is replaced and its shards are handed out again, actors leave when no work is left for them or their node is
about to go, and a shard that keeps killing workers is narrowed down to the video that does it.
"""

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from choreai.cluster.actors import ActorBody, PoolActor, PoolActors, ShardT
from choreai.cluster.deaths import cause_of_death, is_short_of_memory
from choreai.cluster.draining import draining_nodes
from choreai.cluster.limits import WORKER_ENVIRONMENT, VideoLimitError
from choreai.cluster.market import Market
from choreai.cluster.steps import Step
from choreai.errors import (
    ConfigError,
    DamagedPartError,
    StorageError,
    StoreUnavailableError,
    TableError,
    WeightsError,
    WorkerError,
)

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A shard that kills its worker, or fails with an error of its own, this often is not handed out again as it is. One
death may be a lost node or another process's memory; three in a row are the shard's."""
MAX_DEAD_STARTS = 5
"""So many actors in a row dying before they were ready end the run: no shard is to blame."""
MAX_SILENCES = 2
"""A video at which a worker falls silent this often is not tried again. Once may be a node that stood still."""
MAX_START_SECONDS = 1800.0
"""What a worker may take for its set-up, for weights from a slow store too."""
WAIT_NOTICE_SECONDS = 30.0
TELL_EVERY_SECONDS, MAX_TOLD_PER_SECOND = 1.0, 20.0
"""How often a worker tells how far it is with a video, and how often all of them together do. The driver takes a
millisecond for each, and more the more workers there are."""
DRAIN_POLL_SECONDS = 2.0
"""How often the pool asks which nodes are draining: often within the half minute of a SIGTERM."""
FINAL_ERRORS = (ConfigError, TableError, WeightsError, StoreUnavailableError)
"""Errors that no retry mends: the run stops at once. A store that is down was waited for already."""

ReportT = TypeVar("ReportT")


@dataclass(frozen=True)
class WorkerResources:
    """What one actor asks of Ray."""

    num_cpus: float = 1.0
    num_gpus: float = 0.0
    spot_patience_seconds: float = 0.0
    """How long it waits for a spot node before an on-demand node is asked for; 0: any node will do."""


@dataclass(frozen=True)
class Failure(Generic[ShardT]):
    """A shard that no worker could finish."""

    shard: ShardT
    reason: str
    killed_worker: bool
    """True: the worker process died each time, or had to be ended. False: it answered with an error each time, or its
    node ran short of memory, which no video is quarantined for: with fewer workers it may do."""
    error_class: str
    """WorkerDied, TimeLimit, MemoryLimit, NodeMemory, or the class of the error answered."""


@dataclass(frozen=True)
class InFlight(Generic[ShardT]):
    """A shard that a worker is processing."""

    shard: ShardT
    step: Step


class WorkerPool(Generic[ShardT, ReportT]):
    """Runs `worker_class(output, **worker_settings)` on `num_workers` actors and feeds them shards.

    The worker class is an ordinary class with `setup() -> None` (loads weights; its errors end the run) and either
    `steps(shard) -> Steps[report]` or only `process(shard) -> report`. `narrow(shard)` returns the smaller shards to
    try when `shard` keeps killing workers, or the shard alone when it cannot be narrowed. From `stop_at` on
    (`time.monotonic`) no shard is handed out: workers finish those they have, and the rest is left for another run. A
    worker that has said nothing for `max_silent_seconds`, neither that it begins with another video nor its report,
    is ended, whatever its own clock says: a stopped process has none. With `has_environment` every process of this Ray
    has WORKER_ENVIRONMENT already.
    """

    def __init__(
        self,
        worker_class: type,
        output: str,
        worker_settings: Mapping[str, object],
        *,
        num_workers: int,
        resources: WorkerResources,
        narrow: Callable[[ShardT], list[ShardT]],
        stop_at: float = math.inf,
        max_silent_seconds: float = math.inf,
        has_environment: bool = False,
    ) -> None:
        # max_restarts=0: with Ray's own restarts a shard stays queued behind a node that is gone for good.
        remote_class = ray.remote(
            num_cpus=resources.num_cpus,
            num_gpus=resources.num_gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env=None if has_environment else {"env_vars": WORKER_ENVIRONMENT},
        )(ActorBody.named_after(worker_class))
        tell_every_seconds = max(TELL_EVERY_SECONDS, num_workers / MAX_TOLD_PER_SECOND)
        self._actors: PoolActors[ShardT] = PoolActors(
            lambda options: remote_class.options(**options).remote(
                worker_class, output, worker_settings, tell_every_seconds
            )
        )
        self._market: Market[ShardT] = Market(resources.spot_patience_seconds)
        self._num_workers = num_workers
        self._resources = resources
        self._narrow = narrow
        self._stop_at = stop_at
        self._max_silent_seconds = max_silent_seconds
        self.on_round: Callable[[], None] = lambda: None
        """Called at least every DRAIN_POLL_SECONDS, for whoever shows what is `in_flight`."""
        self._backlog: deque[ShardT] = deque()
        self._attempts: Counter[str] = Counter()  # failed attempts, by shard id
        self._suspects: set[str] = set()  # shards that were in flight when a worker died
        self._dead_starts = 0
        self.num_worker_deaths = 0

    def run(self, shards: Iterator[ShardT]) -> Iterator[ReportT | Failure[ShardT]]:
        """Yield the report of each shard as it is finished, or its Failure. Raises what `setup` raised."""
        try:
            yield from self._run_until_empty(takewhile(lambda _: not self._time_is_up(), shards))
        finally:
            self._actors.dismiss_all()

    def _run_until_empty(self, shards: Iterator[ShardT]) -> Iterator[ReportT | Failure[ShardT]]:
        self._fill_backlog(shards)
        self._start_actors()
        notice_at, drain_poll_at = time.monotonic() + WAIT_NOTICE_SECONDS, 0.0
        while calls := self._actors.calls:
            answered, _ = ray.wait(calls, num_returns=1, timeout=DRAIN_POLL_SECONDS)
            if time.monotonic() > drain_poll_at:
                self._leave_draining_nodes()
                self._market.review(self._actors, has_work=bool(self._backlog))
                drain_poll_at = time.monotonic() + DRAIN_POLL_SECONDS
            if not any(actor.is_ready for actor in self._actors) and time.monotonic() > notice_at:
                self._log_waiting()
                notice_at = time.monotonic() + WAIT_NOTICE_SECONDS
            for call in answered:
                outcome = self._settle(call)
                if outcome is not None:
                    yield outcome
            yield from self._end_silent_workers()
            if self._time_is_up():
                self._backlog.clear()
            self._fill_backlog(shards)
            self._start_actors()
            self._hand_out()
            self.on_round()

    @property
    def in_flight(self) -> list[InFlight[ShardT]]:
        """The shards that workers have begun with, and how far each is."""
        return [
            InFlight(actor.shards[0], actor.step)
            for actor in self._actors
            if actor.is_ready and actor.in_flight and actor.step is not None
        ]

    def _time_is_up(self) -> bool:
        return time.monotonic() >= self._stop_at

    def _fill_backlog(self, shards: Iterator[ShardT]) -> None:
        """Keep a few shards per worker ready; the rest stay in the iterator, not planned yet."""
        while len(self._backlog) < 4 * self._num_workers:
            shard = next(shards, None)
            if shard is None:
                return
            self._backlog.append(shard)

    def _start_actors(self) -> None:
        """Start as many actors as there is work for, all at once, so that an autoscaler sees the whole demand."""
        staying = self._actors.staying
        num_busy = sum(bool(actor.in_flight) for actor in staying)
        for _ in range(min(self._num_workers, num_busy + len(self._backlog)) - len(staying)):
            self._actors.start(self._market.options())

    def _leave_draining_nodes(self) -> None:
        """Let the actors leave whose nodes Ray is about to lose.

        Each finishes the shard it is working on; if the node does not live that long, the shard is handed out again.
        Replacements start elsewhere at once, so that an autoscaler sees the demand before the node is gone.
        """
        draining = draining_nodes()
        for actor in self._actors.staying:
            if actor.node_id in draining:
                logger.warning("node %s is going away; its worker gets no new shards", actor.node_id)
                self._actors.let_leave(actor)

    def _hand_out(self) -> None:
        """Give every ready actor work, one shard running and one waiting; near the end one only, so that no
        shard waits behind a slow one while another actor is idle. Actors without work leave."""
        ready = [actor for actor in self._actors.staying if actor.is_ready]
        for depth in (1, 2):
            for actor in ready:
                if self._backlog and self._may_take(actor, self._backlog[0], depth, num_ready=len(ready)):
                    self._actors.hand(actor, self._backlog.popleft())
        if not self._backlog:
            for actor in self._actors:
                if not actor.in_flight:
                    self._actors.dismiss(actor)  # should a shard come back from elsewhere, a new actor starts

    def _may_take(self, actor: PoolActor[ShardT], shard: ShardT, depth: int, *, num_ready: int) -> bool:
        # A shard that was in flight when a worker died runs alone: if another dies, it is known which one did it.
        running = [held.shard_id for held in actor.shards]
        if running and ({shard.shard_id, *running} & self._suspects):
            return False
        return len(running) < depth and (depth == 1 or len(self._backlog) > num_ready)

    def _settle(self, call: Any) -> ReportT | Failure[ShardT] | None:
        """Act on what a call has to say, and return the report or failure to pass on; None if there is none yet."""
        actor = self._actors.owner(call)
        if actor is None:  # its actor died in this round, and the shard is in the backlog again
            return None
        try:
            report: ReportT | Step = ray.get(next(call))
        except RayTaskError as exc:
            self._actors.close(call)
            return self._handle_error(actor, call, exc)
        except RayError as exc:
            return self._handle_death(actor, exc)
        if isinstance(report, Step):
            actor.note(report)
            return None
        self._actors.close(call)
        if not actor.is_ready:
            actor.node_id, self._dead_starts = str(report), 0
            return None
        shard = actor.take_back(call)
        self._attempts.pop(shard.shard_id, None)
        self._suspects.discard(shard.shard_id)
        if actor.is_leaving:
            self._backlog.extendleft(self._actors.dismiss(actor))
        return report

    def _handle_error(self, actor: PoolActor[ShardT], call: Any, exc: RayTaskError) -> Failure[ShardT] | None:
        """Have a shard whose worker answered with an error tried again elsewhere, up to MAX_ATTEMPTS."""
        cause = exc.cause if isinstance(exc.cause, BaseException) else exc
        is_final = isinstance(cause, FINAL_ERRORS) and not isinstance(cause, DamagedPartError)
        if is_final or not actor.is_ready:
            raise cause
        shard = actor.take_back(call)
        if isinstance(cause, VideoLimitError):
            return self._end_over_limit(actor, shard, cause)
        if not isinstance(cause, StorageError | DamagedPartError):
            logger.error("shard %s failed: %s", shard.shard_id, exc)
        if self._count_attempt(shard) < MAX_ATTEMPTS and not isinstance(cause, DamagedPartError):
            self._backlog.append(shard)
            return None
        name = type(cause).__name__
        return Failure(shard, f"{name}: {cause}", killed_worker=False, error_class=name)

    def _end_over_limit(self, actor: PoolActor[ShardT], shard: ShardT, exc: VideoLimitError) -> Failure[ShardT] | None:
        """End a worker that named the video over its limit: that one fails, the shard's others run one by one; all of
        them where it could not name it."""
        logger.warning("%s; its worker is ended", exc.reason)
        self.num_worker_deaths += 1
        self._backlog.extendleft(self._actors.dismiss(actor))
        singles = self._narrow(shard)
        culprit = None if exc.index is None else singles.pop(exc.index)
        self._backlog.extendleft(singles)
        if culprit is None:
            return None
        return Failure(culprit, exc.reason, killed_worker=True, error_class=exc.limit)

    def _handle_death(self, actor: PoolActor[ShardT], exc: RayError) -> Failure[ShardT] | None:
        """Put the shards of a dead worker back, or narrow or fail the one that keeps killing workers."""
        if getattr(exc, "actor_init_failed", False):
            raise ConfigError(
                f"workers cannot start: {exc}; every node needs the same choreai and its dependencies installed"
            ) from exc
        self.num_worker_deaths += 1
        lost = self._actors.dismiss(actor)
        cause = cause_of_death(exc)
        logger.warning("a worker died (%s); %d shards are handed out again", cause, len(lost))
        if is_short_of_memory(exc) and self._num_workers > 1:
            self._num_workers -= 1
            logger.warning("num_workers is %d from now on, for want of memory", self._num_workers)
        if not actor.is_ready:
            self._count_dead_start(cause)
        # Of two, either may have done it; and a node that was taken away blames no shard.
        blamed = len(lost) == 1 and not getattr(exc, "preempted", False)
        return self._put_back(
            lost,
            blamed=lost[0] if blamed else None,
            reason=f"its worker died {MAX_ATTEMPTS} times: {cause}",
            error_class="NodeMemory" if is_short_of_memory(exc) else "WorkerDied",
        )

    def _end_silent_workers(self) -> Iterator[Failure[ShardT]]:
        """End the workers that have said nothing for too long; yield what fails for it."""
        for actor in self._actors:
            seconds = actor.silent_seconds
            if seconds <= (self._max_silent_seconds if actor.is_ready else MAX_START_SECONDS):
                continue
            if self._actors.has_spoken(actor):  # nobody has listened: the driver was busy, or stood still itself
                continue
            self.num_worker_deaths += 1
            step = None if actor.step is None else actor.step.index
            lost = self._actors.dismiss(actor)
            cause = f"it did not answer for {seconds / 60:.1f} minutes"
            logger.warning("a worker is ended (%s); %d shards are handed out again", cause, len(lost))
            if not actor.is_ready:
                self._count_dead_start(f"{cause} while loading its weights")
                continue
            self._backlog.extendleft(lost[1:])
            failure = self._put_back_silent(lost[0], step, cause)
            if failure is not None:
                yield failure

    def _count_dead_start(self, cause: str) -> None:
        """Raise WorkerError if too many workers in a row ended before they were ready."""
        self._dead_starts += 1
        if self._dead_starts >= MAX_DEAD_STARTS:
            raise WorkerError(f"{self._dead_starts} workers in a row ended before they were ready; the last: {cause}")

    def _put_back_silent(self, shard: ShardT, step: int | None, cause: str) -> Failure[ShardT] | None:
        """Hand out again what a worker fell silent at, its last step alone; return the Failure of one it was too often.

        The other videos go on one by one. If all were done, or the worker does not tell its steps, nobody knows which
        it was, and the shard stays whole until it has cost MAX_SILENCES workers.
        """
        singles = self._narrow(shard)
        if len(singles) > 1 and step is not None and step < len(singles):
            shard = singles.pop(step)
            self._backlog.extendleft(singles)
        if self._count_attempt(shard) >= MAX_SILENCES:
            return self._narrow_or_fail(
                shard,
                f"its worker was ended {MAX_SILENCES} times: {cause} (max_video_minutes)",
                error_class="TimeLimit",
            )
        self._suspects.add(shard.shard_id)
        self._backlog.append(shard)
        return None

    def _put_back(
        self, lost: list[ShardT], *, blamed: ShardT | None, reason: str, error_class: str
    ) -> Failure[ShardT] | None:
        """Hand out again what a worker had; return the Failure of a shard that has cost too many of them."""
        failure = None
        self._suspects.update(shard.shard_id for shard in lost)
        for shard in lost:
            if shard is blamed and self._count_attempt(shard) >= MAX_ATTEMPTS:
                failure = self._narrow_or_fail(shard, reason, error_class=error_class)
            else:
                self._backlog.appendleft(shard)
        return failure

    def _narrow_or_fail(self, shard: ShardT, reason: str, *, error_class: str) -> Failure[ShardT] | None:
        smaller = self._narrow(shard)
        if len(smaller) > 1:
            logger.warning("shard %s: %s; trying its %d videos one by one", shard.shard_id, reason, len(smaller))
            self._suspects.update(each.shard_id for each in smaller)
            self._backlog.extendleft(smaller)
            return None
        return Failure(shard, reason, killed_worker=error_class != "NodeMemory", error_class=error_class)

    def _count_attempt(self, shard: ShardT) -> int:
        self._attempts[shard.shard_id] += 1
        return self._attempts[shard.shard_id]

    def _log_waiting(self) -> None:
        logger.warning(
            "no worker has started yet: each needs %g CPUs and %g GPUs; the cluster has %g CPUs and %g GPUs, "
            "of which %g and %g are free",
            self._resources.num_cpus,
            self._resources.num_gpus,
            *(ray.cluster_resources().get(name, 0.0) for name in ("CPU", "GPU")),
            *(ray.available_resources().get(name, 0.0) for name in ("CPU", "GPU")),
        )
