"""From frames to people: pose estimators, and trackers."""
