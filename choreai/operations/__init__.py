"""After a run: run report, drift, notifications, capacity planning, review."""
