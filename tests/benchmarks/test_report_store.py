"""The store that reports are timed on is one that reports are made of."""

import numpy as np
import pytest

from benchmarks.report_store import METRICS, Size, results_folder
from cmrbench.report import COLUMNS, leaderboards
from cmrbench.store.store import Store

SMALL = Size(methods=3, datasets=2, bits=(16, 32), seeds=2, queries=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return results_folder(tmp_path_factory.mktemp("made"), SMALL, 1)


def test_it_holds_what_its_size_says(folder):
    table = Store(folder).table()
    assert len(Store(folder).files()) == SMALL.runs == 24
    assert sum(len(values) for values in table.column("per_query").to_pylist()) == SMALL.values == 24 * 2 * 3 * 7
    for value, values in zip(table.column("value").to_pylist(), table.column("per_query").to_pylist(), strict=True):
        assert not values or np.mean(values) == pytest.approx(value)


def test_leaderboards_are_made_of_it(folder):
    boards = leaderboards(Store(folder).table(list(COLUMNS)), metric=METRICS[1])
    assert [len([row for row in board.rows if row.method]) for board in boards] == [3, 3]
    assert {cell.seeds for board in boards for row in board.rows if row.method for cell in row.cells} == {2}


def test_it_is_made_once(folder):
    before = {path.name: path.stat().st_mtime_ns for path in Store(folder).files()}
    assert results_folder(folder.parent, SMALL, 1) == folder
    assert {path.name: path.stat().st_mtime_ns for path in Store(folder).files()} == before
