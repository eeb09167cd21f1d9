"""Check that a method learns at all."""

from __future__ import annotations

from cmrbench.testing.case import Case, CheckFailed
from cmrbench.testing.check import check
from cmrbench.testing.retrieval import gains

LEAST_GAIN = 0.1
"""mAP over chance; methods that work reach 0.4 and more on the basic dataset."""


@check("beats random on easy synthetic data, in every direction")
def check_beats_random(case: Case) -> None:
    """With its first declared retrieval strategy."""
    for direction, above in gains(case.fitted).items():
        if above < LEAST_GAIN:
            raise CheckFailed(
                f"{direction}: mAP is {above:+.3f} from chance on easy data, expected at least +{LEAST_GAIN}"
            )
