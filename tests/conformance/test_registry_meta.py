"""Every registered method is documented, cited, categorised and registered where everybody's methods are."""

import ast
import sys
from pathlib import Path

import pytest
from small_methods import Ridge, info

from cmrbench.core.citation import Citation
from cmrbench.method import CATEGORIES
from cmrbench.registry import load_methods

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "methods"
TABLE = load_methods()
BUILT_IN = [name for name in TABLE.names() if TABLE.ref(name).module.startswith("cmrbench_methods.")]


def shortcomings(cls, docs):
    """What a registered method lacks, in words."""
    declared, page = cls.info, docs / f"{cls.info.name}.md"
    lacks = []
    if not page.is_file():
        lacks.append(f"docs/methods/{page.name}")
    elif not page.read_text(encoding="utf-8").startswith(f"# {declared.name}"):
        lacks.append(f"a heading '# {declared.name}' in docs/methods/{page.name}")
    if declared.category != "baseline" and len(declared.cited) < 20:
        lacks.append("a citation")
    if declared.category not in CATEGORIES:
        lacks.append("a category")
    if not declared.title:
        lacks.append("a title")
    return lacks


@pytest.mark.parametrize("name", BUILT_IN)
def test_method_is_documented_and_cited(name):
    assert shortcomings(TABLE.get(name), DOCS) == []
    declared = TABLE.get(name).info
    assert declared.category == "baseline" or isinstance(declared.citation, Citation)


def test_what_is_missing_is_seen(tmp_path):
    class Bare(Ridge):
        info = info(citation="", title="")

    assert shortcomings(Bare, tmp_path) == ["docs/methods/small.md", "a citation", "a title"]
    (tmp_path / "small.md").write_text("# another: a method")
    assert shortcomings(Ridge, tmp_path) == ["a heading '# small' in docs/methods/small.md"]
    (tmp_path / "small.md").write_text("# small: a method for tests")
    assert shortcomings(Ridge, tmp_path) == []


def test_entry_points_are_those_of_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = project["project"]["entry-points"]["cmrbench.methods"]
    assert {n: f"{TABLE.ref(n).module}:{TABLE.ref(n).qualname}" for n in BUILT_IN} == declared


def test_every_method_in_the_tree_is_registered():
    registered = {(TABLE.ref(n).module, TABLE.ref(n).qualname) for n in BUILT_IN}
    for path in sorted((ROOT / "methods").rglob("*.py")):
        module = ".".join(["cmrbench_methods", *path.relative_to(ROOT / "methods").with_suffix("").parts])
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and declares_info(node):
                assert (module, node.name) in registered, f"{node.name} of {path.name} is not in pyproject.toml"


def declares_info(node):
    return any(isinstance(x, ast.Assign) and ast.unparse(x.targets[0]) == "info" for x in node.body)


def test_every_page_belongs_to_a_method():
    pages = {p.stem for p in DOCS.glob("*.md")} - {"README", "index"}
    assert pages <= set(BUILT_IN)


def test_every_folder_holds_its_own_category():
    for name in BUILT_IN:
        folder = TABLE.ref(name).module.split(".")[1]
        assert {"baselines": "baseline"}.get(folder, folder) == TABLE.get(name).info.category, name
