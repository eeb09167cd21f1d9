"""Checks that labels are used where they are declared to be, and nowhere else."""

from __future__ import annotations

from cmrbench.testing.case import Case, CheckFailed, NotApplicable
from cmrbench.testing.check import check
from cmrbench.testing.compare import need_identical
from cmrbench.testing.data import mislabelled
from cmrbench.testing.retrieval import gain

LEFT = 0.4
"""Share of its gain over chance that a method may keep when labels and pairs are shuffled.

Nothing is left on average, but with 8 classes a random match of two clusterings still scatters by a tenth of mAP.
"""


@check("without supervision: labels in the training items change nothing")
def check_labels_withheld(case: Case) -> None:
    """Runs withhold them; a method that peeks would differ between a run and its author's own script."""
    if case.info.supervision != "none":
        raise NotApplicable("it learns from labels")
    train, val = case.training(case.dataset, labels=True)
    need_identical(
        case.fitted.outputs(),
        case.fit(case.dataset, training=(train, val)).outputs(),
        "declares supervision='none', but its output depends on whether the items carry labels",
    )


@check("with supervision: falls to chance when labels and pairs are shuffled")
def check_shuffled_labels(case: Case) -> None:
    """What is left above chance cannot have been learned from the training items: it was known before."""
    if case.info.supervision != "labels":
        raise NotApplicable("it does not learn from labels")
    case.needs_encode()
    learned = gain(case.fitted)
    train, val = case.training(case.dataset)
    shuffled = mislabelled(train, seed=5), None if val is None else mislabelled(val, seed=6)
    left = gain(case.fit(case.dataset, training=shuffled))
    if left > LEFT * max(learned, 0.1):
        raise CheckFailed(
            f"mAP is {left:.3f} above chance after training on shuffled labels and pairs "
            f"({learned:.3f} with the true ones): it knows more than the training items say"
        )
