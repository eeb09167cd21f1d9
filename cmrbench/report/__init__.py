"""Leaderboards: from the results table to tables for people (Rich, Markdown, HTML, LaTeX) and programs (CSV, JSON)."""

from cmrbench.report.build import COLUMNS, leaderboards
from cmrbench.report.model import Leaderboard
from cmrbench.report.render import FORMATS, render
from cmrbench.report.survey import TABLE_COLUMNS, TABLES, named_table
from cmrbench.report.terminal import print_leaderboards

__all__ = [
    "COLUMNS",
    "FORMATS",
    "TABLES",
    "TABLE_COLUMNS",
    "Leaderboard",
    "leaderboards",
    "named_table",
    "print_leaderboards",
    "render",
]
