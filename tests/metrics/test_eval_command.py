"""`cmrbench eval` on files: numbers, formats, and one sentence for every bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cmrbench.cli.eval import evaluate_command
from cmrbench.core.errors import CmrbenchError
from cmrbench.metrics import evaluate_arrays

app = typer.Typer()
app.command()(evaluate_command)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "query": rng.normal(size=(6, 4)),
        "gallery": rng.normal(size=(9, 4)),
        "query-labels": rng.integers(0, 3, 6),
        "gallery-labels": rng.integers(0, 3, 9),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return {name: tmp_path / f"{name}.npy" for name in arrays}


def call(files, *options):
    return CliRunner().invoke(app, [x for name, path in files.items() for x in (f"--{name}", str(path))] + [*options])


def loaded(files):
    return [np.load(files[name]) for name in ("query", "gallery", "query-labels", "gallery-labels")]


def test_json_is_alone_on_standard_output(files):
    names = "mAP@all,mAP@5[min_kr,stable],hit@1"
    result = call(files, "--metric", names, "--json", "--distance", "euclidean")
    assert result.exit_code == 0
    expected = evaluate_arrays(*loaded(files), "euclidean", ["mAP@all", "mAP@5[min_kr,stable]", "hit@1"]).values
    assert json.loads(result.stdout) == expected


def test_table_shows_value_error_chance_and_n(files):
    result = call(files, "--metric", "mAP@all[min_kr]", "--ties", "stable")
    found = evaluate_arrays(*loaded(files), metrics="mAP@all[min_kr,stable]")
    (name,) = found.values
    assert result.exit_code == 0
    assert name in result.stdout
    for number in (found.values[name], found.stderr[name], found.chance[name]):
        assert f"{number:.4f}" in result.stdout
    assert "6 queries, gallery of 9" in result.stdout


def test_a_value_that_is_not_a_number_is_null(files):
    np.save(files["query-labels"], np.full(6, 7))
    result = call(files, "--metric", "mAP@all[with_relevant]", "--json")
    assert json.loads(result.stdout) == {"mAP@all[with_relevant]": None}


def test_other_formats_and_multi_hot_labels(files, tmp_path):
    expected = json.loads(call(files, "--json").stdout)
    q, g, ql, gl = loaded(files)
    np.savez(tmp_path / "q.npz", only=q)
    np.savetxt(tmp_path / "g.csv", g, delimiter=",")
    np.savetxt(tmp_path / "ql.txt", np.eye(3, dtype=int)[ql], fmt="%d")
    np.save(tmp_path / "gl.npy", np.eye(3, dtype=bool)[gl])
    others = {"query": "q.npz", "gallery": "g.csv", "query-labels": "ql.txt", "gallery-labels": "gl.npy"}
    assert json.loads(call({k: tmp_path / v for k, v in others.items()}, "--json").stdout) == pytest.approx(expected)
    np.savetxt(tmp_path / "ql.csv", ql, fmt="%d")
    assert json.loads(call(files | {"query-labels": tmp_path / "ql.csv"}, "--json").stdout) == expected


def test_codes(files):
    for name in ("query", "gallery"):
        np.save(files[name], np.sign(np.load(files[name])).astype(np.int8))
    assert call(files, "--distance", "hamming", "--json").exit_code == 0
    codes = np.load(files["gallery"])
    codes[4, 0] = 0
    np.save(files["gallery"], codes)
    assert_refused(call(files, "--distance", "hamming"), "gallery.npy: gallery must be codes", "row 4")


def assert_refused(result, *words):
    assert isinstance(result.exception, CmrbenchError), result.output
    assert result.exception.exit_code == 2
    message = str(result.exception)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("option", "array", "words"),
    [
        ("query", np.array([[1.0, np.nan, 1, 1]] * 6), ["query.npy: query holds NaN", "row 0"]),
        ("gallery", np.zeros((0, 4)), ["gallery.npy", "empty"]),
        ("gallery", np.zeros((9, 3)), ["4 and 3"]),
        ("query-labels", np.zeros(5, dtype=int), ["query-labels.npy", "5 items", "holds 6"]),
        ("gallery-labels", np.full((9, 2), 3), ["gallery-labels.npy", "multi-hot", "row 0"]),
        ("gallery-labels", np.eye(9, 3, dtype=int), ["both"]),
        ("query-labels", np.array(["a"] * 6), ["query-labels.npy", "dtype"]),
    ],
)
def test_bad_arrays_are_refused(files, option, array, words):
    np.save(files[option], array)
    assert_refused(call(files), *words)


def test_what_is_wrong_with_two_files_is_not_put_on_one(files):
    np.save(files["gallery-labels"], np.eye(9, 3, dtype=int))
    result = call(files)
    assert_refused(result, "query labels and gallery labels must both")
    assert ".npy" not in str(result.exception)


def test_bad_files_are_refused(files, tmp_path):
    objects = np.array([{}, None], dtype=object)
    np.save(tmp_path / "pickle.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=np.ones(2), b=np.ones(2))
    np.savez(tmp_path / "pickle.npz", a=objects)
    (tmp_path / "cut.npy").write_bytes(files["query"].read_bytes()[:150])
    (tmp_path / "not.npz").write_text("no archive")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "words.csv").write_text("a,b\n1,2\n")
    (tmp_path / "ragged.csv").write_text("1,2\n3\n")
    (tmp_path / "x.mat").write_text("")
    for name in ("pickle.npy", "pickle.npz", "cut.npy", "not.npz", "empty.npy", "words.csv", "ragged.csv"):
        assert_refused(call(files | {"query": tmp_path / name}), name, "cannot be read as an array")
    assert "allow_pickle" not in str(call(files | {"query": tmp_path / "pickle.npy"}).exception)
    assert_refused(call(files | {"query": tmp_path / "two.npz"}), "exactly one array, found 2 (a, b)")
    assert_refused(call(files | {"query": tmp_path / "empty.csv"}), "empty")
    assert_refused(call(files | {"query": tmp_path / "x.mat"}), ".npy, .npz, .csv, .txt")
    assert_refused(call(files | {"query": tmp_path / "none.npy"}), "no such file")
    assert_refused(call(files | {"query": tmp_path}), "expected a file")


def test_bad_names_are_refused(files):
    assert_refused(call(files, "--metric", "mapp@5"), "did you mean mAP")
    assert_refused(call(files, "--metric", "mAP@0"), "cut-off")
    assert_refused(call(files, "--metric", "mAP,,P@5"), "empty name")
    assert_refused(call(files, "--distance", "cosinus"), "did you mean cosine")
    assert_refused(call(files, "--ties", "random"), "tie rule")
