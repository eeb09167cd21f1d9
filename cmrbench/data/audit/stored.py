"""Audits in the cache: ``audits/NAME/FEATURE_SET-<first 16 digits of the fingerprint>.json``.

The fingerprint is over the data's values, so an audit is found for just the data that it was made of, whatever split or
transform it has.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from cmrbench.core.names import registered_part
from cmrbench.data.audit.finding import VERSION, Audit
from cmrbench.data.cache import cache_root, cache_roots, write_whole

_MOST_BYTES = 16 << 20


def audit_parts(dataset: str, feature_set: str, fingerprint: str) -> tuple[str, str, str]:
    """Folders and file name of an audit, below a cache folder."""
    plain = [re.sub(r"[^A-Za-z0-9_.-]|^\.+", "_", part) for part in (registered_part(dataset), feature_set)]
    return "audits", plain[0], f"{plain[1]}-{fingerprint[:16]}.json"


def typed_name(dataset: str, feature_set: str) -> str:
    """The name to type for a dataset, as results hold it, in a feature set: ``wiki/sift-lda:drcl+noise=0.4``."""
    base = registered_part(dataset)
    return f"{base}/{feature_set}{dataset[len(base) :]}"


def save_audit(audit: Audit) -> Path:
    """Write an audit into the cache, whole or not at all; an older one of the same data is replaced.

    Raises
    ------
    DataError
        If the cache folder cannot be written.
    """
    path = cache_root().joinpath(*audit_parts(audit.dataset, audit.feature_set, audit.fingerprint))
    write_whole(path, json.dumps(audit.as_json(), indent=1, ensure_ascii=False), "store the audit")
    return path


def stored_audit(dataset: str, feature_set: str, fingerprint: str) -> Audit | None:
    """The audit of data of that fingerprint; None where none is stored, or only one of other checks.

    Parameters
    ----------
    dataset, feature_set, fingerprint : str
        As a `Dataset` has them.
    """
    for root in reversed(cache_roots()):  # the newest is in the folder that is written
        path = root.joinpath(*audit_parts(dataset, feature_set, fingerprint))
        try:
            if path.stat().st_size > _MOST_BYTES:
                continue
            audit = Audit.from_json(json.loads(path.read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # a file that is no audit is as good as none: the next audit replaces it
        if audit.version == VERSION and audit.fingerprint == fingerprint:
            return audit
    return None


def leak_warning(dataset: str, feature_set: str, fingerprint: str) -> str | None:
    """One line for who measures on data in which a stored audit found a leak; None otherwise."""
    audit = stored_audit(dataset, feature_set, fingerprint)
    if audit is None or not audit.leaks:
        return None
    first, *more = audit.leaks
    named = typed_name(dataset, feature_set)
    others = f" (and {len(more)} more)" if more else ""
    return (
        f"an audit of {named} found a leak{others}: {first.check}, {first.subject}, {first.shown}; "
        f"see `cmrbench data audit {named}`"
    )
