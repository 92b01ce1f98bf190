"""Catalogs: which videos there are, their content ids, and how they are cut into shards."""
