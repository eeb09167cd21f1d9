"""What the README says is true: its plugin runs, its Python lines run. Its links and commands: test_pages.py."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cmrbench.run.suites import Entry

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def cmrbench(*arguments, cwd=None):
    command = [sys.executable, "-m", "cmrbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_the_plugin_is_the_documented_one_and_short():
    (plugin,) = [b for b in BLOCKS if "class ClassVectors" in b]
    assert plugin in (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    body = plugin[plugin.index("class ") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 36


def test_the_plugin_runs_beside_the_others(cache_dir, tmp_path):
    (plugin,) = [b for b in BLOCKS if "class ClassVectors" in b]
    (tmp_path / "class_vectors.py").write_text(plugin)
    arguments = ["--plugin", "class_vectors.py", "--methods", "class_vectors,random", "--datasets", "emoji"]
    done = cmrbench("run", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ClassVectors" in done.stdout


def test_the_python_lines_run(cache_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (api,) = [b for b in BLOCKS if "cmrbench.run(" in b]
    names: dict = {}
    exec(api, names)
    assert names["table"].num_rows == 8
    assert len(names["frame"]) == 8
    assert names["train"].features.shape == (939, 515)


def test_the_evaluation_lines_run():
    (block,) = [b for b in BLOCKS if "cmrbench.evaluate(" in b]
    rng = np.random.default_rng(0)
    codes = rng.choice([-1, 1], size=(30, 16)).astype(np.int8)
    labels = rng.integers(3, size=30)
    names = {"q": codes[:10], "g": codes[10:], "q_labels": labels[:10], "g_labels": labels[10:]}
    exec("import cmrbench\n" + block, names)
    assert set(names["result"].values) == {"mAP@all", "mAP@50[min_kr]"}


def test_the_evaluation_command_runs(tmp_path):
    rng = np.random.default_rng(0)
    for name, rows in (("q", 10), ("g", 30)):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(rows, 8)))
        np.save(tmp_path / f"{name}l.npy", rng.integers(3, size=rows))
    (command,) = re.findall(r"cmrbench (eval .*?)\n\n", README, flags=re.DOTALL)
    done = cmrbench(*command.replace("\\", " ").split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mAP@50" in done.stdout


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (run|test|gate|baseline)", README):
        assert f"\n{target}:" in makefile


def test_every_dependency_is_explained():
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"\ndependencies = \[(.*?)\]", text, flags=re.DOTALL)[1]
    table = README[README.index("| package | for |") :]
    for name in re.findall(r'"([a-z-]+)>=', block):
        assert re.search(rf"[|,] {name}[ ,]", table), name


@pytest.mark.parametrize("extra", ["extract", "bench", "rebuild"])
def test_every_extra_is_explained(extra):
    text = (ROOT / "pyproject.toml").read_text()
    named = re.search(rf"\n{extra} = \[(.*?)\]", text, flags=re.DOTALL)[1]
    (row,) = re.findall(rf"^\| `{extra}` \| (.*?) \|", README, flags=re.MULTILINE)
    assert row.split(", ") == re.findall(r'"([A-Za-z0-9_-]+)[>=]=', named)


def test_the_documented_configuration_is_one(cache_dir, tmp_path):
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    (config,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "mine.yaml").write_text(config.replace("my_method, ", ""))
    done = cmrbench("run", "--config", "mine.yaml", "--dry-run", "--results", "nothing", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "10 of 10 runs to do" in done.stdout  # cca once, drcl for three seeds, on two datasets; scm at two lengths
    for key in Entry.model_fields:
        assert f"`{key}`" in text
    assert not (tmp_path / "nothing").exists()
