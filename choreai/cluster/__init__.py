"""Running shards on Ray actors."""
