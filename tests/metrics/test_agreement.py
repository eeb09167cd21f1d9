"""Other libraries: the same numbers where they define the same thing, and an example for each definition that differs.

| library | differs |
|---|---|
| scikit-learn | AP takes items of equal score together as one threshold; NDCG of ties is the expected one, as here |
| torchmetrics | AP, precision, recall and reciprocal rank count no item with a score <= 0 as relevant |
| ir_measures | AP@k is divided by R; ties are broken by document id; interpolated precision rounds down |

None of the three has AP@k divided by min(k, R).
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    ndcg_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from cmrbench.metrics import evaluate, from_labels, given

pytestmark = pytest.mark.usefixtures("way")

N_QUERY, N = 40, 60
KS = (1, 5, 50, N)


@pytest.fixture(scope="module")
def task():
    """Scores without ties, all above zero; labels; how many labels each pair shares."""
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.arange(1.0, N + 1), (N_QUERY, 1)), axis=1)
    ql, gl = rng.random((N_QUERY, 4)) < 0.6, rng.random((N, 4)) < 0.2
    ql[0] = 0  # a query without relevant items
    ql[:, 3] = gl[:, 3] = False
    ql[1, 3] = gl[:, 3] = True  # a query to which everything is relevant
    return scores, (ql, gl), ql.astype(int) @ gl.T.astype(int)


def measured(scores, labels, names=(), curves=()):
    return evaluate(given(scores), from_labels(*labels), names, curves=curves)


def agree(result, name, expected, atol=1e-12):
    """Compare the values of all queries."""
    np.testing.assert_allclose(result.per_query[name], expected, rtol=0, atol=atol, err_msg=name)


def best_from(precision, recall, levels):
    """Best precision at each level of recall or above."""
    return [max(p for p, r in zip(precision, recall, strict=True) if r >= i / levels - 1e-9) for i in range(levels + 1)]


# scikit-learn


def test_scikit_learn_on_rankings_without_ties(task):
    scores, labels, grades = task
    names = ["mAP@all", "NDCG@all", "NDCG@all[shared]", "NDCG@all[exp_shared]"]
    names += [f"{kind}@{k}" for kind in ("P", "R", "NDCG") for k in KS]
    names += [f"NDCG@{k}[{gain}]" for k in KS for gain in ("shared", "exp_shared")]
    result = measured(scores, labels, names)
    found = (grades > 0).astype(int)
    assert (found.sum(axis=1) == 0).any()
    assert grades.max() == 3
    for i in range(N_QUERY):
        one = {name: result.per_query[name][i] for name in names}
        for name, gains in (("", found), ("[shared]", grades), ("[exp_shared]", 2**grades - 1)):
            for k in (None, *KS):
                expected = ndcg_score(gains[[i]], scores[[i]], k=k)
                assert one[f"NDCG@{k or 'all'}{name}"] == pytest.approx(expected, abs=1e-12)
        for k in KS:
            top = scores[i] > N - k
            assert one[f"P@{k}"] == pytest.approx(precision_score(found[i], top), abs=1e-12)
            assert one[f"R@{k}"] == pytest.approx(recall_score(found[i], top, zero_division=0), abs=1e-12)
        if found[i].any():  # scikit-learn warns about the others
            assert one["mAP@all"] == pytest.approx(average_precision_score(found[i], scores[i]), abs=1e-12)


@pytest.mark.parametrize("levels", [2, 11, 101])
def test_scikit_learn_precision_and_recall_interpolated(task, levels):
    scores, labels, grades = task
    some = np.flatnonzero(grades.any(axis=1))
    curves = []
    for i in some:
        precision, recall, _ = precision_recall_curve(grades[i] > 0, scores[i])
        curves.append(best_from(precision[:-1], recall[:-1], levels - 1))  # the last point, (0, 1), stands for no items
    name = f"PR@{levels}[with_relevant]"
    points = measured(scores, labels, curves=name).curves[name]
    np.testing.assert_allclose(points.y, np.mean(curves, axis=0), rtol=0, atol=1e-12)


def test_scikit_learn_ndcg_of_ties_is_the_expected_one():
    rng = np.random.default_rng(3)
    scores, ql, gl = rng.integers(0, 6, (20, 30)).astype(float), rng.random((20, 3)) < 0.6, rng.random((30, 3)) < 0.3
    grades = ql.astype(int) @ gl.T.astype(int)
    names = ["NDCG@all", "NDCG@all[shared]", "NDCG@7[exp_shared]"]
    result = measured(scores, (ql, gl), names)
    for name, gains, k in zip(names, (np.minimum(grades, 1), grades, 2**grades - 1), (None, None, 7), strict=True):
        agree(result, name, [ndcg_score(gains[[i]], scores[[i]], k=k) for i in range(20)])


def test_scikit_learn_ap_of_ties_is_another():
    """It sees one threshold, at precision 1/2; the two orders have AP 1 and 1/2."""
    result = measured([[0.0, 0.0]], ([1], [1, 0]), ["mAP@all"])
    assert average_precision_score([1, 0], [0.0, 0.0]) == pytest.approx(1 / 2)
    assert result.values["mAP@all"] == pytest.approx(3 / 4)


# torchmetrics


@pytest.fixture(scope="module")
def torchmetrics():
    return pytest.importorskip("torchmetrics", reason="torchmetrics is in the extra bench")


def per_query(function, scores, relevant, **options):
    import torch

    pairs = zip(torch.tensor(scores).float(), torch.tensor(relevant), strict=True)
    return [float(function(s, r, **options)) for s, r in pairs]


def test_torchmetrics_on_scores_above_zero(torchmetrics, task):
    functional = torchmetrics.functional.retrieval
    scores, labels, grades = task
    kinds = {
        "mAP": functional.retrieval_average_precision,  # divided by the relevant items found within k
        "P": functional.retrieval_precision,
        "R": functional.retrieval_recall,
        "hit": functional.retrieval_hit_rate,
        "NDCG": functional.retrieval_normalized_dcg,
    }
    result = measured(scores, labels, [f"{kind}@{k}" for kind in kinds for k in (*KS, "all")] + ["RPrec", "MeanR"])
    for kind, function in kinds.items():
        for k in (*KS, "all"):
            expected = per_query(function, scores, grades > 0, top_k=None if k == "all" else k)
            agree(result, f"{kind}@{k}", expected, 1e-6)
    agree(result, "RPrec", per_query(functional.retrieval_r_precision, scores, grades > 0), 1e-6)
    reciprocal = np.array(per_query(functional.retrieval_reciprocal_rank, scores, grades > 0))
    ranks = np.divide(1, reciprocal, out=np.full(N_QUERY, np.nan), where=reciprocal > 0)
    agree(result, "MeanR", ranks, 1e-4)


def test_torchmetrics_precision_divides_by_k_beyond_the_gallery(torchmetrics, task):
    scores, labels, grades = task
    result = measured(scores, labels, ["P@100", "R@100", "mAP@100"])
    functional = torchmetrics.functional.retrieval
    agree(result, "P@100", per_query(functional.retrieval_precision, scores, grades > 0, top_k=100), 1e-6)
    agree(result, "R@100", per_query(functional.retrieval_recall, scores, grades > 0, top_k=100), 1e-6)
    agree(result, "mAP@100", per_query(functional.retrieval_average_precision, scores, grades > 0, top_k=100), 1e-6)


def test_torchmetrics_ndcg_with_linear_gains(torchmetrics, task):
    scores, labels, grades = task
    function = torchmetrics.functional.retrieval.retrieval_normalized_dcg
    for name, k in (("NDCG@all[shared]", None), ("NDCG@5[shared]", 5)):
        agree(measured(scores, labels, [name]), name, per_query(function, scores, grades, top_k=k), 1e-6)
    name = "NDCG@5[exp_shared]"
    agree(measured(scores, labels, [name]), name, per_query(function, scores, 2**grades - 1, top_k=5), 1e-6)


@pytest.mark.parametrize(("action", "mean"), [("neg", "all"), ("skip", "with_relevant")])
def test_torchmetrics_means(torchmetrics, task, action, mean):
    import torch

    scores, labels, grades = task
    s, r = torch.tensor(scores).float(), torch.tensor(grades > 0)
    queries = torch.arange(N_QUERY)[:, None].expand(N_QUERY, N)
    retrieval = torchmetrics.retrieval
    option = "" if mean == "all" else f"[{mean}]"
    for name, metric in (
        ("mAP@all", retrieval.RetrievalMAP(empty_target_action=action)),
        ("mAP@5", retrieval.RetrievalMAP(empty_target_action=action, top_k=5)),
        ("P@5", retrieval.RetrievalPrecision(empty_target_action=action, top_k=5)),
        ("hit@1", retrieval.RetrievalHitRate(empty_target_action=action, top_k=1)),
        ("RPrec", retrieval.RetrievalRPrecision(empty_target_action=action)),
    ):
        value = measured(scores, labels, [name + option]).values[name + option]
        assert value == pytest.approx(float(metric(s, r, indexes=queries)), abs=1e-6), name
    curve = retrieval.RetrievalPrecisionRecallCurve(empty_target_action=action)
    precision, recall, _ = curve(s, r, indexes=queries)
    result = measured(scores, labels, curves=[f"P@1..{N}{option}", f"R@1..{N}{option}"])
    for points, expected in zip(result.curves.values(), (precision, recall), strict=True):
        np.testing.assert_allclose(points.y, expected.numpy(), rtol=0, atol=1e-6)


def test_torchmetrics_drops_relevant_items_with_scores_below_zero(torchmetrics):
    """The same ranking, shifted: its AP is 1/2, and 0 in torchmetrics once the relevant items' scores are negative."""
    scores, relevant = np.array([[0.3, -0.1, -0.2, -0.5]]), np.array([[0, 1, 0, 1]])
    result = measured(scores, ([1], relevant[0]), ["mAP@all", "P@2", "R@2", "MeanR"])
    assert list(result.values.values()) == [0.5, 0.5, 0.5, 2.0]
    functional = torchmetrics.functional.retrieval
    for function, options, right in (
        (functional.retrieval_average_precision, {}, 0.5),
        (functional.retrieval_precision, {"top_k": 2}, 0.5),
        (functional.retrieval_recall, {"top_k": 2}, 0.5),
        (functional.retrieval_reciprocal_rank, {}, 1 / 2),
    ):
        assert per_query(function, scores + 1, relevant, **options) == [right]
        assert per_query(function, scores, relevant, **options) == [0.0]


def test_torchmetrics_map_of_cosines_is_another(torchmetrics):
    rng = np.random.default_rng(5)
    q, g = rng.normal(size=(30, 8)), rng.normal(size=(80, 8))
    cosines = (q / np.linalg.norm(q, axis=1)[:, None]) @ (g / np.linalg.norm(g, axis=1)[:, None]).T
    ql, gl = rng.integers(0, 3, 30), rng.integers(0, 3, 80)
    value = measured(cosines, (ql, gl), ["mAP@all"]).values["mAP@all"]
    function, found = torchmetrics.functional.retrieval.retrieval_average_precision, ql[:, None] == gl
    assert np.mean(per_query(function, cosines + 2, found)) == pytest.approx(value, abs=1e-6)
    assert abs(np.mean(per_query(function, cosines, found)) - value) > 0.01


# ir_measures, which asks trec_eval


@pytest.fixture(scope="module")
def ir():
    module = pytest.importorskip("ir_measures", reason="ir_measures is in the extra bench")
    pytest.importorskip("pytrec_eval", reason="pytrec_eval, which ir_measures asks, is in the extra bench")
    return module


def by_trec_eval(ir, measures, scores, grades):
    """Every measure of every query: {name: values}; document ids rise with the gallery index."""
    ids = [f"d{i:04}" for i in range(scores.shape[1])]
    qrels, run = (
        {f"q{i:04}": dict(zip(ids, row.tolist(), strict=True)) for i, row in enumerate(a)} for a in (grades, scores)
    )
    values = {measure: np.full(len(scores), np.nan) for measure in measures}
    for measure in measures:  # each by itself: one without gains may be given those of another in the same call
        for value in ir.iter_calc([measure], qrels, run):
            values[measure][int(value.query_id[1:])] = value.value
    return values


def test_ir_measures_on_rankings_without_ties(ir, task):
    scores, labels, grades = task
    pairs = {"mAP@all": ir.AP, "NDCG@all[shared]": ir.nDCG, "RPrec": ir.Rprec}
    for k in KS:
        pairs |= {
            f"mAP@{k}[r]": ir.AP @ k,
            f"P@{k}": ir.P @ k,
            f"R@{k}": ir.R @ k,
            f"hit@{k}": ir.Success @ k,
            f"NDCG@{k}": ir.nDCG(gains={2: 1, 3: 1}) @ k,
            f"NDCG@{k}[shared]": ir.nDCG @ k,  # trec_eval's gain is the grade
            f"NDCG@{k}[exp_shared]": ir.nDCG(gains={2: 3, 3: 7}) @ k,
        }
    result, theirs = measured(scores, labels, list(pairs)), by_trec_eval(ir, list(pairs.values()), scores, grades)
    for name, measure in pairs.items():
        agree(result, name, theirs[measure])


def test_ir_measures_reciprocal_rank_is_one_over_the_first_rank(ir, task):
    scores, labels, grades = task
    reciprocal = by_trec_eval(ir, [ir.RR], scores, grades)[ir.RR]
    result = measured(scores, labels, ["MeanR", "MedR"])
    ranks = 1 / reciprocal[grades.any(axis=1)]
    assert result.values["MeanR"] == pytest.approx(ranks.mean())
    assert result.values["MedR"] == pytest.approx(np.median(ranks))
    agree(result, "MedR", np.where(grades.any(axis=1), 1 / np.where(reciprocal > 0, reciprocal, 1), np.nan))


def test_ir_measures_interpolated_precision(ir, task):
    scores, labels, grades = task
    measures = [ir.IPrec @ (i / 10) for i in range(11)]
    theirs = by_trec_eval(ir, measures, scores, grades)
    (points,) = measured(scores, labels, curves="PR@11").curves.values()
    np.testing.assert_allclose(points.y, [theirs[m].mean() for m in measures], rtol=0, atol=1e-12)


def test_ir_measures_interpolated_precision_rounds_down(ir):
    """35% of three items takes two here, and floor(0.9 + 1.05) = 1 in trec_eval."""
    scores, relevant = np.array([[4.0, 3.0, 2.0, 1.0]]), [1, 0, 1, 1]
    theirs = by_trec_eval(ir, [ir.IPrec @ 0.3, ir.IPrec @ 0.35], scores, np.array([relevant]))
    (points,) = measured(scores, ([1], relevant), curves="PR@21").curves.values()
    assert points.x[[6, 7]] == pytest.approx([0.3, 0.35])
    assert points.y[[6, 7]] == pytest.approx([1, 3 / 4])
    assert [values[0] for values in theirs.values()] == pytest.approx([1, 1])


def test_ir_measures_ap_at_k_is_divided_by_all_relevant_items(ir):
    scores, labels = np.array([[3.0, 2.0, 1.0, 0.0]]), ([1], [1, 0, 1, 1])
    theirs = by_trec_eval(ir, [ir.AP @ 2], scores, np.array([[1, 0, 1, 1]]))[ir.AP @ 2]
    result = measured(scores, labels, ["mAP@2[r]", "mAP@2[min_kr]", "mAP@2"])
    assert theirs[0] == pytest.approx(1 / 3)
    assert list(result.values.values()) == [pytest.approx(x) for x in (1 / 3, 1 / 2, 1)]


def test_ir_measures_breaks_ties_by_document_id(ir):
    """Higher ids first: the rule `stable` on the gallery turned round. The expectation is another number."""
    rng = np.random.default_rng(6)
    scores, ql, gl = rng.integers(0, 4, (20, 50)).astype(float), rng.integers(0, 3, 20), rng.integers(0, 3, 50)
    theirs = by_trec_eval(ir, [ir.AP, ir.P @ 7], scores, (ql[:, None] == gl).astype(int))
    turned = measured(scores[:, ::-1], (ql, gl[::-1]), ["mAP@all[stable]", "P@7[stable]"])
    agree(turned, "mAP@all[stable]", theirs[ir.AP])
    agree(turned, "P@7[stable]", theirs[ir.P @ 7])
    expected = measured(scores, (ql, gl), ["mAP@all"])
    assert abs(expected.per_query["mAP@all"] - theirs[ir.AP]).max() > 0.01
