"""The numbers that papers print, as data: cells, times, dashes, findings, and the layout of every table."""

from cmrbench.published.contradictions import Contradiction, contradicting, contradictions, elsewhere
from cmrbench.published.findings import Finding, findings, findings_of
from cmrbench.published.layout import LayoutRow, TableLayout, layout
from cmrbench.published.load import cells, datasets, methods, missing, query_times, splits, timings
from cmrbench.published.model import (
    MissingCell,
    PublishedCell,
    PublishedDataset,
    PublishedMethod,
    PublishedSplit,
    PublishedTime,
    QueryTime,
)
from cmrbench.published.names import published_as, registered_as
from cmrbench.published.select import Selector, select
from cmrbench.published.words import paper_title, papers, setting_words, table_name, tables, words_of

__all__ = [
    "Contradiction",
    "Finding",
    "LayoutRow",
    "MissingCell",
    "PublishedCell",
    "PublishedDataset",
    "PublishedMethod",
    "PublishedSplit",
    "PublishedTime",
    "QueryTime",
    "Selector",
    "TableLayout",
    "cells",
    "contradicting",
    "contradictions",
    "datasets",
    "elsewhere",
    "findings",
    "findings_of",
    "layout",
    "methods",
    "missing",
    "paper_title",
    "papers",
    "published_as",
    "query_times",
    "registered_as",
    "select",
    "setting_words",
    "splits",
    "table_name",
    "tables",
    "timings",
    "words_of",
]
