"""Methods that break one promise each, by the theme of the check that must catch them."""

import importlib

from broken_methods.register import BROKEN
from cmrbench.testing.check import THEMES

for _theme in THEMES:
    importlib.import_module(f"broken_methods.{_theme}")

__all__ = ["BROKEN"]
