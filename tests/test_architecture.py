"""The rooms import downwards only, and start-up stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"cmrbench": ROOT / "cmrbench", "cmrbench_methods": ROOT / "methods"}

# What each room may import; rooms not named as a key may import what they like among those below `cli`.
ALLOWED = {
    "core": {"core"},
    "method": {"core"},
    "registry": {"core", "method"},
    "data": {"core", "metrics"},  # audits measure
    "metrics": {"core"},
    "retrieval": {"core", "metrics"},
    "store": {"core"},
    "run": {"core", "method", "registry", "data", "metrics", "retrieval", "store"},
    "published": {"core"},
    "statistics": {"core"},
    "report": {"core", "method", "store", "metrics", "published", "statistics"},
    "gate": {"core", "store", "report", "statistics"},
    "testing": {"core", "method", "data", "metrics", "retrieval"},
    "methods": {"core", "method", "methods", "metrics", "retrieval"},
}
HEAVY = ("torch", "pandas", "pyarrow", "faiss", "numba", "numpy", "scipy", "sklearn", "pydantic", "yaml")


def room_of(module):
    parts = module.split(".")
    if parts[0] == "cmrbench_methods":
        return "methods"
    return parts[1] if len(parts) > 1 else "root"


def modules():
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            relative = path.relative_to(folder).with_suffix("")
            if "templates" not in relative.parts:
                yield ".".join([package, *relative.parts]).removesuffix(".__init__"), path


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda x: x if isinstance(x, str) else "")
def test_imports_go_down_only(module, path):
    room = room_of(module)
    used = {room_of(name) for name in imports_of(path) if name.split(".")[0] in PACKAGES}
    used -= {room, "root"}
    if room in ALLOWED:
        assert used <= ALLOWED[room], f"{module} imports {sorted(used - ALLOWED[room])}"
    if room not in ("cli", "__main__"):
        assert "cli" not in used


def test_methods_reach_the_engine_only_through_one_block():
    for module, path in modules():
        if room_of(module) == "methods" and not module.endswith("blocks.selection"):
            used = {room_of(n) for n in imports_of(path) if n.split(".")[0] in PACKAGES}
            assert not used & {"metrics", "retrieval"}, module


@pytest.mark.parametrize("command", ["import cmrbench.cli", "import cmrbench; cmrbench.__version__"])
def test_start_up_imports_nothing_heavy(command):
    code = f"import sys; {command}; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_listing_methods_does_not_import_torch():
    code = (
        "import sys; from cmrbench.registry import load_methods; t = load_methods();"
        "[t.get(n) for n in t.names()]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
