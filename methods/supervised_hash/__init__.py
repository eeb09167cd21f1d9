"""Hashing methods that learn from labels."""
