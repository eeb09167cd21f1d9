"""Compiled kernels: against plain definitions and against numpy, over widths, dtypes, rules and odd values."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from plain_metrics import expected_ap, sorted_groups, value

from cmrbench.metrics import Metric, compiled, cosine, euclidean, evaluate, from_labels, given, hamming, inner

pytest.importorskip("numba")
NAMES = ["mAP@all", "mAP@7", "mAP@7[min_kr,with_hits]", "NDCG@all", "NDCG@5", "R@9", "hit@2", "mAP@all[with_hits]"]
RULES = ["mAP@all[stable]", "mAP@4[pessimistic]", "P@6[optimistic]", "NDCG@all[pessimistic]", "R@3[stable]"]


TIED = ("", ",optimistic", ",pessimistic")


@pytest.fixture
def both(monkeypatch):
    """A task measured by kernels and by numpy."""

    def measure(*task, **options):
        results = []
        for least in (0, sys.maxsize):
            monkeypatch.setattr(compiled, "LEAST_PAIRS", least)
            results.append(evaluate(*task, **options))
        return results

    return measure


def agree(results, atol=1e-12):
    one, other = results
    for name in other.values:
        np.testing.assert_allclose(one.per_query[name], other.per_query[name], rtol=0, atol=atol, err_msg=name)
        assert one.counted[name] == pytest.approx(other.counted[name], abs=1e-9)
        assert one.chance[name] == pytest.approx(other.chance[name], abs=1e-12, nan_ok=True)


def test_kernels_are_used(both, monkeypatch):
    calls = []
    _, module = compiled.kernels()
    monkeypatch.setattr(module, "write_keys", lambda *a, kernel=module.write_keys: calls.append(a) or kernel(*a))
    both(given(np.ones((3, 4), dtype=np.float32)), from_labels([0, 1, 2], [0, 1, 2, 3]))
    assert len(calls) == 3


def test_300_random_cases_against_sums_over_positions(monkeypatch):
    monkeypatch.setattr(compiled, "LEAST_PAIRS", 0)
    rng = np.random.default_rng(0)
    for case in range(300):
        n, C = int(rng.integers(1, 90)), int(rng.integers(1, 256))
        ql, gl = rng.random((1, C)) < 2 / C, rng.random((n, C)) < 1 / C
        found = (ql.astype(int) @ gl.T.astype(int) > 0)[0].astype(int)
        if case % 2:
            bits = int(rng.integers(1, 513))
            g = np.where(rng.random((n, bits)) < rng.random(), 1, -1)
            q = g[:1] * np.where(rng.random((1, bits)) < 0.1, -1, 1)
            task, scores = hamming(q, g), (q @ g.T)[0]
        else:
            scores = np.round(rng.normal(size=n) * rng.integers(1, 40)) * 10.0 ** rng.integers(-30, 30)
            task = given(scores[None].astype((np.float32, np.float64)[case // 2 % 2]))
        k, norm = int(rng.integers(1, n + 5)), ("hits", "min_kr", "r")[rng.integers(3)]
        whole, cut, stable = Metric(), Metric("mAP", k, norm), Metric("mAP", k, norm, ties="stable")
        result = evaluate(task, from_labels(ql, gl), [whole, cut, stable])
        groups = sorted_groups(scores.tolist(), found.tolist())
        assert result.values[str(whole)] == pytest.approx(expected_ap(groups, n, "r"), abs=1e-12)
        assert result.values[str(cut)] == pytest.approx(expected_ap(groups, k, norm), abs=1e-12)
        order = tuple(found[np.argsort(-scores, kind="stable")].tolist())
        assert result.values[str(stable)] == pytest.approx(value(order, "mAP", k, norm), abs=1e-12)


@pytest.mark.parametrize("n", [1, 5, 1501, 4099, 40_000])
@pytest.mark.parametrize("labels", ["classes", 1, 64, 65, 255])
@pytest.mark.parametrize("bits", [1, 16, 63, 130, 512])
def test_codes(both, n, labels, bits):
    rng = np.random.default_rng(bits)
    q, g = (np.where(rng.random((m, bits)) < 0.5, -1, 1).astype(np.int8) for m in (3, n))
    if labels == "classes":
        ql, gl = rng.integers(0, 3, 3), rng.integers(0, 3, n)
    else:
        ql, gl = (rng.random((m, labels)) < 1 / labels for m in (3, n))
    one, other = both(hamming(q, g), from_labels(ql, gl), NAMES + RULES)
    for name in other.values:
        # kernels add stable precisions up in gallery order; all else comes from the same counts
        rtol = 1e-13 if name == "mAP@all[stable]" else 0
        np.testing.assert_allclose(one.per_query[name], other.per_query[name], rtol=rtol, atol=0, err_msg=name)


@pytest.mark.parametrize("labels", [1, 24, 70, 255])
@pytest.mark.parametrize("bits", [1, 16, 130])
def test_graded_codes(both, monkeypatch, labels, bits):
    rng = np.random.default_rng(bits)
    q, g = (np.where(rng.random((m, bits)) < 0.5, -1, 1).astype(np.int8) for m in (4, 5001))
    ql, gl = (rng.random((m, labels)) < 0.1 for m in (4, 5001))
    ql[3] = 0
    _counting = compiled.kernels()[0]
    used, kernel = [], _counting.graded_histograms
    monkeypatch.setattr(_counting, "graded_histograms", lambda *a: used.append(a) or kernel(*a))
    names = [
        f"NDCG@{k}[{gain}{ties}]" for k in ("7", "100", "all") for gain in ("shared", "exp_shared") for ties in TIED
    ]
    agree(both(hamming(q, g), from_labels(ql, gl), [*names, "NDCG@50[shared,with_hits]"]))
    assert len(used) == 1
    agree(both(hamming(q, g), from_labels(ql, gl), ["NDCG@100[shared,stable]", "NDCG@100[shared]"]))
    assert len(used) == 1


@pytest.mark.parametrize("n", [1, 6, 1500, 1501, 9000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kinds", [2, 50, 10**6])
def test_real_scores(both, n, dtype, kinds):
    rng = np.random.default_rng(n)
    scores = (rng.integers(0, kinds, (4, n)) / kinds - 0.5).astype(dtype)
    ql, gl = rng.random((4, 70)) < 0.02, rng.random((n, 70)) < 0.02
    agree(both(given(scores), from_labels(ql, gl), NAMES + RULES))
    agree(both(given(scores * dtype(1e20)), from_labels(ql, gl), ["mAP@all"]))


@pytest.mark.parametrize("kinds", [1, 3, 30, 300, 10**6])
@pytest.mark.parametrize("order", ["random", "rising", "falling"])
def test_only_the_top_of_a_ranking(both, kinds, order):
    rng = np.random.default_rng(kinds)
    scores = rng.integers(0, kinds, (3, 20_000)).astype(np.float32)
    if order != "random":
        scores = np.sort(scores, axis=1)[:, :: 1 if order == "rising" else -1]
    ql, gl = rng.integers(0, 4, 3), rng.integers(0, 3, 20_000)
    for k in (1, 5, 50, 400):
        names = [f"mAP@{k}", f"mAP@{k}[r]", f"hit@{k}", f"NDCG@{k}[optimistic]", f"mAP@{k}[stable]", "P@2[stable]"]
        agree(both(given(scores), from_labels(ql, gl), names))
        agree(both(given(scores), from_labels(ql, gl), [*names, "mAP@all"]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", ["classes", 5, 70])
@pytest.mark.parametrize("kind", ["real", "all negative", "codes", "best last", "lengths"])
def test_only_the_top_by_cosine(both, monkeypatch, dtype, labels, kind):
    """Keys are made of few items only; where codes tie by thousands, of all after all."""
    rng = np.random.default_rng(len(kind))
    q, g = rng.normal(size=(3, 40)).astype(dtype), rng.normal(size=(9001, 40)).astype(dtype)
    if kind == "all negative":
        q, g = abs(q), -abs(g)
    elif kind == "codes":
        q, g = np.where(q > 0, 1, -1).astype(dtype), np.where(g > 0, 1, -1).astype(dtype)
    elif kind == "best last":
        g = g[np.argsort(g @ q[0])]
    elif kind == "lengths":
        g *= np.exp2(rng.integers(-20, 20, (9001, 1))).astype(dtype)
        q *= dtype(1e-9)
    if labels == "classes":
        ql, gl = rng.integers(0, 3, 3), rng.integers(0, 3, 9001)
    else:
        ql, gl = rng.random((3, labels)) < 0.3, rng.random((9001, labels)) < 0.1
    _, module = compiled.kernels()
    used = []
    kernel = module.first_of_cosines
    monkeypatch.setattr(module, "first_of_cosines", lambda *a: used.append(a) or kernel(*a))
    for k in (1, 5, 50, 400):
        before = len(used)
        agree(both(cosine(q, g), from_labels(ql, gl), [f"mAP@{k}", f"mAP@{k}[r]", f"hit@{k}", f"P@{k}[pessimistic]"]))
        assert len(used) == before + 3
    agree(both(cosine(q, g), from_labels(ql, gl), ["mAP@all", "mAP@50"]), atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_of_every_kind(both, dtype):
    """Zeros of both signs, the smallest and the largest numbers, and rows that hold too wide a range for a key."""
    info = np.finfo(dtype)
    some = np.array(
        [0.0, -0.0, info.tiny, -info.tiny, info.smallest_subnormal, 1, -1, 2, 3, np.nextafter(dtype(1), dtype(2))]
    )
    wide = np.r_[some[:4], info.max, -info.max, info.max, info.tiny, -1, -1]
    large = np.r_[0.0, -0.0, info.max, -info.max, info.max / 2, 3, 3, -3, 1e30, 2.0]
    rng = np.random.default_rng(0)
    for rows in ([some], [large], [wide], [some, wide, large, some]):
        scores = np.stack([rng.permutation(np.tile(row, 4)) for row in rows]).astype(dtype)
        ql, gl = np.zeros(len(rows), dtype=int), rng.integers(0, 2, 40)
        results = both(given(scores), from_labels(ql, gl), NAMES + RULES)
        agree(results)
        agree([results[0], evaluate(given(scores), from_labels(ql, gl), NAMES + RULES, 1)])


@pytest.mark.parametrize("similarity", [cosine, inner, euclidean])
def test_representations(both, similarity):
    rng = np.random.default_rng(1)
    q, g = (rng.normal(size=(m, 5)) for m in (6, 50))
    g[10:20] = g[:10]
    agree(both(similarity(q, g), from_labels(rng.integers(0, 4, 6), rng.integers(0, 4, 50)), NAMES + RULES))


@pytest.mark.parametrize("block_bytes", [1, 3000, 100_000])
def test_block_size_changes_nothing(monkeypatch, block_bytes):
    monkeypatch.setattr(compiled, "LEAST_PAIRS", 0)
    rng = np.random.default_rng(2)
    codes = [np.where(rng.random((m, 20)) < 0.5, -1, 1) for m in (9, 60)]
    relevance = from_labels(rng.integers(0, 5, 9), rng.integers(0, 4, 60))
    for task in (hamming(*codes), given(rng.integers(0, 30, (9, 60)).astype(np.float32))):
        whole, parts = (evaluate(task, relevance, NAMES + RULES, size) for size in (1 << 28, block_bytes))
        for name in whole.values:
            np.testing.assert_array_equal(whole.per_query[name], parts.per_query[name])


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_change_nothing(monkeypatch, threads):
    monkeypatch.setattr(compiled, "LEAST_PAIRS", 0)
    rng = np.random.default_rng(2)
    codes = [np.where(rng.random((m, 20)) < 0.5, -1, 1) for m in (9, 60)]
    relevance = from_labels(rng.integers(0, 5, 9), rng.integers(0, 4, 60))
    real = rng.normal(size=(9, 60)).astype(np.float32)
    wide = real.copy()
    wide[4, :2] = 1e38, 1e-38  # this query goes by numpy
    for task in (hamming(*codes), given(real), given(wide)):
        for block_bytes in (1 << 28, 5000):
            one, many = (evaluate(task, relevance, NAMES + RULES, block_bytes, t) for t in (1, threads))
            for name in one.values:
                np.testing.assert_allclose(one.per_query[name], many.per_query[name], rtol=0, atol=1e-15)
                if task.codes or task.values is real:
                    np.testing.assert_array_equal(one.per_query[name], many.per_query[name])


def test_arrays_in_other_layouts_stay_as_they_are(both):
    rng = np.random.default_rng(3)
    scores = rng.random((4, 30), dtype=np.float32)
    locked = scores.copy()
    locked.flags.writeable = False
    relevance = from_labels([0, 1, 2, 0], rng.integers(0, 3, 30))
    expected = both(given(scores), relevance, NAMES)[1]
    for array in (locked, np.asfortranarray(scores), np.repeat(scores, 2, axis=1)[:, ::2]):
        before = array.copy()
        agree([both(given(array), relevance, NAMES)[0], expected])
        np.testing.assert_array_equal(array, before)


def test_a_long_ranking_keeps_its_digits(monkeypatch):
    monkeypatch.setattr(compiled, "LEAST_PAIRS", 0)
    rng = np.random.default_rng(4)
    n = 200_000
    level = rng.integers(0, 60_000, n)
    found = rng.random(n) < 0.3
    size, relevant = np.bincount(level, minlength=60_000), np.bincount(level[found], minlength=60_000)
    expected = expected_ap([(int(t), int(r)) for t, r in zip(size, relevant, strict=True) if t], n, "r")
    for dtype in (np.float32, np.float64):
        result = evaluate(given(-level[None].astype(dtype)), from_labels([[1]], found.astype(int)[:, None]))
        assert result.values["mAP@all"] == pytest.approx(expected, abs=1e-12)


SMALL = "evaluate_arrays(np.eye(9), np.eye(9), range(9), range(9)); print('numba' in sys.modules)"
LARGE = "evaluate_arrays(a, a, b, b, distance='hamming').values['mAP@all']"


def python(code):
    lines = ["import sys, numpy as np", "from cmrbench.metrics import evaluate_arrays", code]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_little_to_rank_imports_no_numba():
    assert python(SMALL) == ["False"]


def test_compiling_is_said_once_and_not_done_again(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    lines = [
        "import numpy as np",
        "from cmrbench.metrics import evaluate_arrays",
        "a, b = np.where(np.random.default_rng(0).random((1001, 16)) < 0.5, -1, 1), np.arange(1001) % 7",
        "print(evaluate_arrays(a, a, b, b, distance='hamming', metrics=['mAP@all', 'mAP@5[stable]']).values)",
    ]
    first, second = (
        subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert first.stderr.count("compiling the evaluation kernels") == 1
    assert second.stderr == ""
    assert first.stdout == second.stdout


def test_numba_may_be_missing_or_switched_off():
    data = "a, b = np.where(np.random.default_rng(0).random((1001, 16)) < 0.5, -1, 1), np.arange(1001) % 7\n"
    with_it = python(f"{data}print({LARGE}, 'numba' in sys.modules)")
    without = python(f"sys.modules['numba'] = None\n{data}print({LARGE})")
    off = python(f"import os; os.environ['NUMBA_DISABLE_JIT'] = '1'\n{data}print({LARGE})")
    assert with_it == [without[0], "True"]
    assert off == without
