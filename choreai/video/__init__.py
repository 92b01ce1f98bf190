"""Decode video into frames, prefetch them, and encode drawn frames into video."""
