"""Nodes that Ray is about to lose. The only place that reads Ray's private state, because no public call tells this."""


def draining_nodes() -> set[str]:
    """Return the ids of the nodes being drained after a SIGTERM, a spot notice or `ray drain-node`.

    Ray must be connected. Ray Train and Ray Serve ask the same private state (Ray 2.60).
    """
    from ray._private.state import state

    return set(state.get_draining_nodes())
