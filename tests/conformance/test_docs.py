"""The documentation of plugins and checks is true: its example works, its tables are complete."""

import re
from dataclasses import fields
from pathlib import Path

from cmrbench.method import Method, MethodInfo
from cmrbench.registry import methods_in_file
from cmrbench.testing import all_checks, run_checks
from cmrbench.testing.runner import STATUSES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PLUGINS = (DOCS / "plugins.md").read_text(encoding="utf-8")
CONFORMANCE = (DOCS / "conformance.md").read_text(encoding="utf-8")


def rows(text, heading):
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)`[^|]*\| (.*) \|$", section, flags=re.M))


def example(folder):
    (code,) = re.findall(r"```python\n(.*?)```", PLUGINS, flags=re.S)
    path = folder / "class_vectors.py"
    path.write_text(code)
    return code, path


def test_the_example_passes_every_check(tmp_path):
    _, path = example(tmp_path)
    (cls,) = methods_in_file(path)
    results = run_checks(cls)
    assert [r for r in results if r.status not in ("passed", "not_applicable")] == []
    assert sum(r.status == "passed" for r in results) > 25


def test_the_example_is_about_thirty_lines(tmp_path):
    code, _ = example(tmp_path)
    assert len([line for line in code.splitlines() if line.strip()]) <= 36
    assert max(map(len, code.splitlines())) <= 120


def test_the_table_lists_every_check_in_its_own_words():
    assert rows(CONFORMANCE, "The checks") == {c.name: c.description for c in all_checks()}
    assert set(rows(CONFORMANCE, "What comes of a check")) == set(STATUSES)


def test_the_tables_of_the_contract_name_what_there_is():
    named = re.findall(r"^\| `(\w+)", PLUGINS.split("## The contract")[1].split("## What to declare")[0], flags=re.M)
    on_the_plugin = {"info", "score", "partial_fit"}  # the base class has none of its own
    assert all(hasattr(Method, name) for name in set(named) - on_the_plugin)
    public = {name for name in vars(Method) if not name.startswith("_")} - {"parameters", "encode_labels"}
    helpers = {"check_fitted", "check_features"}
    assert public - helpers <= set(named)
    assert all(f"`{name}`" in PLUGINS for name in helpers)


def test_every_declaration_is_described():
    section = PLUGINS.split("## What to declare")[1].split("\n## ")[0]
    assert all(f"`{f.name}`" in section for f in fields(MethodInfo))
