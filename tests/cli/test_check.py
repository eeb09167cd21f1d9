"""`cmrbench check`: names, files, JSON, exit codes, and plugins that hang or print."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmrbench.cli import app
from cmrbench.core.errors import PluginError, UnknownNameError, UsageError
from cmrbench.testing import all_checks

PLUGIN = '''
import time
import numpy as np
from cmrbench.method import Method, MethodInfo

class Mean(Method):
    """Random projections."""

    info = MethodInfo(name="mean", title="Mean", category="baseline", modalities=(2, None), pairs=False)

    def fit(self, train, val, context):
        self.W_ = {m: context.rng(m).standard_normal((x.dim, 8), dtype=np.float32) for m, x in train.items()}
        FIT
        return self

    def encode(self, modality, features):
        self.check_fitted("W_")
        return features @ self.W_[modality]
'''


@pytest.fixture
def plugin(tmp_path):
    def write(fit="", name="mean_plugin.py"):
        path = tmp_path / name
        path.write_text(PLUGIN.replace("FIT", fit))
        return path

    return write


def check(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_a_registered_method_by_name():
    result = check("cca", "--only", "valid_info,output_shape")
    assert result.exit_code == 0, result.output
    assert "valid_info" in result.output
    assert "cca: 2 passed" in result.output


def test_a_file_with_a_method_that_fails(plugin):
    result = check(plugin(), "--only", "output_shape,beats_random")
    assert result.exit_code == 1
    assert "mean: 1 passed, 1 failed" in result.output
    assert "from chance" in " ".join(result.output.split())


def test_a_file_with_several_methods(plugin):
    path = plugin()
    path.write_text(path.read_text() + PLUGIN.replace("FIT", "").replace("mean", "other").replace("Mean", "Other"))
    rows = json.loads(check(path, "--only", "output_shape", "--json").stdout)
    assert [r["method"] for r in rows] == ["mean", "other"]


def test_json_is_alone_on_standard_output(plugin):
    path = plugin(fit='print("noise" * 1000)')
    command = [sys.executable, "-m", "cmrbench", "check", path, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    rows = json.loads(done.stdout)
    assert [r["check"] for r in rows] == [c.name for c in all_checks()]
    assert {r["status"] for r in rows} <= {"passed", "failed", "expected_failure", "not_applicable", "error"}
    assert all(r["detail"] for r in rows if r["status"] in ("failed", "error", "not_applicable"))


def test_the_list_of_checks():
    rows = json.loads(check("--list", "--json").stdout)
    assert [r["check"] for r in rows] == [c.name for c in all_checks()]
    assert all(c.name in check("--list").output for c in all_checks())


def test_a_hanging_plugin_gives_failed_rows(plugin):
    result = check(plugin(fit="time.sleep(600)"), "--timeout", "0.5", "--only", "output_shape,output_dtype")
    assert result.exit_code == 1
    assert "mean: 2 failed" in result.output
    assert "did not end in time" in " ".join(result.output.split())


def test_code_that_never_returns_to_python_is_ended_with_its_trace(plugin):
    # The alarm reaches Python code only between two instructions; a blocked signal stands for a C loop.
    path = plugin(fit="import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); time.sleep(600)")
    code = "import cmrbench.cli.check as c; c.GRACE = 0.5; from cmrbench.cli import main; main()"
    command = [sys.executable, "-c", code, "check", str(path), "--timeout", "0.5", "--only", "output_shape"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "mean_plugin.py" in done.stderr


def test_unknown_names_get_the_nearest():
    result = check("ccaa")
    assert isinstance(result.exception, UnknownNameError)
    assert "did you mean cca" in str(result.exception)
    result = check("cca", "--only", "beat_random")
    assert isinstance(result.exception, UnknownNameError)
    assert "beats_random" in str(result.exception)


def test_nothing_to_check():
    assert isinstance(check().exception, UsageError)
    assert isinstance(check("cca", "--only", " , ").exception, UsageError)


def test_a_missing_file_and_a_broken_one(tmp_path):
    assert "does not exist" in str(check(tmp_path / "nothing.py").exception)
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_that_name")
    result = check(broken)
    assert isinstance(result.exception, PluginError)
    assert "nothing_of_that_name" in str(result.exception)


def test_markup_in_a_plugins_words_is_shown_as_it_is(plugin):
    result = check(plugin(fit='raise ValueError("[/bold] and [red]")'), "--only", "output_shape")
    assert result.exit_code == 1
    assert "[/bold] and [red]" in " ".join(result.output.split())


def test_help_imports_nothing_heavy():
    code = (
        "import sys, cmrbench.cli.check, cmrbench.cli.new; print([m for m in ('numpy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.home())
    assert done.stdout.strip() == "[]"
