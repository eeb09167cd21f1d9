"""The results: one Parquet file a run, one row a number."""
