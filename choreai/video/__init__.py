"""Decoding and drawing video frames."""
