"""One file, one job that `ray job submit` can run: wiring only."""
