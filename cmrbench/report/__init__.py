"""Leaderboards: from the results table to tables for people (Rich, Markdown, HTML, LaTeX) and programs (CSV, JSON)."""

from cmrbench.report.build import COLUMNS, leaderboards
from cmrbench.report.model import Leaderboard
from cmrbench.report.named import TABLE_COLUMNS, named_table, named_tables, tables
from cmrbench.report.papers import Wish
from cmrbench.report.render import FORMATS, render, write_documents
from cmrbench.report.terminal import print_leaderboards

__all__ = [
    "COLUMNS",
    "FORMATS",
    "TABLE_COLUMNS",
    "Leaderboard",
    "Wish",
    "leaderboards",
    "named_table",
    "named_tables",
    "print_leaderboards",
    "render",
    "tables",
    "write_documents",
]
