"""Splits: declared schemes carried out, and frozen lists of ids."""
