"""Search in tags: the search language, the scratch database, exports and corrections."""
