"""The Parquet tables: schemas, parts, and what is read back from them."""
