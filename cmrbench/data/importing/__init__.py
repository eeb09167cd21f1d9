"""Importing: what somebody has, official files or features of their own, checked before it gets into the cache."""
