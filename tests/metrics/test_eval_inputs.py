"""`cmrbench eval` on scores, packed codes, replays and galleries in parts: the values of the Python calls."""

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
from cmrbench.metrics import REPLAYS, evaluate, evaluate_arrays, from_labels, given, hamming, replay, shards

app = typer.Typer()
app.command()(evaluate_command)

N_QUERY, N = 12, 150


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    q, g = rng.normal(size=(N_QUERY, 10)), rng.normal(size=(N, 10))
    arrays = {
        "q": q,
        "g": g,
        "cq": np.where(q > 0, 1, -1).astype(np.int8),
        "cg": np.where(g > 0, 1, -1).astype(np.int8),
        "pq": np.packbits(q > 0, axis=1),
        "pg": np.packbits(g > 0, axis=1),
        "s": (q @ g.T).astype(np.float32),
        "ql": rng.integers(0, 3, N_QUERY),
        "gl": rng.integers(0, 3, N),
        "mq": (rng.random((N_QUERY, 5)) < 0.3).astype(np.uint8),
        "mg": (rng.random((N, 5)) < 0.3).astype(np.uint8),
        "iq": np.array([f"item {i}" for i in range(N_QUERY)]),
        "ig": np.array([f"item {i % 20}" for i in range(N)]),
        "fq": np.arange(N_QUERY, dtype=float),
        "fg": np.arange(N, dtype=float) % 20,
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savetxt(tmp_path / "g.csv", g, delimiter=",")
    np.savetxt(tmp_path / "s.csv", arrays["s"], delimiter=",")
    np.savetxt(tmp_path / "gl.txt", arrays["gl"], fmt="%d")
    return tmp_path


PAIRS = {"query", "gallery", "scores", "query_labels", "gallery_labels"}


def call(folder, *options, **named):
    """Run eval with the files of some names; without any labels named, with class numbers."""
    named = {"query_labels": "ql", "gallery_labels": "gl"} | named
    args = list(options)
    for name, file in named.items():
        file = str(folder / (file if "." in file else f"{file}.npy")) if name in PAIRS else file
        args += [f"--{name.replace('_', '-')}", file]
    return CliRunner().invoke(app, args)


def told(result):
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def held(folder, *names):
    return [np.load(folder / f"{name}.npy") for name in names]


def assert_refused(result, *words):
    assert isinstance(result.exception, CmrbenchError), result.output
    assert result.exception.exit_code == 2
    message = str(result.exception)
    assert "\n" not in message
    for word in words:
        assert word in message


REPRESENTATIONS = {"query": "q", "gallery": "g"}
CODES = {"query": "cq", "gallery": "cg", "distance": "hamming"}
PACKED = {"query": "pq", "gallery": "pg", "distance": "hamming"}
SCORES = {"scores": "s"}


# Codes


def test_asymmetric_distance(files):
    found = told(call(files, "--json", query="q", gallery="cg", distance="asymmetric"))
    assert found == evaluate_arrays(*held(files, "q", "cg", "ql", "gl"), "asymmetric").values
    assert_refused(call(files, query="q", gallery="g", distance="asymmetric"), "g.npy: gallery must be codes")


def test_packed_codes(files):
    asked = {"metric": "mAP@all,P@H2", "curve": "PR@H"}
    assert told(call(files, "--json", **PACKED, **asked, bits="10")) == told(call(files, "--json", **CODES, **asked))
    assert_refused(call(files, **PACKED), "pq.npy: query must be codes of -1 and +1", "give their length as bits")
    assert_refused(call(files, **PACKED, bits="64"), "pq.npy: query must be packed codes of 64 bits", "8 columns")
    assert_refused(call(files, **CODES, bits="10"), "cq.npy: query must be packed codes of 10 bits", "int8 in 10")
    assert_refused(call(files, **PACKED, bits="0"), "--bits must be at least 1, not 0")
    assert_refused(call(files, **REPRESENTATIONS, bits="10"), "--bits is", "for --distance hamming, not for cosine")


# Scores


def test_scores_in_place_of_representations(files):
    scores, *labels = held(files, "s", "ql", "gl")
    names = ["mAP@all", "NDCG@9", "mAP@5[stable]"]
    expected = evaluate(given(scores), from_labels(*labels), names).values
    for file in ("s", "s.csv"):
        assert told(call(files, "--json", scores=file, metric=",".join(names))) == pytest.approx(expected, abs=1e-12)
    assert "12 queries, gallery of 150, given scores" in call(files, **SCORES).stdout


def test_scores_of_instances(files):
    ids = {"query_labels": "iq", "gallery_labels": "ig", "relevance": "instance"}
    scores, *instances = held(files, "s", "iq", "ig")
    expected = evaluate(given(scores), metrics.from_instances(*instances)).values
    assert told(call(files, "--json", **SCORES, **ids)) == expected


def mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_scores_are_left_on_disk(files, monkeypatch):
    seen = []
    monkeypatch.setattr(metrics, "given", lambda scores: seen.append(mapped(scores)) or given(scores))
    assert call(files, **SCORES).exit_code == 0
    assert seen == [True]


def test_bad_scores_are_refused(files):
    assert_refused(call(files, scores="ql"), "ql.npy: scores must be 2-d", "(12,)")
    assert_refused(call(files, "--in-parts", scores="ql"), "ql.npy: scores must be 2-d", "(12,)")
    assert_refused(
        call(files, **SCORES, query_labels="gl"), "gl.npy: query labels are for 150", "rows of scores are 12"
    )
    assert_refused(call(files, **SCORES, gallery_labels="ql"), "ql.npy: gallery labels are for 12", "columns", "150")
    assert_refused(call(files, "--in-parts", **SCORES, query_labels="gl"), "s.npy: scores must have a row", "150")
    assert_refused(call(files, "--in-parts", **SCORES, gallery_labels="ql"), "ql.npy: gallery labels", "150 items")
    (scores,) = held(files, "s")
    scores[7, 3] = np.nan
    np.save(files / "s.npy", scores)
    for options in ((), ("--in-parts",)):
        assert_refused(call(files, *options, **SCORES), "s.npy: scores holds NaN or infinity, first in row 7")
    np.save(files / "s.npy", np.array([[{}, None]]), allow_pickle=True)
    assert_refused(call(files, **SCORES), "s.npy: cannot be read as an array", "write a numeric array with numpy.save")
    np.save(files / "s.npy", np.zeros((0, 4)))
    for options in ((), ("--in-parts",)):
        assert_refused(call(files, *options, **SCORES), "s.npy: ", "(0, 4)")


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({}, "--query and --gallery missing: give --query and --gallery, or --scores in place of both"),
        ({"query": "q"}, "--gallery missing"),
        ({"gallery": "g"}, "--query missing"),
        ({"scores": "s", "query": "q"}, "--scores stands in place of --query and --gallery, so it excludes --query"),
        ({"scores": "s", "gallery": "g"}, "so it excludes --gallery"),
        ({"scores": "s", "distance": "cosine"}, "--scores holds similarities, which need no --distance"),
        ({"scores": "s", "bits": "8"}, "--scores holds similarities, which need no --bits"),
        ({"scores": "s", "relevance": "labels"}, "did you mean label"),
        ({"scores": "s", "metric": "P@H2"}, "needs the distance hamming"),
    ],
)
def test_scores_and_representations_exclude_each_other(files, named, words):
    assert_refused(call(files, **named), words)


# Replays

ASKED = "n_plus_10,torchcmh_map_k@50,perf_metric4label,ucch@50,survey_50"


def replays_of(folder):
    q, g, *labels = held(folder, "cq", "cg", "ql", "gl")
    task = hamming(q, g), from_labels(*labels)
    parts = {part: part.partition("@")[::2] for part in ASKED.split(",")}
    return {part: replay(name, *task, int(k) if k else None) for part, (name, k) in parts.items()}


def test_replays_are_told_apart_from_metrics(files):
    found = told(call(files, "--json", **CODES, metric="mAP@5", replay=ASKED))
    assert list(found) == ["mAP@5", "replays"]
    expected = replays_of(files)
    assert list(found["replays"]) == list(expected)
    for name, one in found["replays"].items():
        assert one["value"] == expected[name].value
        assert (one["divisor"], one["undecided"]) == (expected[name].divisor, expected[name].undecided)
    assert "replays" not in told(call(files, "--json", **CODES))


def test_the_twin_is_told_under_the_tie_rule(files):
    twins = {"n_plus_10": None, "torchcmh_map_k@50": None, "perf_metric4label": "mAP@all[with_relevant]"}
    twins |= {"ucch@50": "mAP@50[with_hits]", "survey_50": "mAP@50"}
    named = [twin for twin in twins.values() if twin]
    arrays = held(files, "cq", "cg", "ql", "gl")
    for rule in (None, "stable", "optimistic"):
        values = evaluate_arrays(*arrays, "hamming", named, rule).values
        ties = {} if rule is None else {"ties": rule}
        found = told(call(files, "--json", **CODES, replay=ASKED, **ties))["replays"]
        assert [one["twin_value"] for one in found.values() if one["twin"]] == list(values.values())
        assert [one["twin"] for one in found.values() if one["twin"]] == list(values)
        assert [one["twin_value"] for one in found.values() if not one["twin"]] == [None, None]
        if rule is None:
            assert {name: one["twin"] for name, one in found.items()} == twins
        if rule == "stable":
            assert found["survey_50"]["value"] == pytest.approx(found["survey_50"]["twin_value"], abs=1e-12)


def test_replays_are_printed(files):
    printed = call(files, **CODES, replay=ASKED).stdout
    lines = {line.split()[1]: line for line in printed.splitlines() if line.startswith("│")}
    values = evaluate_arrays(*held(files, "cq", "cg", "ql", "gl"), "hamming", "mAP@50").values
    for name, one in replays_of(files).items():
        assert f"│ {one.value:.4f} │" in lines[name]
        assert f" {one.divisor} │" in lines[name]
    assert f"│ mAP@50 │ {values['mAP@50']:.4f}" in " ".join(lines["survey_50"].split())
    assert "│ - │ - │" in " ".join(lines["n_plus_10"].split())
    assert "mAP@50" not in lines, "a twin is no metric that was asked for"


def test_ties_that_the_released_code_leaves_open_are_warned_of(files):
    found = call(files, "--json", **CODES, replay=ASKED)
    assert json.loads(found.stdout)
    lines = found.stderr.splitlines()
    open_ones = {name: one for name, one in replays_of(files).items() if not one.replay.stable}
    assert set(open_ones) == {"torchcmh_map_k@50", "ucch@50", "survey_50"}
    assert len(lines) == len(open_ones)
    for line, (name, one) in zip(lines, open_ones.items(), strict=True):
        assert line.startswith(f"warning: {name}: ties decide the AP of {one.undecided} of 12 queries")
    assert call(files, **REPRESENTATIONS, replay=ASKED).stderr == "", "no item ties"


def test_values_of_replays_go_into_the_file_of_queries(files):
    call(files, "--per-query", str(files / "out.csv"), **CODES, replay=ASKED)
    with (files / "out.csv").open(newline="") as lines:
        head, *rows = csv.reader(lines)
    assert head == ["query", "mAP@all", *ASKED.split(",")]
    for column, one in enumerate(replays_of(files).values(), start=2):
        np.testing.assert_array_equal([float(row[column] or "nan") for row in rows], one.per_query.astype(float))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("uch", "unknown replay 'uch'; did you mean ucch"),
        ("ucch,", "--replay 'ucch,' holds an empty name"),
        ("ucch@x", "--replay 'ucch@x': the cut-off must be a whole number from 1 up, as in ucch@50"),
        ("ucch@0", "--replay 'ucch@0': the cut-off"),
        ("ucch@", "--replay 'ucch@': the cut-off"),
        ("fsh@50", "--replay 'fsh@50': fsh takes no cut-off; its own is 100"),
        ("n_plus_10@5", "n_plus_10 takes no cut-off; its own is the whole ranking"),
        ("fast_pr_map@151", "reads the first 151 ranks, but the gallery holds 150 items"),
    ],
)
def test_bad_replays_are_refused(files, asked, words):
    assert_refused(call(files, **REPRESENTATIONS, replay=asked), words)


def test_a_replay_is_no_metric(files):
    for name in REPLAYS:
        assert_refused(call(files, **REPRESENTATIONS, metric=name), "metric")


# Galleries in parts


@pytest.mark.parametrize(
    "named",
    [
        REPRESENTATIONS,
        REPRESENTATIONS | {"query_labels": "mq", "gallery_labels": "mg"},
        REPRESENTATIONS | {"query_labels": "iq", "gallery_labels": "ig", "relevance": "instance"},
        REPRESENTATIONS | {"query_labels": "fq", "gallery_labels": "fg", "relevance": "instance"},
        REPRESENTATIONS | {"distance": "euclidean"},
        {"query": "q", "gallery": "cg", "distance": "asymmetric"},
        CODES,
        SCORES,
    ],
    ids=["cosine", "multi-hot", "ids", "numbers", "euclidean", "asymmetric", "hamming", "scores"],
)
def test_a_gallery_in_parts_gives_the_same(files, monkeypatch, named):
    whole_of, seen = shards.evaluate_in_parts, []

    def few_at_a_time(query, gallery, query_labels, gallery_labels, **options):
        seen.append((mapped(gallery), gallery_labels.dtype.kind == "i" or mapped(gallery_labels)))
        return whole_of(query, gallery, query_labels, gallery_labels, part_items=40, **options)

    monkeypatch.setattr(shards, "evaluate_in_parts", few_at_a_time)
    asked = {"metric": "mAP@all,mAP@5[min_kr],MedR", "curve": "PR@11,P@1..9[stable]", "ties": "expected"}
    asked |= {"metric": "mAP@all,P@H2"} if named is CODES else {}
    parts = told(call(files, "--json", "--in-parts", "--span", "--per-query", str(files / "p.csv"), **named, **asked))
    whole = told(call(files, "--json", "--span", "--per-query", str(files / "w.csv"), **named, **asked))
    assert seen == [(True, True)]
    curves = parts.pop("curves"), whole.pop("curves")
    assert parts == pytest.approx(whole, abs=1e-9)
    assert list(parts) == list(whole)
    assert curves[0].keys() == curves[1].keys()
    for name in curves[0]:
        np.testing.assert_allclose(curves[0][name]["y"], curves[1][name]["y"], atol=1e-9)
    in_file = [np.genfromtxt(files / name, delimiter=",", skip_header=1) for name in ("p.csv", "w.csv")]
    np.testing.assert_allclose(*in_file, atol=1e-9)
    assert in_file[0].shape == (N_QUERY, 1 + len(whole))


@pytest.mark.parametrize("options", [(), ("--in-parts",)])
@pytest.mark.parametrize("changed", [lambda s: s.astype(">f4"), np.asfortranarray, lambda s: s.astype(">f8")])
def test_scores_of_another_layout_are_the_same_scores(files, options, changed):
    expected = told(call(files, "--json", **SCORES))
    np.save(files / "s.npy", changed(np.load(files / "s.npy")))
    assert told(call(files, "--json", *options, **SCORES)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "named", "words"),
    [
        (("--device", "cpu"), {}, "--in-parts does not go with --device"),
        (("--threads", "2"), {}, "--in-parts does not go with --threads"),
        (("--replay", "ucch"), {}, "--in-parts does not go with --replay"),
        (("--metric", "NDCG@5[shared]"), {}, "NDCG@5[shared] has graded gains"),
        (("--metric", "P@H2"), {}, "needs the distance hamming"),
        (("--distance", "given"), {}, "unknown distance 'given'"),
        ((), {"gallery": "g.csv"}, "g.csv: --in-parts reads .npy files only; write this one with numpy.save"),
        ((), {"gallery_labels": "gl.txt"}, "gl.txt: --in-parts reads .npy files only"),
        ((), {"gallery": "none"}, "none.npy: no such file"),
        ((), {"gallery": "ql"}, "ql.npy: gallery must be 2-d"),
        ((), {"gallery_labels": "ql"}, "ql.npy: gallery labels of shape (12,)"),
        ((), {"query_labels": "gl"}, "gl.npy: query labels are for 150 items, but query holds 12"),
        (("--bits", "10"), {"query": "pq", "gallery": "pg", "distance": "hamming"}, "--in-parts takes codes of -1 and"),
    ],
)
def test_what_cannot_be_read_in_parts_is_refused(files, options, named, words):
    assert_refused(call(files, "--in-parts", *options, **REPRESENTATIONS | named), words)
    assert_refused(call(files, "--in-parts", scores="s.csv"), "s.csv: --in-parts reads .npy files only")
