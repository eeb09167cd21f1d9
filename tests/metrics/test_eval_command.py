"""`cmrbench eval` on files: numbers, formats, and one sentence for every bad input."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cmrbench import metrics
from cmrbench.cli.eval import evaluate_command
from cmrbench.core.errors import CmrbenchError
from cmrbench.metrics import evaluate, evaluate_arrays

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
        ("gallery-labels", np.full(9, -3), ["gallery-labels.npy", "from 0 up", "row 0"]),
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


# Curves


def test_json_keeps_curves_apart_from_metrics(files):
    told = json.loads(call(files, "--curve", "PR@11,P@1..5[stable]", "--json").stdout)
    found = evaluate_arrays(*loaded(files), curves=["PR@11", "P@1..5[stable]"])
    assert list(told) == ["mAP@all", "curves"]
    assert told["mAP@all"] == found.values["mAP@all"]
    assert list(told["curves"]) == ["PR@11", "P@1..5[stable]"]
    for name, points in found.curves.items():
        for axis in ("x", "y", "stderr"):
            assert told["curves"][name][axis] == getattr(points, axis).tolist()
    assert "curves" not in json.loads(call(files, "--json").stdout)


def test_curves_are_printed_point_by_point(files):
    printed = call(files, "--curve", "R@1..9").stdout
    points = evaluate_arrays(*loaded(files), curves="R@1..9").curves["R@1..9"]
    for k, y in zip(points.x, points.y, strict=True):
        assert f"│ {k:.0f} │ {y:.4f} │" in " ".join(printed.split())


def test_a_long_curve_is_thinned_for_the_eye_with_both_its_ends(files):
    printed = call(files, "--curve", "PR@101").stdout
    assert "21 of 101 points" in " ".join(printed.replace("\n", " ").split())
    for end in ("│ 0.0000 │", "│ 1.0000 │"):
        assert end in printed


def test_ties_hold_for_curves_too(files, tied):
    stable = json.loads(call(tied, "--curve", "P@1..9,PR@H", *CODES, "--ties", "stable", "--json").stdout)["curves"]
    assert list(stable) == ["P@1..9[stable]", "PR@H"]
    named = json.loads(call(tied, "--curve", "P@1..9[stable],P@1..9", *CODES, "--json").stdout)["curves"]
    assert stable["P@1..9[stable]"] == named["P@1..9[stable]"] != named["P@1..9"]
    assert evaluate_arrays(*loaded(tied), "hamming", ties="stable", curves="P@1..9").curves.keys() == {"P@1..9[stable]"}


def test_a_curve_over_no_query_is_null(files):
    np.save(files["query-labels"], np.full(6, 7))
    told = json.loads(call(files, "--curve", "PR@2[with_relevant]", "--json").stdout)
    assert told["curves"]["PR@2[with_relevant]"]["y"] == [None, None]


# The span of ties

CODES = ("--distance", "hamming")


@pytest.fixture
def tied(files):
    """The same files with codes of two bits, which tie nearly everything."""
    for name in ("query", "gallery"):
        np.save(files[name], np.sign(np.load(files[name])[:, :2]).astype(np.int8))
    return files


def test_the_span_is_each_metric_under_both_extreme_orders(tied):
    told = json.loads(call(tied, *CODES, "--metric", "mAP@all,mAP@5,MedR", "--span", "--json").stdout)
    ends = ["mAP@all[pessimistic]", "mAP@all[optimistic]", "MedR[pessimistic]", "MedR[optimistic]"]
    assert list(told) == ["mAP@all", "mAP@5", "MedR", *ends]
    assert told == evaluate_arrays(*loaded(tied), "hamming", list(told)).values
    assert told[ends[0]] < told["mAP@all"] < told[ends[1]]
    assert told[ends[2]] > told["MedR"] > told[ends[3]]


def test_the_span_is_printed_beside_its_metric(tied):
    printed = call(tied, *CODES, "--metric", "mAP@all,mAP@5", "--span").stdout
    value = evaluate_arrays(*loaded(tied), "hamming", ["mAP@all[pessimistic]", "mAP@all[optimistic]"]).values
    assert "..".join(f"{v:.4f}" for v in value.values()) in printed
    assert "[optimistic]" not in printed
    assert "mAP@5 has no span: under norm hits" in " ".join(printed.split())
    assert ".." not in call(tied, *CODES).stdout


# Relevance by instance


def test_instances_are_strings_or_numbers(files, tmp_path):
    q, g, _, _ = loaded(files)
    numbers = np.array([3, 1, 4, 1, 5, 9]), np.array([2, 6, 5, 3, 5, 8, 9, 7, 9])
    expected = evaluate_arrays(q, g, *numbers, metrics=["mAP@all", "MedR"], relevance="instance").values
    plain = {"query-labels": tmp_path / "q.txt", "gallery-labels": tmp_path / "g.csv"}
    plain["query-labels"].write_text("\n".join(f"picture {i}" for i in numbers[0]))
    plain["gallery-labels"].write_text("".join(f'"picture {i}"\r\n' for i in numbers[1]))
    whole = {"query-labels": tmp_path / "q.npy", "gallery-labels": tmp_path / "g.npy"}
    np.save(whole["query-labels"], numbers[0].astype(float))
    np.save(whole["gallery-labels"], numbers[1])
    for given in (plain, whole):
        told = call(files | given, "--metric", "mAP@all,MedR", "--relevance", "instance", "--json")
        assert json.loads(told.stdout) == expected
    assert expected["MedR"] != evaluate_arrays(*loaded(files), metrics="MedR").values["MedR"]


def test_text_ids_are_not_read_as_numbers(files, tmp_path):
    (tmp_path / "q.txt").write_text("1\n01\n2\n3\n4\n5\n")
    (tmp_path / "g.txt").write_text("1\n6\n7\n8\n9\n10\n11\n12\n13\n")
    given = {"query-labels": tmp_path / "q.txt", "gallery-labels": tmp_path / "g.txt"}
    call(files | given, "--relevance", "instance", "--per-query", str(tmp_path / "out.csv"))
    values = [line.split(",")[1] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert [float(v) > 0 for v in values] == [True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\nb\n\nd\ne\nf\n", ["found nothing in line 3"]),
        ("a\nb,c\nd\ne\nf\ng\n", ["found 2 columns in line 2"]),
        ("a\nb\n", ["ids.csv: query instances are for 2 items", "holds 6"]),
        ("", ["ids.csv: query instances must be", "(0,)"]),
    ],
)
def test_bad_ids_are_refused(files, tmp_path, text, words):
    (tmp_path / "ids.csv").write_text(text)
    (tmp_path / "g.txt").write_text("a\n" * 9)
    given = {"query-labels": tmp_path / "ids.csv", "gallery-labels": tmp_path / "g.txt"}
    assert_refused(call(files | given, "--relevance", "instance"), "ids.csv", *words)


def test_ids_of_two_kinds_or_shapes_are_refused(files, tmp_path):
    (tmp_path / "g.txt").write_text("1\n" * 9)
    instance = ("--relevance", "instance")
    assert_refused(call(files | {"gallery-labels": tmp_path / "g.txt"}, *instance), "of one kind", "int64")
    assert_refused(call(files | {"gallery-labels": tmp_path / "none.csv"}, *instance), "none.csv: no such file")
    np.save(files["query-labels"], np.eye(6))
    assert_refused(call(files, *instance), "query-labels.npy: query instances must be a 1-d array")
    assert_refused(call(files, "--relevance", "instances"), "did you mean instance")


# Values of single queries, threads


def test_values_of_every_query_go_into_a_file(files, tmp_path):
    np.save(files["query-labels"], np.array([0, 1, 7, 2, 0, 1]))
    names = ["mAP@5[min_kr,stable]", "P@1[with_relevant]"]
    result = call(files, "--metric", ",".join(names), "--per-query", str(tmp_path / "out.csv"), "--json")
    assert list(json.loads(result.stdout)) == names
    with (tmp_path / "out.csv").open(newline="") as lines:
        head, *rows = csv.reader(lines)
    assert head == ["query", *names]
    found = evaluate_arrays(*loaded(files), metrics=names).per_query
    assert [int(row[0]) for row in rows] == list(range(6))
    for column, name in enumerate(names, start=1):
        told = [float(row[column] or "nan") for row in rows]
        np.testing.assert_array_equal(told, found[name])
    assert rows[2][2] == "", "not in the mean"


def test_a_file_that_cannot_be_written_is_one_sentence(files, tmp_path):
    assert_refused(call(files, "--per-query", str(tmp_path / "none" / "out.csv")), "--per-query", "cannot be written")


def test_threads_reach_the_engine_and_change_nothing(files, monkeypatch):
    given = []
    monkeypatch.setattr(metrics, "evaluate", lambda *a, **o: given.append(o["threads"]) or evaluate(*a, **o))
    one, four = (call(files, "--threads", n, "--json").stdout for n in ("1", "4"))
    assert given == [1, 4]
    assert one == four
    assert_refused(call(files, "--threads", "0"), "--threads must be at least 1, not 0")


@pytest.mark.parametrize(
    ("curve", "words"),
    [("PR@11,", "empty name"), ("PR@1", "at least 2"), ("PP@3", "unknown curve"), ("PR@H", "hamming")],
)
def test_bad_curves_are_refused(files, curve, words):
    assert_refused(call(files, "--curve", curve), words)


def test_the_device_reaches_the_engine(files, monkeypatch):
    given = []
    monkeypatch.setattr(metrics, "evaluate", lambda *a, **o: given.append(o.pop("device")) or evaluate(*a, **o))
    call(files, "--device", "cpu", "--json")
    call(files, "--json")
    assert given == ["cpu", None]
    monkeypatch.undo()
    assert_refused(call(files, "--device", "tpu"), "device", "tpu")
