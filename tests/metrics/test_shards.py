"""A gallery in parts gives what the whole gallery gives, and parts that do not fit together are refused."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.metrics import (
    TIES,
    Metric,
    cosine,
    euclidean,
    evaluate,
    from_instances,
    from_labels,
    given,
    hamming,
    inner,
)
from cmrbench.metrics.shards import Shard, Task, evaluate_in_parts, merge, partial, result

pytestmark = pytest.mark.usefixtures("way")

SCORES = {
    "hamming": hamming,
    "cosine": cosine,
    "euclidean": euclidean,
    "inner": inner,
    "given": lambda q, g: given(q @ g.T),
}
CUT = ("mAP@5", "mAP@5[min_kr]", "mAP@5[r]", "mAP@5[with_hits]", "P@3", "R@7", "hit@2", "NDCG@4")
WHOLE = ("mAP@all", "mAP@all[with_relevant]", "RPrec", "MedR", "MeanR", "NDCG@all", "R@1000")
RADIUS = ("P@H2", "R@H1", "P@H0[with_hits]")


def wanted(distance, whole):
    """Names of metrics and curves under every tie rule."""
    metrics = [str(Metric.parse(m).with_ties(t)) for m in (*CUT, *(WHOLE if whole else ())) for t in TIES]
    curves = [f"{c}[{t}]" for c in ("P@1..6", "R@1..4", *(("PR@11",) if whole else ())) for t in TIES]
    if distance == "hamming":
        metrics, curves = [*metrics, *RADIUS], [*curves, "PR@H"]
    return {"metrics": metrics, "curves": curves}


def sides(rng, distance, n_query, n, width=6):
    """Representations with many equal scores, which all products give exactly."""
    q, g = (rng.integers(-2, 3, (m, width)).astype(np.float32) for m in (n_query, n))
    return (np.where(q > 0, 1, -1), np.where(g > 0, 1, -1)) if distance == "hamming" else (q, g)


def labels(rng, kind, n_query, n):
    if kind == "single":
        return rng.integers(0, 4, n_query), rng.integers(0, 4, n)
    if kind == "multi":
        return tuple((rng.random((m, 70)) < 0.02).astype(np.uint8) for m in (n_query, n))
    return tuple(np.array([f"item {i}" for i in rng.integers(0, n, m)]) for m in (n_query, n))


def in_shards(rng, task, gallery, gallery_labels, bounds):
    """Both passes over shards that begin at `bounds`, their states pickled, taken and merged in a random order."""
    ends = [0, *sorted(bounds), task.n]
    columns = task.distance == "given"
    shards = [Shard(gallery[:, a:b] if columns else gallery[a:b], gallery_labels[a:b], a) for a, b in pairwise(ends)]
    state = None
    for _ in range(task.passes):
        states = [pickle.loads(pickle.dumps(partial(task, shards[i], state))) for i in rng.permutation(len(shards))]
        while len(states) > 1:
            some = rng.permutation(len(states))[: rng.integers(2, len(states) + 1)]
            rest = [one for i, one in enumerate(states) if i not in some]
            states = [*rest, merge(states[i] for i in some)]
        state = merge(states)
    assert state.complete
    return result(task, state)


def same(got, expected, tolerance=1e-12):
    assert got.values.keys() == expected.values.keys()
    assert got.curves.keys() == expected.curves.keys()
    for name in expected.values:
        for part in ("values", "stderr", "chance", "counted", "per_query"):
            np.testing.assert_allclose(
                getattr(got, part)[name], getattr(expected, part)[name], rtol=0, atol=tolerance, err_msg=name
            )
    for name, curve in expected.curves.items():
        for part in ("x", "y", "stderr"):
            np.testing.assert_allclose(
                getattr(got.curves[name], part), getattr(curve, part), rtol=0, atol=tolerance, err_msg=name
            )
    assert (got.n_query, got.n_gallery) == (expected.n_query, expected.n_gallery)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "cut"])
@pytest.mark.parametrize("kind", ["single", "multi", "instance"])
@pytest.mark.parametrize("distance", ["hamming", "euclidean", "inner", "given"])
def test_any_cut_gives_what_the_whole_gives(distance, kind, whole):
    relevance = "instance" if kind == "instance" else "label"
    for seed in range(2):
        rng = np.random.default_rng(seed)
        n_query, n = int(rng.integers(1, 6)), int(rng.integers(8, 40))
        (q, g), (ql, gl) = sides(rng, distance, n_query, n), labels(rng, kind, n_query, n)
        names = wanted(distance, whole)
        pairs = (from_instances if kind == "instance" else from_labels)(ql, gl)
        expected = evaluate(SCORES[distance](q, g), pairs, **names)
        query, gallery = (None, q @ g.T) if distance == "given" else (q, g)
        task = Task.of(query, ql, n, distance=distance, relevance=relevance, **names)
        assert task.passes == (2 if whole and distance != "hamming" else 1)
        bounds = rng.choice(np.arange(1, n), rng.integers(0, 7), replace=False).tolist()
        same(in_shards(rng, task, gallery, gl, bounds), expected)
        walked = evaluate_in_parts(
            query,
            gallery,
            ql,
            gl,
            distance=distance,
            relevance=relevance,
            part_items=int(rng.integers(1, n + 1)),
            block_bytes=int(rng.choice([1, 5000, 1 << 20])),
            **names,
        )
        same(walked, expected)


@settings(deadline=None, max_examples=12)
@cases(st.integers(0, 2**32), st.sets(st.integers(1, 11)), st.sampled_from(["given", "hamming"]), st.booleans())
def test_shard_bounds_change_nothing(seed, bounds, distance, whole):
    rng = np.random.default_rng(seed)
    (q, g), (ql, gl) = sides(rng, distance, 3, 12, width=4), labels(rng, "single", 3, 12)
    names = wanted(distance, whole)
    task = Task.of(None if distance == "given" else q, ql, 12, distance=distance, **names)
    got = in_shards(rng, task, q @ g.T if distance == "given" else g, gl, bounds)
    same(got, evaluate(SCORES[distance](q, g), from_labels(ql, gl), **names))


@pytest.mark.parametrize("distance", ["cosine", "inner", "euclidean"])
def test_real_scores_to_single_precision(distance):
    rng = np.random.default_rng(5)
    q, g = (rng.normal(size=(m, 33)).astype(np.float32) for m in (9, 300))
    ql, gl = labels(rng, "single", 9, 300)
    names = {"metrics": ["mAP@all", "mAP@50", "mAP@all[stable]", "NDCG@all[pessimistic]"], "curves": "PR@11"}
    expected = evaluate(SCORES[distance](q, g), from_labels(ql, gl), **names)
    for part_items, block_bytes in ((300, 1 << 20), (41, 1 << 15), (3, 1 << 13)):
        options = {"distance": distance, "part_items": part_items, "block_bytes": block_bytes, **names}
        same(evaluate_in_parts(q, g, ql, gl, **options), expected, 1e-6)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.float16, np.float32, np.float64])
def test_given_scores_of_every_width(dtype):
    rng = np.random.default_rng(6)
    scores = rng.integers(0, 9, (4, 60)).astype(dtype)
    if np.dtype(dtype).kind != "u":
        scores -= dtype(4)
        scores[:, ::7] *= dtype(-1)  # floats get zeros of both signs
    if np.dtype(dtype).kind == "f":
        scores[:, 3], scores[:, 5] = np.finfo(dtype).max, -np.finfo(dtype).tiny
    ql, gl = labels(rng, "single", 4, 60)
    names = wanted("given", True)
    got = evaluate_in_parts(None, scores, ql, gl, distance="given", part_items=13, **names)
    wide = scores.astype(np.float64 if np.dtype(dtype).kind == "f" else np.int64)
    same(got, evaluate(given(wide), from_labels(ql, gl), **names))


def test_shards_without_relevant_items_and_galleries_without_any():
    scores = np.array([[3.0, 1, 2, 2, 0, 1]])
    for gl in ([1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]):
        for whole in (True, False):
            names = wanted("given", whole)
            got = evaluate_in_parts(None, scores, [1], gl, distance="given", part_items=2, **names)
            same(got, evaluate(given(scores), from_labels([1], gl), **names))


def test_equal_codes_tie_across_shards_under_every_distance():
    rng = np.random.default_rng(7)
    q, g = (np.where(rng.random((m, 16)) < 0.5, -1, 1).astype(np.float32) for m in (5, 300))
    ql, gl = labels(rng, "single", 5, 300)
    expected = evaluate(hamming(q, g), from_labels(ql, gl), "mAP@all").per_query["mAP@all"]
    for distance in ("hamming", "cosine", "inner", "euclidean"):
        got = evaluate_in_parts(q, g, ql, gl, distance=distance, part_items=41)
        np.testing.assert_allclose(got.per_query["mAP@all"], expected, atol=1e-12)


def test_queries_in_blocks_are_put_together():
    rng = np.random.default_rng(8)
    (q, g), (ql, gl) = sides(rng, "euclidean", 7, 30), labels(rng, "single", 7, 30)
    names = wanted("euclidean", True)
    task = Task.of(q, ql, 30, distance="euclidean", **names)
    states = []
    for start, stop in ((4, 7), (0, 1), (1, 4)):
        some = task.block(start, stop)
        shards = Shard(g[:11], gl[:11], 0), Shard(g[11:], gl[11:], 11)
        first = merge(partial(some, shard) for shard in shards)
        states.append(merge(partial(some, shard, first) for shard in shards))
    same(result(task, states), evaluate(euclidean(q, g), from_labels(ql, gl), **names))
    for missing in (states[:2], [*states, states[0]]):
        with pytest.raises(DataError, match="not of each of the 7 queries once"):
            result(task, missing)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(9)
    return (*sides(rng, "inner", 3, 20), *labels(rng, "single", 3, 20))


def shard_of(arrays, start, stop):
    return Shard(arrays[1][start:stop], arrays[3][start:stop], start)


@pytest.mark.parametrize("metrics", ["mAP@all", "mAP@5"], ids=["two passes", "one pass"])
def test_every_item_once(arrays, metrics):
    q, _, ql, _ = arrays
    task = Task.of(q, ql, 20, distance="inner", metrics=metrics)
    whole = merge(partial(task, shard_of(arrays, *ends)) for ends in ((0, 5), (5, 20)))
    with pytest.raises(DataError, match="items 3 to 4 were given twice"):
        merge([whole, partial(task, shard_of(arrays, 3, 5))])
    with pytest.raises(DataError, match="items 5 to 5 were given twice"):
        merge([partial(task, shard_of(arrays, 0, 6)), partial(task, shard_of(arrays, 5, 20))])
    lacking = merge([partial(task, shard_of(arrays, 2, 5)), partial(task, shard_of(arrays, 9, 17))])
    assert not lacking.complete
    with pytest.raises(DataError, match="missing from the shards: 0 to 1, 5 to 8, 17 to 19"):
        result(task, lacking)
    with pytest.raises(DataError, match="missing"):
        partial(task, shard_of(arrays, 0, 5), lacking)
    with pytest.raises(DataError, match="ends with item 20, but the gallery has 20 items"):
        partial(task, Shard(arrays[1][:5], arrays[3][:5], 16))
    with pytest.raises(UsageError, match="no states"):
        merge([])


def test_states_that_do_not_belong_together(arrays):
    q, _, ql, _ = arrays
    task = Task.of(q, ql, 20, distance="inner")
    low, high = shard_of(arrays, 0, 9), shard_of(arrays, 9, 20)
    others = [
        Task.of(q + 1, ql, 20, distance="inner"),
        Task.of(q, ql + 1, 20, distance="inner"),
        Task.of(q, ql, 21, distance="inner"),
        Task.of(q, ql, 20, distance="euclidean"),
        Task.of(q, ql, 20, distance="inner", metrics="mAP@all[stable]"),
    ]
    first = merge([partial(task, low), partial(task, high)])
    for other in others:
        with pytest.raises(DataError, match="different tasks"):
            merge([partial(task, low), partial(other, high)])
        with pytest.raises(DataError, match="another task"):
            partial(other, low, first)
    with pytest.raises(DataError, match="different queries"):
        merge([partial(task.block(0, 2), low), partial(task.block(1, 3), high)])
    with pytest.raises(DataError, match="of other queries"):
        partial(task.block(0, 2), low, first)
    with pytest.raises(DataError, match="different passes"):
        merge([partial(task, low), partial(task, high, first)])
    with pytest.raises(DataError, match="lacks the second pass"):
        result(task, first)
    second = merge([partial(task, low, first), partial(task, high, first)])
    with pytest.raises(UsageError, match="no pass after it"):
        partial(task, low, second)
    with pytest.raises(DataError, match="another task"):
        result(others[0], second)
    wide = Shard(arrays[1][9:].astype(np.float64), arrays[3][9:], 9)
    for make in (lambda: merge([partial(task, low), partial(task, wide)]), lambda: partial(task, wide, first)):
        with pytest.raises(DataError, match="different dtypes, float32 and float64"):
            make()


@pytest.mark.parametrize("metrics", ["mAP@all", "mAP@all[stable]"])
def test_passes_that_see_different_scores(arrays, metrics):
    q, g, ql, gl = arrays
    task = Task.of(q, ql, 20, distance="inner", metrics=metrics)
    low, high = shard_of(arrays, 0, 9), shard_of(arrays, 9, 20)
    first = merge([partial(task, low), partial(task, high)])
    item = int(np.flatnonzero(gl[9:] == ql[1])[0])
    moved = g[9:].copy()
    moved[item, q[1] != 0] *= np.nextafter(np.float32(1), np.float32(2))
    moved[item] += np.spacing(np.float32(4)) * (moved[item] == 0)
    with pytest.raises(DataError, match="did not see the scores of the first"):
        merge([partial(task, low, first), partial(task, replace(high, gallery=moved), first)])
    again = merge([partial(task, high), partial(task, replace(low, gallery=g[:9] + 1))])
    with pytest.raises(DataError, match="different first passes"):
        merge([partial(task, low, first), partial(task, high, again)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gallery": (13, np.nan)}, "gallery holds NaN or infinity, first in row 13"),
        ({"gallery": (13, np.inf)}, "gallery holds NaN or infinity, first in row 13"),
        ({"labels": (17, -1)}, "gallery labels .*-1.* in row 17"),
        ({"labels": (17, 0.5)}, "gallery labels .*0.5.* in row 17"),
    ],
)
def test_bad_rows_are_counted_from_the_start_of_the_gallery(arrays, change, message):
    q, g, ql, gl = arrays
    g, gl = g.copy(), gl.astype(float)
    for which, (row, value) in change.items():
        (g if which == "gallery" else gl)[row] = value
    with pytest.raises(DataError, match=message):
        evaluate_in_parts(q, g, ql, gl, part_items=6)


def test_bad_codes_scores_and_queries_are_named(arrays):
    q, g, ql, gl = arrays
    codes = np.where(g > 0, 1, -1)
    codes[11, 2] = 0
    with pytest.raises(DataError, match="gallery must be codes of -1 and \\+1, got 0 in row 11"):
        evaluate_in_parts(np.where(q > 0, 1, -1), codes, ql, gl, distance="hamming", part_items=6)
    with pytest.raises(DataError, match="query must be codes"):
        evaluate_in_parts(q, codes, ql, gl, distance="hamming", part_items=6)
    bad = q.copy()
    bad[2, 0] = np.nan
    with pytest.raises(DataError, match="query holds NaN or infinity, first in row 2"):
        evaluate_in_parts(bad, g, ql, gl, part_items=6)
    scores = q @ g.T
    scores[2, 15] = np.nan
    with pytest.raises(DataError, match="scores holds NaN or infinity, first in row 2"):
        evaluate_in_parts(None, scores, ql, gl, distance="given", part_items=6, block_bytes=1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metrics": "NDCG@5[shared]"}, UsageError, r"NDCG@5\[shared\] has graded gains"),
        ({"metrics": "P@H2"}, UsageError, "distance hamming"),
        ({"metrics": ()}, UsageError, "no metric"),
        ({"distance": "hammin"}, UnknownNameError, "did you mean .*hamming"),
        ({"relevance": "labels"}, UnknownNameError, "did you mean label"),
        ({"part_items": 0}, UsageError, "part_items must be positive"),
        ({"block_bytes": 0}, UsageError, "block_bytes must be positive"),
    ],
)
def test_bad_options_are_refused(arrays, options, error, message):
    q, g, ql, gl = arrays
    with pytest.raises(error, match=message):
        evaluate_in_parts(q, g[:, :20], ql, gl, **options)


def test_sizes_that_do_not_fit_are_refused(arrays):
    q, g, ql, gl = arrays
    for args, message in (
        ((q, g, ql[:2], gl), "query labels are for 2 items, but query holds 3"),
        ((q, g, ql, gl[:19]), r"gallery labels of shape \(19,\) do not go with a gallery of 20 items"),
        ((q, g[:, :4], ql, gl), "equally many columns, got 6 and 4"),
        ((q, g[0], ql, gl), "gallery must be 2-d"),
        ((q, g, np.eye(4, dtype=int)[ql], gl), "must both be class numbers"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate_in_parts(*args)
    for query, distance in ((q, "given"), (None, "inner")):
        with pytest.raises(UsageError, match="query must be None"):
            Task.of(query, ql, 20, distance=distance)
    task = Task.of(q, ql, 20)
    with pytest.raises(DataError, match="shard from item 4 on has labels for 6 items, but holds 5"):
        partial(task, Shard(g[4:9], gl[4:10], 4))
    with pytest.raises(DataError, match="a shard needs items"):
        Shard(g[:0], gl[:0], 4)
    with pytest.raises(UsageError, match="not among the 3"):
        task.block(2, 4)


@pytest.mark.parametrize(("metrics", "part_items"), [("mAP@all", 8000), ("mAP@50", None)])
def test_a_memory_mapped_gallery_is_never_held(tmp_path, metrics, part_items):
    n, d, block_bytes = 100_000, 64, 4 << 20
    rng = np.random.default_rng(10)
    gallery = np.lib.format.open_memmap(tmp_path / "g.npy", "w+", np.float32, (n, d))
    for start in range(0, n, 10_000):
        gallery[start : start + 10_000] = rng.normal(size=(10_000, d))
    gallery.flush()
    del gallery
    q, ql, gl = rng.normal(size=(12, d)).astype(np.float32), rng.integers(0, 10, 12), rng.integers(0, 10, n)
    mapped = np.load(tmp_path / "g.npy", mmap_mode="r")
    options = {"metrics": metrics, "part_items": part_items, "block_bytes": block_bytes}
    evaluate_in_parts(q, mapped[:8000], ql, gl[:8000], **options)  # modules and kernels are loaded
    tracemalloc.start()
    got = evaluate_in_parts(q, mapped, ql, gl, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15 << 20 < mapped.nbytes  # 4 MiB of blocks, 2 MiB of a part three times, and tables
    np.testing.assert_allclose(
        got.per_query[metrics], evaluate(cosine(q, mapped), from_labels(ql, gl), metrics).per_query[metrics], atol=1e-6
    )
