"""Hashing methods that never see a label."""
