"""Floors and ceilings: methods that learn nothing, and one that reads the answers."""
