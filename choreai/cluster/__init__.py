"""Shards on Ray actors: the pool, its workers, their limits and metrics."""
