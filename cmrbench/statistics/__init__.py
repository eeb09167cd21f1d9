"""Statistics on arrays: tests between methods, corrections for many tests, groups, critical differences, variances.

Nothing here knows of stores, methods or metrics. What each number says, and how often it is wrong, is in
``docs/statistics.md``.
"""
