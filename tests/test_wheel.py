"""The wheel holds all that the program needs: it runs in a venv of its own, far from the repository."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"  # a copy, so that nothing an earlier build left in the repository gets in
    skip = shutil.ignore_patterns(".*", "build", "dist", "results", "tests", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, symlinks=True, ignore=skip)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A venv with the wheel; only the dependencies come from outside, so that torch is not installed again."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    site = Path(
        subprocess.run(
            [python, "-c", "import site; print(site.getsitepackages()[0])"], check=True, capture_output=True, text=True
        ).stdout.strip()
    )
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_holds_data_and_methods_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "cmrbench/datasets.yaml" in names
    assert "cmrbench/run/suites.yaml" in names
    assert "cmrbench/report/papers/tables.yaml" in names
    assert {f"cmrbench/published/data/{n}" for n in ("published_results.csv", "words.yaml")} <= set(names)
    assert {f"cmrbench/report/site/{n}" for n in ("templates/index.html.j2", "static/site.css")} <= set(names)
    assert "cmrbench_methods/supervised_real/drcl.py" in names
    assert "cmrbench/data/embedded/emoji/NOTICE-noto-color-emoji.txt" in names
    assert "cmrbench/data/embedded/openclipart/pairs.parquet" in names
    assert not [n for n in names if n.startswith(("tests", "tools", "benchmarks"))]
    text = zipfile.ZipFile(wheel).read("cmrbench/datasets.yaml").decode()
    assert text == (ROOT / "datasets.yaml").read_text()


def run(installed, tmp_path, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CMRBENCH"))}
    environment["CMRBENCH_DATA"] = str(tmp_path / "cache")
    command = [str(installed / "cmrbench"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=900)


@pytest.mark.slow
def test_the_quick_suite_runs_from_the_wheel(installed, tmp_path):
    done = run(installed, tmp_path, "run", "--suite", "quick", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    status = json.loads(run(installed, tmp_path, "status", "--json").stdout)
    assert set(status["by_status"]) == {"done"}
    assert "DRCL" in done.stdout


def test_it_is_the_wheel_that_runs(installed, tmp_path):
    where = subprocess.run(
        [
            installed / "python",
            "-c",
            "import cmrbench, cmrbench_methods; print(cmrbench.__file__, cmrbench_methods.__file__)",
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    ).stdout.split()
    assert all(Path(w).is_relative_to(installed.parent) for w in where)
    methods = json.loads(run(installed, tmp_path, "list", "methods", "--json").stdout)
    assert {"cca", "drcl"} <= {m["name"] for m in methods["methods"]}
