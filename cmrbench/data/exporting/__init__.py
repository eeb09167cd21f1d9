"""Exporting: a dataset as files that other programs read."""
