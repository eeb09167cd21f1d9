"""How much worse a value may be."""

from __future__ import annotations

import random
import statistics

import pytest
from gate_tables import IT, TI, gate, made, run

from cmrbench.gate import Selection, compare
from cmrbench.gate.rows import key_of
from cmrbench.gate.tolerance import tolerances
from cmrbench.store.schema import concat


def seeds(values: list[float], method: str = "drcl", **changes: object) -> list:
    return [run(method, {IT: v}, spec={"seed": i}, **changes) for i, v in enumerate(values)]


def test_one_seed_may_lose_a_thousandth() -> None:
    before = run(values={IT: 0.5})
    assert gate(before, run(values={IT: 0.499})).passed
    assert not gate(before, run(values={IT: 0.4989})).passed


def test_three_standard_deviations_of_the_baselines_seeds() -> None:
    values = [0.50, 0.51, 0.53]
    spread = 3 * statistics.stdev(values)
    for loss, passes in ((0.99 * spread, True), (1.01 * spread, False)):
        now = [run("drcl", {IT: values[0] - loss}, spec={"seed": 0}), *seeds(values)[1:]]
        assert gate(concat(seeds(values)), concat(now)).passed is passes


def test_seeds_that_agree_have_the_floor() -> None:
    report = gate(concat(seeds([0.5] * 3)), concat(seeds([0.5] * 3)))
    assert {c.tolerance for c in report.changes} == {0.001}


def test_the_spread_of_the_results_widens_nothing() -> None:
    report = gate(concat(seeds([0.5] * 3)), concat(seeds([0.3, 0.5, 0.7])))
    assert [c.kind for c in report.changes] == ["drop", "rise", "same"]


def test_settings_have_tolerances_of_their_own() -> None:
    """By hand: rows that differ in anything but the seed share no spread."""
    rng = random.Random(3)
    runs, expected = [], {}
    for method in ("drcl", "lcm"):
        for bits in (16, 32):
            for preset in ("", "quick"):
                for params in ((), (("k", 3),)):
                    values = [rng.random() for _ in range(3)]
                    other = [rng.random() for _ in range(3)]
                    for seed in range(3):
                        spec = {"seed": seed, "bits": bits, "preset": preset, "params": params}
                        one = run(method, {IT: values[seed], TI: other[seed]}, spec=spec)
                        runs.append(one)
                        for direction, sample in ((IT, values), (TI, other)):
                            expected[one.column("spec_key")[0].as_py(), direction] = 3 * statistics.stdev(sample)
    rng.shuffle(runs)
    found = {(key[0], key[1]): allowed for key, allowed in tolerances(made(*runs).rows).items()}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "other"),
    [("protocol_fingerprint", "p2"), ("gallery_codes", "learned"), ("retrieval", "2sknn"), ("metric", "mAP@50")],
)
def test_records_of_another_kind_share_no_spread(name: str, other: str) -> None:
    rows = made(run(values={IT: 0.5}), run(values={IT: 0.9}, spec={"seed": 1}, **{name: other})).rows
    assert set(tolerances(rows).values()) == {0.001}


def test_a_given_tolerance_is_for_all() -> None:
    before, now = concat(seeds([0.3, 0.5, 0.7])), concat(seeds([0.29, 0.5, 0.7]))
    assert gate(before, now).passed
    assert not gate(before, now, 0.005).passed
    assert gate(before, now, 0.005).max_drop == 0.005


@pytest.mark.parametrize(("risen", "passes"), [(5.5, True), (6.0, False)])
def test_a_rank_may_rise_by_half_a_place(risen: float, passes: bool) -> None:
    select = Selection(metrics=("MedR",))
    before, now = (run(values={IT: v}, metric="MedR") for v in (5.0, risen))
    assert compare(now, made(before, select=select), select=select).passed is passes


def test_every_row_of_a_baseline_has_a_tolerance() -> None:
    rows = made(*seeds([0.1, 0.2]), run(), run("kcca", metric="mAP@50")).rows
    assert set(tolerances(rows)) == {key_of(row) for row in rows}
