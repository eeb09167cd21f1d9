"""What cannot be measured is refused in one sentence that names the argument and what was found.

Arrays, codes, labels and instance ids by themselves: `test_scores.py`. Names of curves: `test_curves.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

from cmrbench.core.errors import CmrbenchError, DataError, UnknownNameError, UsageError
from cmrbench.metrics import Curve, Metric, evaluate, evaluate_arrays, from_instances, from_labels, given, hamming

ONES = np.ones((4, 3))
NAMES = np.array([0, 1, 0, 1])
CODES = np.array([[1, -1, 1], [1, 1, 1], [-1, -1, 1], [1, -1, -1]])
MANY_HOT = np.eye(4, dtype=int)


def changed(array, row, column, value):
    """A copy with one entry changed."""
    copy = np.array(array, dtype=np.result_type(array, type(value)))
    copy[row, column] = value
    return copy


ARRAYS = {  # what evaluate_arrays is given in place of good arguments -> error, and what the message says
    "query of one dimension": ({"query": ONES[0]}, DataError, r"^query must be 2-d.*\(3,\)"),
    "gallery of three dimensions": ({"gallery": ONES[None]}, DataError, r"^gallery must be 2-d.*\(1, 4, 3\)"),
    "a number for query": ({"query": 3.0}, DataError, r"^query must be 2-d.*\(\)"),
    "no query": ({"query": ONES[:0], "query_labels": []}, DataError, r"^query is empty.*\(0, 3\)"),
    "no gallery": ({"gallery": ONES[:0], "gallery_labels": []}, DataError, r"^gallery is empty.*\(0, 3\)"),
    "no columns": ({"query": ONES[:, :0]}, DataError, r"^query is empty.*\(4, 0\)"),
    "other widths": ({"gallery": ONES[:, :2]}, DataError, "query and gallery.*columns, got 3 and 2"),
    "words": ({"query": ONES.astype(str)}, DataError, "^query must hold numbers, got dtype <U"),
    "objects": ({"gallery": ONES.astype(object)}, DataError, "^gallery must hold numbers, got dtype object"),
    "complex numbers": ({"query": ONES * 1j}, DataError, "^query must hold numbers, got dtype complex128"),
    "dates": ({"query": ONES.astype("M8[s]")}, DataError, "^query must hold numbers, got dtype datetime64"),
    "NaN": ({"query": changed(ONES, 2, 1, np.nan)}, DataError, "^query holds NaN.*first in row 2"),
    "infinity": ({"gallery": changed(ONES, 3, 0, -np.inf)}, DataError, "^gallery holds .*infinity.*first in row 3"),
    "half precision": ({"query": changed(ONES, 1, 0, np.nan).astype("f2")}, DataError, "^query holds NaN.*row 1"),
    "codes of 0 and 1": (
        {"distance": "hamming", "query": (CODES + 1) // 2, "gallery": CODES},
        DataError,
        "^query must be codes of -1 and .1, got 0 in row 0; write bits b as 2 b - 1",
    ),
    "codes of 0 among others": (
        {"distance": "hamming", "query": CODES, "gallery": changed(CODES, 2, 1, 0)},
        DataError,
        "^gallery must be codes of -1 and .1, got 0 in row 2",
    ),
    "real-valued codes": (
        {"distance": "hamming", "query": changed(CODES, 3, 2, 0.25), "gallery": CODES},
        DataError,
        "^query must be codes of -1 and .1, got 0.25 in row 3",
    ),
    "packed codes": (
        {"distance": "hamming", "query": np.packbits(CODES > 0, axis=1), "gallery": CODES[:, :1]},
        DataError,
        "^query must be codes of -1 and .1, got 160 in row 0",
    ),
    "codes of other lengths": (
        {"distance": "hamming", "query": CODES, "gallery": CODES[:, :1]},
        DataError,
        "query and gallery.*got 3 and 1",
    ),
    "too few labels": ({"query_labels": NAMES[:3]}, DataError, "^query labels are for 3 items, but query holds 4"),
    "too many labels": ({"gallery_labels": [*NAMES, 1]}, DataError, "^gallery labels are for 5 items.* holds 4"),
    "labels of two kinds": ({"query_labels": MANY_HOT}, DataError, r"query labels and gallery.*\(4, 4\) and \(4,\)"),
    "label matrices of counts": (
        {"query_labels": MANY_HOT, "gallery_labels": changed(MANY_HOT, 2, 0, 3)},
        DataError,
        "^gallery labels .*multi-hot .0 and 1., got 3 in row 2",
    ),
    "label matrices of -1 and 1": (
        {"query_labels": 2 * MANY_HOT - 1, "gallery_labels": MANY_HOT},
        DataError,
        "^query labels .*got -1 in row 0",
    ),
    "label matrices of shares": (
        {"query_labels": changed(MANY_HOT, 1, 1, 0.5), "gallery_labels": MANY_HOT},
        DataError,
        "^query labels .*got .*0.5.* in row 1",
    ),
    "label matrices of other widths": (
        {"query_labels": MANY_HOT, "gallery_labels": MANY_HOT[:, :3]},
        DataError,
        "query labels and gallery labels.*columns, got 4 and 3",
    ),
    "negative class": ({"gallery_labels": NAMES - 1}, DataError, "^gallery labels .*from 0 up, got -1 in row 0"),
    "no labels": ({"query_labels": None}, DataError, "^query labels must hold whole numbers, got dtype object"),
    "distance": ({"distance": "cosin"}, UnknownNameError, "^unknown distance 'cosin'; did you mean cosine"),
    "metric": ({"metrics": "mAPP@5"}, UnknownNameError, "^unknown metric 'mAPP'; did you mean mAP"),
    "a curve for a metric": ({"metrics": "PR@11"}, UnknownNameError, "^unknown metric 'PR'"),
    "tie rule": ({"ties": "lucky"}, UnknownNameError, "^unknown tie rule 'lucky'; known: expected"),
    "no metric": ({"metrics": []}, UsageError, "^no metric to evaluate"),
    "cut-off of 0": ({"metrics": ["P@5", "mAP@0"]}, UsageError, "^mAP@0: the cut-off .*from 1 up"),
    "radius under cosine": ({"metrics": "P@H2"}, UsageError, "^P@H2 .*needs the distance hamming"),
    "radius under inner": ({"metrics": "R@H0", "distance": "inner"}, UsageError, "^R@H0 .*needs the distance hamming"),
    "radius beyond the bits": (
        {"metrics": ["P@H3", "R@H4"], "distance": "hamming", "query": CODES, "gallery": CODES},
        UsageError,
        "^R@H4: .*codes of 3 bits is at most 3",
    ),
    "no memory": ({"block_bytes": 0}, UsageError, "^block_bytes must be positive, got 0"),
    "memory below zero": ({"block_bytes": -5}, UsageError, "^block_bytes must be positive, got -5"),
    "half a thread": ({"threads": 1.5}, UsageError, "^threads must be a whole number from 1 up, got 1.5"),
    "threads, yes": ({"threads": True}, UsageError, "^threads must be a whole number from 1 up, got True"),
    "memory as text": ({"block_bytes": "10"}, UsageError, "^block_bytes must be a whole number from 1 up, got '10'"),
    "no metrics": ({"metrics": None}, UsageError, "^metrics must be names or Metric values, got None"),
    "a number for a metric": ({"metrics": [5]}, UsageError, "^a metric must be a name or a Metric, got 5"),
    "one curve for metrics": ({"metrics": Curve.parse("PR@11")}, UsageError, "^a metric must be a name or a Metric"),
    "a metric for a curve": ({"curves": [Metric()]}, UsageError, "^a curve must be a name or a Curve"),
    "no distance": ({"distance": None}, UnknownNameError, "distance"),
    "ragged query": ({"query": [[1.0, 2.0], [1.0]]}, DataError, "^query cannot be made an array"),
    "ragged labels": ({"gallery_labels": [[0, 1], [1]]}, DataError, "^gallery labels cannot be made an array"),
    "no threads": ({"threads": 0}, UsageError, "^threads must be positive, got 0"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_and_options(case):
    good = {"query": ONES, "gallery": ONES, "query_labels": NAMES, "gallery_labels": NAMES}
    bad, error, words = ARRAYS[case]
    with pytest.raises(error, match=words) as caught:
        evaluate_arrays(**{**good, **bad})
    one_sentence(caught.value)


def one_sentence(error: CmrbenchError) -> None:
    """Refuse messages of several lines."""
    assert "\n" not in str(error)
    assert len(str(error)) < 300


NAMED = {  # metric's name -> error, and what the message says
    "mAP@0": (UsageError, "mAP@0: the cut-off must be a whole number from 1 up"),
    "P@-3": (UsageError, "P@-3: the cut-off"),
    "mAP@5.5": (UsageError, "'mAP@5.5': the cut-off .*got '5.5'"),
    "R@x": (UsageError, "'R@x': the cut-off .*got 'x'"),
    "mAP@99999999999999999999": (UsageError, "the cut-off .*got '99999999999999999999'"),
    "": (UsageError, "metric '' is not of the form"),
    "P@5[stable": (UsageError, r"metric 'P@5\[stable' is not of the form"),
    "P@1..9": (UsageError, r"'P@1..9': the cut-off .*got '1..9'"),
    "mAP@5[stabel]": (UnknownNameError, "unknown metric option 'stabel'; did you mean .*stable"),
    "mAP@5[r,hits]": (UsageError, "two options for one thing: r and hits"),
    "P@5[min_kr]": (UsageError, "P takes no AP normalisation, got min_kr; only mAP"),
    "mAP@5[shared]": (UsageError, "mAP takes no gain, got shared; only NDCG"),
    "MedR@5": (UsageError, "MedR takes no cut-off, got 5"),
    "RPrec@3": (UsageError, "RPrec takes no cut-off, got 3"),
    "MeanR[with_hits]": (UsageError, "MeanR .*takes no mean, got with_hits"),
    "mAP@H2": (UsageError, "mAP@H2: only P and R"),
    "MedR@H2": (UsageError, "MedR@H2: only P and R"),
    "P@H-1": (UsageError, "P@H-1: the Hamming radius must be a whole number from 0 up"),
    "R@H2[stable]": (UsageError, "R@H2 does not depend on the order of ties, so it takes no stable"),
    "ROC@5": (UnknownNameError, "unknown metric 'ROC'"),
}


@pytest.mark.parametrize("name", NAMED)
def test_names_of_metrics(name):
    error, words = NAMED[name]
    with pytest.raises(error, match=words) as caught:
        evaluate(given(ONES), from_labels(NAMES, NAMES[:3]), ["mAP@all", name])
    one_sentence(caught.value)


FIELDS = {  # what makes no metric or curve -> what the message says
    "cut-off that is no whole number": (lambda: Metric("P", 2.5), r"P@2.5: the cut-off must be a whole number"),
    "cut-off that is true": (lambda: Metric("P", True), r"P@True: the cut-off must be a whole number"),
    "cut-off of words": (lambda: Metric("P", "5"), "P@5: the cut-off must be a whole number"),
    "cut-off below 1": (lambda: Metric("hit", -1), "hit@-1: the cut-off must be a whole number from 1 up"),
    "radius below 0": (lambda: Metric("P", radius=-1), "P@H-1: the Hamming radius must be a whole number from 0"),
    "radius that is no whole number": (lambda: Metric("P", radius=1.5), "P@H1.5: the Hamming radius must be a whole"),
    "both": (lambda: Metric("P", 5, radius=2), r"P: a cut-off \(5\) and a Hamming radius \(2\) exclude each other"),
    "kind": (lambda: Metric("F1"), "unknown metric 'F1'"),
    "gain": (lambda: Metric("NDCG", gain="log"), "unknown gain 'log'; known: binary, exp_shared, shared"),
    "mean": (lambda: Metric(mean="most"), "unknown mean over queries 'most'"),
    "normalisation": (lambda: Metric(norm="n_plus_10"), "unknown AP normalisation 'n_plus_10'"),
    "levels that are no whole number": (
        lambda: Curve("PR", 11.0),
        "curve PR takes a whole number for levels, got 11.0",
    ),
    "levels of words": (lambda: Curve("PR", "11"), "curve PR takes a whole number for levels, got '11'"),
    "k that is true": (lambda: Curve("P", k=True), "curve P takes a whole number for k, got True"),
    "k below 1": (lambda: Curve("R", k=0), "curve R runs over cut-offs from 1 up"),
    "levels of precision": (lambda: Curve("P", 11), "curve P runs over cut-offs"),
    "kind of curve": (lambda: Curve("ROC", 11), "unknown curve 'ROC'"),
    "tie rule of a curve": (lambda: Curve("PR", 11, ties="lucky"), "unknown tie rule 'lucky'"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_fields_of_metrics_and_curves(case):
    make, words = FIELDS[case]
    with pytest.raises(UsageError, match=words) as caught:
        make()
    one_sentence(caught.value)


def test_whole_numbers_of_numpy_are_taken():
    assert Metric("mAP", np.int64(50)) == Metric("mAP", 50)
    assert str(Metric("P", radius=np.uint8(2))) == "P@H2"
    assert str(Curve("P", k=np.int32(9))) == "P@1..9"
    assert type(Metric("mAP", np.int64(50)).k) is int


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("row", [0, 3])
def test_scores_that_are_no_numbers_are_refused_with_their_row(value, dtype, row):
    scores = changed(ONES, row, 1, value).astype(dtype)
    scores[3, 2] = value
    with pytest.raises(DataError, match=f"^scores holds NaN or infinity, first in row {row}$"):
        given(scores)


def test_scores_and_relevance_must_be_of_one_task():
    for relevance, words in (
        (from_labels([0, 1], [0, 1, 0]), "of 4 queries and 3 gallery items.* of 2 and 3"),
        (from_labels(NAMES, NAMES), "of 4 queries and 3 gallery items.* of 4 and 4"),
        (from_instances(["a"] * 4, ["a", "b"]), "of 4 queries and 3 gallery items.* of 4 and 2"),
    ):
        with pytest.raises(DataError, match=words):
            evaluate(given(ONES), relevance)


def test_curves_by_radius_need_codes():
    relevance = from_labels(NAMES, NAMES[:3])
    with pytest.raises(UsageError, match="^PR@H .*needs the distance hamming"):
        evaluate(given(ONES), relevance, curves=["P@1..3", "PR@H"])
    with pytest.raises(UsageError, match="no metric"):
        evaluate(given(ONES), relevance, (), curves=())
    assert evaluate(hamming(CODES, CODES[:3]), relevance, (), curves="PR@H").curves.keys() == {"PR@H"}


def test_scores_and_relevance_are_not_arrays():
    relevance = from_labels(NAMES, NAMES)
    with pytest.raises(UsageError, match=r"^scores must be Scores, such as cosine\(query, gallery\), got ndarray"):
        evaluate(np.eye(4), relevance)
    with pytest.raises(UsageError, match="^relevance must be Relevance, .*got ndarray"):
        evaluate(given(np.eye(4)), np.eye(4))
