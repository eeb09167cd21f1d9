"""Diagnostics of hash codes against plain counting, and on codes whose answers are known."""

import numpy as np
import pytest

from cmrbench.metrics import diagnostics
from cmrbench.metrics.diagnostics import diagnose


def codes(rng, n, bits, share=0.5):
    return np.where(rng.random((n, bits)) < share, 1, -1).astype(np.int8)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_agree_with_plain_counting(rng, monkeypatch):
    monkeypatch.setattr(diagnostics, "_VALUES", 700)  # several blocks
    gallery, query = codes(rng, 300, 10, 0.3), codes(rng, 40, 10)
    gallery[:, 4] = 1
    found = diagnose(query, gallery)
    live = np.delete(gallery, 4, axis=1).astype(float)
    pairs = np.abs(np.corrcoef(live.T))[np.triu_indices(9, 1)]
    assert found.balance == pytest.approx(np.mean([1 - abs(bit.mean()) for bit in gallery.T.astype(float)]))
    assert found.correlation == pytest.approx(pairs.mean())
    assert found.dead_bits == 1
    assert found.distinct_codes == len({tuple(row) for row in gallery.tolist()})
    tied = 0
    for q in query:
        far = sorted((q != g).sum() for g in gallery)
        tied += far[49] == far[50]
    assert found.ties_at_50 == pytest.approx(tied / 40)


def test_one_code_for_everything_is_dead_and_tied(rng):
    gallery = np.repeat(codes(rng, 1, 16), 60, axis=0)
    found = diagnose(codes(rng, 5, 16), gallery)
    assert (found.balance, found.dead_bits, found.distinct_codes, found.ties_at_50) == (0, 16, 1, 1)
    assert np.isnan(found.correlation)


def test_repeated_bits_are_fully_correlated(rng):
    gallery = np.repeat(codes(rng, 80, 1), 4, axis=1)
    gallery[:, 2] *= -1
    assert diagnose(gallery[:3], gallery).correlation == pytest.approx(1)


def test_a_gallery_that_ends_at_rank_50_has_no_tie_there(rng):
    assert np.isnan(diagnose(codes(rng, 3, 8), codes(rng, 50, 8)).ties_at_50)
    assert 0 <= diagnose(codes(rng, 3, 8), codes(rng, 51, 8)).ties_at_50 <= 1


def test_a_run_records_them_with_the_headline(cache_dir, tmp_path):
    import cmrbench
    from cmrbench.store.store import Store

    cmrbench.run(["scm", "cca"], ["emoji"], bits=[16], results=tmp_path)
    for run in (Store(tmp_path).result(path.stem) for path in Store(tmp_path).files()):
        described = {r.metric for r in run.records if r.codes is not None}
        assert described == ({"mAP@all"} if run.spec.method == "scm" else set())
        for record in run.records:
            if record.codes:
                assert record.codes.distinct_codes <= record.n_gallery
                assert 0 < record.codes.balance <= 1
