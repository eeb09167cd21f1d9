"""The checks themselves, one module a theme."""
