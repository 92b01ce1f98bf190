"""Frames to people: the estimator contract, its implementations, and tracking."""
