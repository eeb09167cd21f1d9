"""Fetching: source files from their official addresses, resumed, checked, one writer at a time."""
