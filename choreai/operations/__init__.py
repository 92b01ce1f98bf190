"""What happens after a run: its report, drift, notices, capacity, review."""
