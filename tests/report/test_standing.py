"""Which rows stand, against plain loops over random histories."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest

from cmrbench.report.current import NEEDED, RECORD_KEY, current_rows, rows_of
from cmrbench.store.schema import SCHEMA

Rows = list[dict[str, Any]]


def by_loops(rows: Rows) -> Rows:
    """The rule of `standing`, read out loud."""
    questions: dict[str, dict[tuple[str, str], Rows]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        questions[row["spec_key"]][row["created"] or "", row["run_key"]].append(row)
    kept: Rows = []
    for runs in questions.values():
        seen: set[tuple[Any, ...]] = set()
        for age, when in enumerate(sorted(runs, reverse=True)):
            if runs[when][0]["status"] != "done" or runs[when][0]["metric"] is None:
                if age == 0:
                    kept.append(runs[when][0] | dict.fromkeys(RECORD_KEY))
                break
            for row in runs[when]:
                key = tuple(row[name] for name in RECORD_KEY)
                if key not in seen:
                    kept.append(row)
                seen.add(key)
    return sorted(kept, key=lambda row: (row["created"] or "", row["run_key"]))


def history(rng: random.Random) -> Rows:
    """Some runs of three questions, finished or not, in any order; a file may be there twice."""
    rows: Rows = []
    for _ in range(rng.randrange(1, 9)):
        spec = f"s{rng.randrange(3)}"
        run = {"spec_key": spec, "run_key": spec + rng.choice("abcd"), "created": rng.choice([None, "1", "2", "3"])}
        if any((row["run_key"], row["created"]) == (run["run_key"], run["created"]) for row in rows):
            continue
        if rng.random() < 0.3:
            rows.append(run | dict.fromkeys(RECORD_KEY) | {"status": rng.choice(["failed", "done"]), "value": None})
            continue
        for direction, metric in rng.sample([(d, m) for d in "ab" for m in "xyz"], rng.randrange(1, 6)):
            where = {"direction": direction, "protocol": "p", "gallery_codes": "g", "retrieval": "h", "metric": metric}
            rows += [run | where | {"status": "done", "value": rng.random()}] * rng.choice([1, 1, 2])
    return rows


@pytest.mark.parametrize("seed", range(60))
def test_the_rows_that_stand_are_those_of_the_rule(seed: int) -> None:
    rows = history(random.Random(seed))
    schema = pa.schema([*(SCHEMA.field(name) for name in NEEDED), SCHEMA.field("value")])
    table = pa.Table.from_pylist(rows, schema=schema)
    expected = [{name: row[name] for name in schema.names} for row in by_loops(rows)]
    assert current_rows(table, ["value"]) == expected
    assert current_rows(pa.concat_tables([table.slice(0, 3), table.slice(3)]), ["value"]) == expected


def test_rows_become_what_to_pylist_makes_of_them() -> None:
    lists = pa.array([["a"], [], None, ["b", "a"]])
    maps = pa.array([[("k", "v")], [], [("k", "w"), ("l", "v")], []], pa.map_(pa.string(), pa.string()))
    table = pa.table(
        {
            "text": ["x", None, "x", "y"],
            "number": [1, None, 3, 4],
            "whole": [1, 2, 3, 4],
            "flag": [True, False, None, True],
            "float": [0.5, float("inf"), None, 1.0],
            "list": lists,
            "full": [["a"], [], ["b"], ["b", "a"]],
            "map": maps,
            "struct": [{"a": 1}, None, {"a": 2}, {"a": 3}],
        }
    )
    for some in (table, table.slice(1, 2), pa.concat_tables([table.slice(2), table]), table.slice(0, 0)):
        assert rows_of(some) == some.to_pylist()
