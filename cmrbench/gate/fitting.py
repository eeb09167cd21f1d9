"""Whether results and baseline were measured alike: by one version of the engine, on the same data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from cmrbench.core.names import with_features
from cmrbench.core.runs import ENGINE
from cmrbench.gate.baseline import Baseline, BaselineError
from cmrbench.gate.rows import Row
from cmrbench.report.wording import plain

_ANEW = "make the results again with `cmrbench run`"


def check_engine(expected: Sequence[Row], rows: Sequence[Row], baseline: Baseline) -> None:
    """Refuse results whose newest run was measured by another engine version than the baseline.

    Only runs that answer what the baseline asks count, if there are any.

    Raises
    ------
    BaselineError
    """
    finished = [row for row in rows if row["metric"] is not None]
    asked = {row["spec_key"] for row in expected}
    answers = [row for row in finished if row["spec_key"] in asked] or finished
    if not answers or answers[-1]["engine"] == baseline.engine:
        return
    found = answers[-1]["engine"]
    if not found:
        raise BaselineError(
            "the results do not say which version of the engine measured them, as the baseline does "
            f"({_version(baseline.engine)}): {_ANEW}"
        )
    writer = f", written by cmrbench {plain(baseline.version)}," if baseline.version else ""
    which = f"the baseline{writer} was measured by {_version(baseline.engine)} of the engine"
    which += f", the results by {_version(found)}"
    if found != ENGINE:
        raise BaselineError(f"{which}, while {_version(ENGINE)} is installed: {_ANEW}")
    raise BaselineError(
        f"{which}, so a difference would say nothing about a method: write the baseline anew, from methods as they "
        f"were when it was made, with `{baseline.refresh}`"
    )


def _version(engine: str) -> str:
    return plain(f"version {engine}")


def check_datasets(expected: Sequence[Row], rows: Sequence[Row], baseline: Baseline) -> None:
    """Refuse results on a dataset whose content is nowhere that of the baseline.

    Raises
    ------
    BaselineError
    """
    before, now = _fingerprints(expected), _fingerprints(rows)
    for where, known in before.items():
        found = now.get(where, set())
        if found and not found & known:
            named = plain(with_features(*where))
            raise BaselineError(
                f"the dataset {named} has changed since the baseline was made (fingerprint {_short(known)}, in the "
                f"results {_short(found)}), so values on it cannot be compared: bring the old data back, or write the "
                f"baseline anew with `{baseline.refresh}`"
            )


def _fingerprints(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        found[row["dataset"], row["feature_set"]].add(row["dataset_fingerprint"])
    return found


def _short(fingerprints: set[str]) -> str:
    return plain(" and ".join(sorted(str(f)[:8] for f in fingerprints)))
