"""`cmrbench new`: the files it writes work as they are."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cmrbench.cli import app
from cmrbench.core.errors import UsageError
from cmrbench.registry import load_methods, methods_in_file
from cmrbench.testing import run_checks

VARIANTS = {
    (): ("unsupervised_real", "real"),
    ("--hash",): ("unsupervised_hash", "hash"),
    ("--supervised",): ("supervised_real", "real"),
    ("--supervised", "--hash"): ("supervised_hash", "hash"),
}


def new(*arguments):
    return CliRunner().invoke(app, ["new", *map(str, arguments)])


@pytest.mark.parametrize("options", VARIANTS, ids=" ".join)
def test_the_plugin_passes_every_check(tmp_path, options):
    assert new("fresh_idea", "--dir", tmp_path, *options).exit_code == 0
    (cls,) = methods_in_file(tmp_path / "fresh_idea.py")
    assert (cls.info.category, cls.info.output) == VARIANTS[options]
    assert (cls.__name__, cls.info.name) == ("FreshIdea", "fresh_idea")
    assert [r for r in run_checks(cls) if r.status not in ("passed", "not_applicable")] == []
    assert "fresh_idea" in load_methods(files=[tmp_path / "fresh_idea.py"]).names()


def test_the_test_passes_and_can_fail(tmp_path):
    new("fresh_idea", "--dir", tmp_path, "--hash")
    assert pytest_in(tmp_path).returncode == 0
    plugin = tmp_path / "fresh_idea.py"
    plugin.write_text(plugin.read_text().replace("np.where(projected >= 0, 1, -1)", "np.round(projected)"))
    broken = pytest_in(tmp_path)
    assert broken.returncode == 1
    assert "output_values" in broken.stdout


def pytest_in(folder):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_fresh_idea.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_files_are_well_formatted(tmp_path):
    for number, options in enumerate(VARIANTS):
        new(f"idea_{number}", "--dir", tmp_path, *options)
    ruff = [sys.executable, "-m", "ruff"]
    pytest.importorskip("ruff")
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [*ruff, *command, "--isolated", "--line-length=120", tmp_path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_plugins_are_short(tmp_path):
    new("idea", "--dir", tmp_path)
    (cls,) = methods_in_file(tmp_path / "idea.py")
    lines = (tmp_path / "idea.py").read_text().split("def __init__")[1].splitlines()
    assert len([line for line in lines if line.strip()]) <= 30, cls


def test_the_next_commands_are_printed(tmp_path):
    output = new("fresh_idea", "--dir", tmp_path).output.splitlines()
    plugin = tmp_path / "fresh_idea.py"
    assert f"  cmrbench check {plugin}" in output
    assert f"  cmrbench run --plugin {plugin} --methods fresh_idea --datasets emoji" in output


@pytest.mark.parametrize("existing", ["fresh_idea.py", "test_fresh_idea.py"])
def test_nothing_is_overwritten(tmp_path, existing):
    (tmp_path / existing).write_text("mine")
    result = new("fresh_idea", "--dir", tmp_path)
    assert isinstance(result.exception, UsageError)
    assert existing in str(result.exception)
    assert [p.name for p in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "mine"


@pytest.mark.parametrize("name", ["FreshIdea", "fresh-idea", "2fresh", "class", "", "../evil", "idée", "a b"])
def test_a_name_that_is_no_lower_case_identifier_is_refused(tmp_path, name):
    result = new(name, "--dir", tmp_path)
    assert isinstance(result.exception, UsageError)
    assert "lower-case identifier" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_registered_name_is_refused(tmp_path):
    result = new("cca", "--dir", tmp_path)
    assert isinstance(result.exception, UsageError)
    assert "already" in str(result.exception)


@pytest.mark.parametrize("name", ["numpy", "test_idea"])
def test_a_name_that_would_hide_a_module_is_refused(tmp_path, name):
    result = new(name, "--dir", tmp_path)
    assert isinstance(result.exception, UsageError)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    result = new("fresh_idea", "--dir", tmp_path / "nowhere")
    assert "nowhere" in str(result.exception)
