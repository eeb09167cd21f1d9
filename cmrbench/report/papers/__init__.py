"""The papers' own tables with our numbers in them, and the published ones beside them if wanted."""

from cmrbench.report.papers.board import PAPER_COLUMNS, Wish, paper_tables
from cmrbench.report.papers.spec import PaperTable, table_names

__all__ = ["PAPER_COLUMNS", "PaperTable", "Wish", "paper_tables", "table_names"]
