"""All checks, in the order in which people read them, and the audit that makes them."""

from __future__ import annotations

from collections.abc import Callable

from cmrbench.core.dataset import Dataset
from cmrbench.data.audit.alone import one_modality_accuracy
from cmrbench.data.audit.chance import chance_level, uneven_directions
from cmrbench.data.audit.duplicates import (
    contradicting_copies,
    copied_instances,
    equal_rows,
    equal_texts,
    indistinct_rows,
    near_rows,
)
from cmrbench.data.audit.features import broken_rows, constant_columns, lengths_differ, row_norms, sparsity
from cmrbench.data.audit.finding import Audit, AuditOptions, Finding, Found, Unchecked
from cmrbench.data.audit.galleries import own_pair_in_gallery, training_items_in_gallery
from cmrbench.data.audit.instances import instances_in_two_splits, items_twice, unpaired_items
from cmrbench.data.audit.labels import (
    class_imbalance,
    label_density,
    labels_disagree,
    missing_classes,
    queries_without_relevant,
    unlabelled_items,
)
from cmrbench.data.audit.order import class_runs, stable_order_gain
from cmrbench.data.audit.subject import Subject
from cmrbench.data.audit.texts import class_names_in_texts, empty_texts

Check = Callable[[Subject], Found]

CHECKS: tuple[Check, ...] = (
    instances_in_two_splits,
    items_twice,
    equal_rows,
    equal_texts,
    near_rows,
    copied_instances,
    contradicting_copies,
    indistinct_rows,
    class_names_in_texts,
    empty_texts,
    one_modality_accuracy,
    own_pair_in_gallery,
    training_items_in_gallery,
    queries_without_relevant,
    missing_classes,
    unlabelled_items,
    labels_disagree,
    label_density,
    class_imbalance,
    class_runs,
    stable_order_gain,
    chance_level,
    uneven_directions,
    broken_rows,
    constant_columns,
    row_norms,
    lengths_differ,
    sparsity,
    unpaired_items,
)


def audit_dataset(
    dataset: Dataset,
    options: AuditOptions | None = None,
    watch: Callable[[str], None] = lambda check: None,
) -> Audit:
    """Make every check on a dataset.

    Parameters
    ----------
    dataset : Dataset
        All its splits are opened, the queries and the gallery, too.
    options : AuditOptions, optional
    watch : callable
        Called with the name of each check before it is made.

    Returns
    -------
    Audit
        The same for the same dataset and options on the same machine.
    """
    options = options or AuditOptions()
    subject = Subject(dataset, options)
    findings: list[Finding] = []
    unchecked: list[Unchecked] = []
    for check in CHECKS:
        watch(check.__name__)
        for found in check(subject):
            (findings if isinstance(found, Finding) else unchecked).append(found)  # type: ignore[arg-type]
    names = tuple(c.__name__ for c in CHECKS)
    return Audit(
        dataset.name, dataset.feature_set, dataset.fingerprint, options, names, tuple(findings), tuple(unchecked)
    )
