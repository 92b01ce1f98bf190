"""Object storage, catalogs, shards and tables: everything that survives a run."""
