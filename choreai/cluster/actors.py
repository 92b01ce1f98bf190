"""The live actors of a pool: where each runs, which shards it has in flight, and which calls are not answered yet."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import ray


class Shard(Protocol):
    """A unit of work with an id."""

    @property
    def shard_id(self) -> str: ...


ShardT = TypeVar("ShardT", bound=Shard)


@dataclass(eq=False)
class PoolActor(Generic[ShardT]):
    """One actor and what it was handed."""

    handle: Any  # a Ray actor handle has no static type
    node_id: str | None = None
    """Where it runs, once it is ready."""
    is_leaving: bool = False
    """Its node is draining: it gets no more shards."""
    in_flight: "deque[tuple[Any, ShardT]]" = field(default_factory=deque)
    """(call, shard); the first is the one it works on."""
    working_since: float = 0.0
    """When it began with the first in flight (`time.monotonic`)."""

    @property
    def is_ready(self) -> bool:
        return self.node_id is not None

    @property
    def shards(self) -> list[ShardT]:
        """The shards in flight."""
        return [shard for _, shard in self.in_flight]

    @property
    def working_seconds(self) -> float:
        """How long it has been at the first shard in flight; 0 if there is none."""
        return time.monotonic() - self.working_since if self.in_flight else 0.0

    def take_back(self, call: Any) -> ShardT:
        """Return the shard of an answered call, which is no longer in flight."""
        entry = next(entry for entry in self.in_flight if entry[0] == call)
        self.in_flight.remove(entry)
        self.working_since = time.monotonic()
        return entry[1]


class PoolActors(Generic[ShardT]):
    """The actors of a pool that were started and neither died nor were dismissed, in the order of their start.

    `start_actor` starts one on Ray and returns its handle.
    """

    def __init__(self, start_actor: Callable[[], Any]) -> None:
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

    def start(self) -> None:
        """Start an actor; its first answer is the id of its node, after its `setup`."""
        actor: PoolActor[ShardT] = PoolActor(self._start_actor())
        self._actors.append(actor)
        self._owners[actor.handle.__ray_call__.remote(_set_up)] = actor

    def hand(self, actor: PoolActor[ShardT], shard: ShardT) -> None:
        """Have `actor` process `shard`, after what it has in flight."""
        call = actor.handle.process.remote(shard)
        if not actor.in_flight:
            actor.working_since = time.monotonic()
        actor.in_flight.append((call, shard))
        self._owners[call] = actor

    def answered(self, call: Any) -> PoolActor[ShardT] | None:
        """Return the actor that answered `call`; None if it was dismissed before the answer was read."""
        return self._owners.pop(call, None)

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


def _set_up(worker: Any) -> str:
    """Return the id of the node that an actor runs on, after its `setup`."""
    worker.setup()
    return str(ray.get_runtime_context().get_node_id())
