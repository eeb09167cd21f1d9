"""Leaderboards: from the results table to tables for people (Rich, Markdown, HTML, LaTeX) and programs (CSV, JSON)."""

from cmrbench.report.build import COLUMNS, leaderboards
from cmrbench.report.model import Leaderboard
from cmrbench.report.render import FORMATS, render
from cmrbench.report.terminal import print_leaderboards

__all__ = ["COLUMNS", "FORMATS", "Leaderboard", "leaderboards", "print_leaderboards", "render"]
