"""Methods come through entry points, folders and files; a broken one is a warning with its cause."""

import os

import pytest

from cmrbench.core.errors import PluginError, UnknownNameError
from cmrbench.registry import MethodRef, load_methods, methods_in_file

PLUGIN = """
from cmrbench.method import Method, MethodInfo
class Mine(Method):
    info = MethodInfo(name="{name}", title="Mine", category="baseline")
"""


def write(folder, file="mine.py", name="mine", text=PLUGIN):
    path = folder / file
    path.write_text(text.format(name=name))
    return path


def test_built_in_methods_come_through_the_entry_points():
    table = load_methods()
    assert {"random", "label_oracle", "raw_2sknn", "cca", "kcca", "scm", "batch"} <= set(table.names())
    assert {"lcm", "drcl", "dscmr", "clip4cmr"} <= set(table.names())
    assert all(table.get(name).info.name == name for name in table.names())


def test_a_file_and_a_folder(tmp_path, monkeypatch):
    file = write(tmp_path)
    (tmp_path / "_private.py").write_text("raise RuntimeError")
    (tmp_path / "test_mine.py").write_text("raise RuntimeError")
    assert load_methods([file]).get("mine").info.title == "Mine"
    assert "mine" in load_methods(folders=[tmp_path]).names()
    assert "mine" in load_methods([file, file], folders=[tmp_path]).names(), "named twice, loaded once"
    monkeypatch.setenv("CMRBENCH_METHODS", str(tmp_path))
    assert "mine" in load_methods().names()


def test_nothing_in_the_working_directory_is_imported_unasked(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CMRBENCH_METHODS", raising=False)
    assert "mine" not in load_methods().names()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise RuntimeError('no GPU')", "raises on import: RuntimeError: no GPU"),
        ("import not_a_library", "raises on import: ModuleNotFoundError"),
        ("def f(:", "raises on import: SyntaxError"),
        ("import sys; sys.exit(3)", "raises on import: SystemExit"),
        ("x = 1", "defines no subclass"),
    ],
)
def test_a_broken_plugin_is_a_warning_with_its_cause(tmp_path, text, words):
    file = tmp_path / "broken.py"
    file.write_text(text)
    good = write(tmp_path)
    table = load_methods([file, good])
    assert "mine" in table.names()
    (warning,) = table.warnings
    assert words in warning
    assert str(file) in warning
    with pytest.raises(UnknownNameError, match="broken"):
        table.ref("brken")


def test_a_missing_file_or_folder_is_an_error(tmp_path):
    with pytest.raises(PluginError, match=r"nope\.py does not exist"):
        load_methods([tmp_path / "nope.py"])
    with pytest.raises(PluginError, match=r"folder .* does not exist"):
        load_methods(folders=[tmp_path / "nope"])


def test_a_name_that_is_taken_is_refused(tmp_path):
    with pytest.raises(PluginError, match="defines a method 'cca', which cmrbench has already"):
        load_methods([write(tmp_path, name="cca")])
    with pytest.raises(PluginError, match=r"which .* has already"):
        load_methods([write(tmp_path), write(tmp_path, file="other.py")])


def test_a_plugin_file_is_imported_once(tmp_path):
    file = write(tmp_path)
    assert methods_in_file(file)[0] is methods_in_file(file)[0]
    assert methods_in_file(tmp_path / ".." / tmp_path.name / "mine.py")[0] is methods_in_file(file)[0]


def test_a_bad_info_says_what_is_wrong(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text(PLUGIN.format(name="mine").replace("baseline", "magic"))
    (warning,) = load_methods([file]).warnings
    assert "category 'magic' is none of" in warning


def test_two_folders_in_the_variable(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, name=name)
    monkeypatch.setenv("CMRBENCH_METHODS", os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")]))
    assert {"one", "two"} <= set(load_methods().names())


def test_an_installed_plugin_that_exits_on_import_does_not_end_the_program(tmp_path, monkeypatch):
    (tmp_path / "leaves_at_once.py").write_text("import sys; sys.exit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match="leaving_dist.*SystemExit"):
        MethodRef("mine", "leaves_at_once", "Mine", origin="leaving_dist").load()
