"""The Parquet tables: schemas, parts, runs, and readers."""
