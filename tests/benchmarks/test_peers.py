"""The benchmark's peers agree with the engine where they claim its definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import peers, workloads
from benchmarks.engine import all_queries
from benchmarks.limits import engine
from benchmarks.workloads import Shape, Workload

NEEDED = {peer.run: peer.needs for listed in peers.PEERS.values() for peer in listed}


def real(multi_label: bool = True) -> Workload:
    """Cosine scores without ties; the last query of several labels has none."""
    w = workloads.generate("real", Shape("cosine", 20, 60, 32, 5, multi_label), seed=3)
    if multi_label:
        w.query_labels[-1] = 0
    return replace(w, metrics=("mAP@all", "mAP@10"))


def codes() -> Workload:
    """Gallery item j differs from +1...+1 in its first j bits, so that no two are at one distance from a query."""
    rng = np.random.default_rng(5)
    n = 64
    gallery = np.where(np.arange(n)[None, :] < np.arange(n)[:, None], -1, 1).astype(np.int8)[rng.permutation(n)]
    query = np.repeat(np.array([1, -1], np.int8), 8)[:, None].repeat(n, axis=1)
    query_labels, gallery_labels = ((rng.random((m, 4)) < 0.3).astype(np.uint8) for m in (len(query), n))
    query_labels[:, 0] = gallery_labels[:5, 0] = 1  # every query has something to find
    return Workload("codes", "hamming", query, gallery, query_labels, gallery_labels, ("mAP@all", "mAP@10"))


def check(run: Callable[[Workload], dict[str, float]], w: Workload) -> None:
    if NEEDED[run]:
        pytest.importorskip(NEEDED[run])
    values = run(w)
    expected = engine(w, list(values)).values
    assert values == pytest.approx(expected, abs=1e-6)
    assert 0.05 < min(values.values()) < 0.99  # nothing trivial was compared


@pytest.mark.parametrize("run", [peers.numpy_vectorised, peers.torch_vectorised, peers.drcl_loop, peers.sklearn_ap])
def test_several_labels(run: Callable[[Workload], dict[str, float]]) -> None:
    check(run, real())


@pytest.mark.parametrize("run", [peers.ir_measures_ap, peers.faiss_flat])
def test_several_labels_of_the_libraries(run: Callable[[Workload], dict[str, float]]) -> None:
    check(run, real())


@pytest.mark.parametrize("run", [peers.dscmr_loop, peers.numpy_vectorised, peers.torch_vectorised, peers.sklearn_ap])
def test_one_label(run: Callable[[Workload], dict[str, float]]) -> None:
    check(run, real(multi_label=False))


@pytest.mark.parametrize(
    "run",
    [peers.dcmh_loop, peers.torchcmh_loop, peers.numpy_vectorised, peers.sklearn_ap, peers.faiss_binary],
)
def test_codes(run: Callable[[Workload], dict[str, float]]) -> None:
    check(run, codes())


def test_torchmetrics_agrees_on_positive_scores() -> None:
    w = real()
    check(peers.torchmetrics_map, replace(w, query=np.abs(w.query), gallery=np.abs(w.gallery)))


def test_torchmetrics_takes_scores_up_to_zero_for_not_relevant() -> None:
    """One query, scores 1, 0 and -1; relevant are the last two: AP = (1/2 + 2/3) / 2, but torchmetrics says 0."""
    pytest.importorskip("torchmetrics")
    w = Workload(
        "counter-example",
        "cosine",
        np.array([[1, 0]], np.float32),
        np.array([[1, 0], [0, 1], [-1, 0]], np.float32),
        np.array([[1]], np.uint8),
        np.array([[0], [1], [1]], np.uint8),
        ("mAP@all",),
    )
    assert engine(w).values["mAP@all"] == pytest.approx(7 / 12)
    assert peers.torchmetrics_map(w)["mAP@all"] == 0


def test_a_mean_over_answered_queries_has_a_name_of_its_own() -> None:
    w = real()  # one of its 20 queries has no label
    answered, every = peers.drcl_loop(w)["mAP@all[with_relevant]"], peers.numpy_vectorised(w)["mAP@all"]
    assert answered * 19 == pytest.approx(every * 20)


def test_every_goal_is_of_a_row_that_exists() -> None:
    from benchmarks.engine import AT_LEAST

    for name, aims in AT_LEAST.items():
        known = {peer.name for peer in peers.PEERS[name]} | {"engine, @all"}
        assert set(aims) <= known, name


def test_extrapolation_is_a_straight_line() -> None:
    """A peer that needs a fixed part and one part a query, on a clock of its own."""
    import benchmarks.measuring as measuring

    clock = [0.0]

    def run(w: Workload) -> dict[str, float]:
        clock[0] += 3 + 2 * w.n_query
        return {"mAP@all": 0.5}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks.engine.measured", lambda f: measuring.measured(f, lambda: clock[0]))
        assert all_queries(peers.Peer("line", run), codes(), 4).seconds == pytest.approx(3 + 2 * 16)


@pytest.mark.parametrize("name", ["W1", "W3"])
def test_workloads_repeat_and_every_item_has_a_label(name: str) -> None:
    one, two = workloads.make(name), workloads.make(name, queries=7)
    assert (one.query[:7] == two.query).all()
    assert (one.gallery == two.gallery).all()
    assert two.n_query == 7
    assert one.query.dtype == (np.float32 if name == "W1" else np.int8)
    if one.query_labels.ndim == 2:
        assert one.query_labels.any(axis=1).all()
        share = one.gallery_labels.mean(axis=0)
        assert share[0] > 5 * share[-1]  # skewed


def test_exit_code_tells_a_missed_goal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import engine as program
    from benchmarks.limits import Row

    for met, code in ((True, 0), (None, 0), (False, 1)):
        monkeypatch.setitem(program.GROUPS, "limits", lambda _, met=met: [Row("W5", "engine", goal="<= 1", met=met)])
        monkeypatch.setattr("sys.argv", ["engine", "--only", "limits"])
        assert program.main() == code
    assert "MISSED" in capsys.readouterr().out
