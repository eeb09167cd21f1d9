"""Loops that numba compiles; `compiled.py` and `shards/` decide when they are used."""
