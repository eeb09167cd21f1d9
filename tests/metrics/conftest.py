"""The engine's two ways to one result."""

from __future__ import annotations

import sys

import pytest

from cmrbench.metrics import compiled


@pytest.fixture(scope="module", params=["numpy", "compiled"])
def way(request: pytest.FixtureRequest):
    """Every test of a module by numpy alone, and with compiled kernels however little there is to rank."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "LEAST_PAIRS", 0 if request.param == "compiled" else sys.maxsize)
        yield request.param
