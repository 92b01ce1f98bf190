"""The live actors of a pool: where each runs, which shards it has in flight, and which calls are not answered yet."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import ray

from choreai.cluster.steps import Step


class Shard(Protocol):
    """A unit of work with an id."""

    @property
    def shard_id(self) -> str: ...


ShardT = TypeVar("ShardT", bound=Shard)


class ActorBody:
    """What runs as an actor: a worker, whose calls are generators that say what it is at, and last the answer.

    It says at once which video it begins with, and every `tell_every_seconds` how far it is with it.
    """

    def __init__(
        self, worker_class: type, output: str, worker_settings: Mapping[str, object], tell_every_seconds: float
    ) -> None:
        self._worker: Any = worker_class(output, **worker_settings)  # whatever worker the job brings
        self._tell_every_seconds = tell_every_seconds

    def set_up(self) -> Iterator[Any]:
        """Set the worker up; the answer is the id of its node."""
        yield Step(0)
        self._worker.setup()
        yield str(ray.get_runtime_context().get_node_id())

    def process(self, shard: Any) -> Iterator[Any]:
        """Process `shard`; the answer is its report. A worker without `steps` says only that it has begun."""
        if not hasattr(self._worker, "steps"):
            yield self._worker.process(shard)
            return
        steps = self._worker.steps(shard)
        told, told_at = None, 0.0
        while True:
            try:
                step: Step = next(steps)
            except StopIteration as end:
                yield end.value
                return
            is_due = step != told and time.monotonic() >= told_at + self._tell_every_seconds
            if told is None or step.index != told.index or is_due:
                told, told_at = step, time.monotonic()
                yield step

    @classmethod
    def named_after(cls, worker_class: type) -> type:
        """Return this class under the name of the worker: `ps` and Ray's messages show it."""
        return type(worker_class.__name__, (cls,), {})


@dataclass(eq=False)
class PoolActor(Generic[ShardT]):
    """One actor and what it was handed."""

    handle: Any  # a Ray actor handle has no static type
    asked_at: float = field(default_factory=time.monotonic)
    """When Ray was asked for it (`time.monotonic`)."""
    node_id: str | None = None
    """Where it runs, once it is ready."""
    is_leaving: bool = False
    """Its node is draining: it gets no more shards."""
    in_flight: "deque[tuple[Any, ShardT]]" = field(default_factory=deque)
    """(call, shard); the first is the one it works on."""
    step: Step | None = None
    """The last step it told, of its set-up or of the first shard in flight."""
    silent_since: float = 0.0
    """When it began with that, answered, or was handed work when it had none (`time.monotonic`). How far it is with a
    video does not count: the time limit is the whole video's."""

    @property
    def is_ready(self) -> bool:
        return self.node_id is not None

    @property
    def is_waiting(self) -> bool:
        """Whether no node has been found for it yet."""
        return not self.is_ready and self.step is None

    @property
    def shards(self) -> list[ShardT]:
        """The shards in flight."""
        return [shard for _, shard in self.in_flight]

    @property
    def silent_seconds(self) -> float:
        """How long it has said nothing while it had something to do; 0 if it has nothing, or is not there yet."""
        has_work = self.in_flight if self.is_ready else self.step is not None
        return time.monotonic() - self.silent_since if has_work else 0.0

    def note(self, step: Step) -> None:
        """Note what the actor says it is at."""
        if self.step is None or step.index != self.step.index:
            self.silent_since = time.monotonic()
        self.step = step

    def take_back(self, call: Any) -> ShardT:
        """Return the shard of an answered call, which is no longer in flight."""
        entry = next(entry for entry in self.in_flight if entry[0] == call)
        self.in_flight.remove(entry)
        self.step, self.silent_since = None, time.monotonic()
        return entry[1]


class PoolActors(Generic[ShardT]):
    """The actors of a pool that were started and neither died nor were dismissed, in the order of their start.

    `start_actor` starts one on Ray, given options that say where, and returns its handle.
    """

    def __init__(self, start_actor: Callable[[Mapping[str, Any]], Any]) -> None:
        self._start_actor = start_actor
        self._actors: list[PoolActor[ShardT]] = []
        self._owners: dict[Any, PoolActor[ShardT]] = {}  # each call not answered yet -> its actor

    def __iter__(self) -> Iterator[PoolActor[ShardT]]:
        """Yield the actors there are now; they may be dismissed meanwhile."""
        return iter(list(self._actors))

    @property
    def calls(self) -> list[Any]:
        """The calls that are not answered yet, for `ray.wait`."""
        return list(self._owners)

    @property
    def staying(self) -> list[PoolActor[ShardT]]:
        """The actors whose nodes are not draining."""
        return [actor for actor in self._actors if not actor.is_leaving]

    def start(self, options: Mapping[str, Any]) -> PoolActor[ShardT]:
        """Start an actor with Ray's `options`; its first answer is the id of its node, after its `setup`."""
        actor: PoolActor[ShardT] = PoolActor(self._start_actor(options))
        self._actors.append(actor)
        self._owners[actor.handle.set_up.remote()] = actor
        return actor

    def let_leave(self, actor: PoolActor[ShardT]) -> None:
        """Give an actor no more shards: it ends once it has finished those it has."""
        actor.is_leaving = True
        if not actor.in_flight:
            self.dismiss(actor)

    def hand(self, actor: PoolActor[ShardT], shard: ShardT) -> None:
        """Have `actor` process `shard`, after what it has in flight."""
        call = actor.handle.process.remote(shard)
        if not actor.in_flight:
            actor.step, actor.silent_since = None, time.monotonic()
        actor.in_flight.append((call, shard))
        self._owners[call] = actor

    def owner(self, call: Any) -> PoolActor[ShardT] | None:
        """Return the actor that `call` was made to; None if it was dismissed meanwhile."""
        return self._owners.get(call)

    def close(self, call: Any) -> None:
        """Wait no longer for `call`, which is answered."""
        self._owners.pop(call, None)

    def has_spoken(self, actor: PoolActor[ShardT]) -> bool:
        """Return whether the actor has said something that is not read yet."""
        calls = [call for call, owner in self._owners.items() if owner is actor]
        return bool(ray.wait(calls, num_returns=1, timeout=0)[0])

    def dismiss(self, actor: PoolActor[ShardT]) -> list[ShardT]:
        """End an actor, and return the shards that it had in flight."""
        ray.kill(actor.handle)
        self._actors.remove(actor)
        self._owners = {call: owner for call, owner in self._owners.items() if owner is not actor}
        return actor.shards

    def dismiss_all(self) -> None:
        """End every actor; shards in flight are lost."""
        for actor in self:
            self.dismiss(actor)
