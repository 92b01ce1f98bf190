"""Spot nodes while there are any, on-demand nodes where there are none, and back: for whom a pool's actors are asked.

Ray's autoscaler repeats a spot request that the cloud refuses, and does not turn it into one for an on-demand node. So
actors ask for spot nodes by label; those that got none for some minutes ask for on-demand nodes; and while any worker
is on one of those, an extra actor asks for a spot node, and takes the place of one of them when it gets it.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any, Generic

import ray

from choreai.cluster.actors import PoolActor, PoolActors, ShardT

logger = logging.getLogger(__name__)

MARKET_LABEL = "ray.io/market-type"
"""Ray's own label for it; its Kubernetes operator sets it on GKE, `cluster.yaml` on AWS."""
SPOT, ON_DEMAND = "spot", "on-demand"


def actor_options(*markets: str) -> dict[str, Any]:
    """Return the options by which Ray places an actor on a node of the first of `markets` that has room."""
    first, *others = ({"label_selector": {MARKET_LABEL: market}} for market in markets)
    return {**first, "fallback_strategy": others} if others else dict(first)


def node_markets() -> dict[str, str]:
    """Return the market of each node that is alive and says it."""
    labels = {node["NodeID"]: node.get("Labels", {}) for node in ray.nodes() if node["Alive"]}
    return {node_id: found[MARKET_LABEL] for node_id, found in labels.items() if MARKET_LABEL in found}


@dataclass
class Market(Generic[ShardT]):
    """For which nodes actors are asked; with a `patience_seconds` of 0 for any."""

    patience_seconds: float = 0.0
    """How long an actor waits for a spot node before on-demand is asked for, and between two attempts to come back."""
    _has_spot: bool = True
    _extra: PoolActor[ShardT] | None = None
    _next_extra_at: float = 0.0

    def options(self) -> dict[str, Any]:
        """Return the options of the next actor."""
        if not self.patience_seconds:
            return {}
        return actor_options(SPOT, ON_DEMAND) if self._has_spot else actor_options(ON_DEMAND)

    def review(self, actors: PoolActors[ShardT], *, has_work: bool) -> None:
        """Change what waits in vain, and exchange an on-demand worker for one on a spot node that has come."""
        if not self.patience_seconds:
            return
        markets = node_markets()
        self._settle_extra(actors, markets)
        self._give_up_waiting(actors)
        dear = [actor for actor in actors.staying if markets.get(actor.node_id or "") == ON_DEMAND]
        if dear and has_work and self._extra is None and time.monotonic() >= self._next_extra_at:
            self._extra = actors.start(actor_options(SPOT))

    def _give_up_waiting(self, actors: PoolActors[ShardT]) -> None:
        """Dismiss the actors that have waited too long for a node; the pool starts others in their place."""
        vain = [each for each in actors.staying if each is not self._extra and self._waits_in_vain(each)]
        if not vain or not self._has_spot:
            return
        self._has_spot = False
        self._next_extra_at = time.monotonic() + self.patience_seconds
        logger.warning(
            "%d workers got no spot node for %g minutes; asking for on-demand nodes, and for spot again later",
            len(vain),
            self.patience_seconds / 60,
        )
        for each in vain:
            actors.dismiss(each)

    def _settle_extra(self, actors: PoolActors[ShardT], markets: dict[str, str]) -> None:
        """Let an on-demand worker leave for the extra one that got a spot node; end one that got none for too long."""
        extra = self._extra
        if extra is None:
            return
        if extra not in actors.staying:  # died, left, or no work was left
            self._extra = None
        elif extra.is_ready:
            self._extra, self._has_spot, self._next_extra_at = None, True, time.monotonic()
            dear = [actor for actor in actors.staying if markets.get(actor.node_id or "") == ON_DEMAND]
            if dear:
                logger.info("a spot node is there; a worker on an on-demand node leaves after its shard")
                actors.let_leave(dear[0])
        elif self._waits_in_vain(extra):
            actors.dismiss(extra)
            self._extra, self._next_extra_at = None, time.monotonic() + self.patience_seconds

    def _waits_in_vain(self, actor: PoolActor[ShardT]) -> bool:
        return actor.is_waiting and time.monotonic() >= actor.asked_at + self.patience_seconds
