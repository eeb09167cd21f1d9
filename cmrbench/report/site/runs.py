"""The page of one run: what was asked, what it ran on, how it went, and every number it left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from cmrbench.core.names import with_features
from cmrbench.core.runs import CUTOFFS
from cmrbench.report.site import page, texts
from cmrbench.report.wording import FLAG_MARKS, plain

if TYPE_CHECKING:
    from cmrbench.store.store import Store

RowDict = dict[str, Any]

_plain = lru_cache(maxsize=10_000)(plain)
"""Of names that all records of all runs repeat."""

COLUMNS = (
    *("run_key", "spec_key", "method", "params", "preset", "resolved", "dataset", "dataset_fingerprint"),
    *("feature_set", "bits", "dim", "seed", "info", "status", "cause", "trace", "created", "load_s", "fit_s"),
    *("encode_s", "evaluate_s", "total_s", "peak_rss", "model_bytes", "output_dim", "n_train", "environment"),
    *("warnings", "direction", "protocol", "protocol_fingerprint", "gallery_codes", "retrieval", "metric", "value"),
    *("stderr", "chance", "n_query", "n_gallery", "flags", "codes", "curves", "per_class"),
)
_AT_A_TIME = 200


def title_of(run: Mapping[str, Any]) -> str:
    """``"BATCH, 64 bits, emoji/classic-minilm, seed 2"``."""
    parts = [run["info"].get("title") or run["method"] or "?"]
    parts += [f"({run['preset']})"] if run["preset"] else []
    parts += [f"{name}={value}" for name, value in sorted(texts.parameters(run["params"]).items())]
    named = " ".join(map(str, parts))
    size = f"{run['bits']} bits" if run["bits"] else (f"{run['dim']}-d" if run["dim"] else "")
    where = with_features(run["dataset"] or "?", run["feature_set"] or "")
    return plain(", ".join(filter(None, [named, size, where, f"seed {run['seed']}"])))


def pages(store: Store, chosen: Sequence[RowDict]) -> Iterator[tuple[str, str]]:
    """Paths and texts of the pages of some runs, read a few hundred at a time.

    Parameters
    ----------
    store : Store
    chosen : sequence of dict
        Runs as `collect.runs_of` gives them; each links those of its method and dataset.
    """
    siblings: dict[tuple[str, str, str], list[RowDict]] = defaultdict(list)
    for run in chosen:
        siblings[_family(run)].append(run)
    for family in siblings.values():
        family.sort(key=lambda r: (r["preset"] or "", r["params"] or "", r["bits"] or 0, r["dim"] or 0, r["seed"] or 0))
    style = page.asset("run.css")
    template = page.environment().get_template("run.html.j2")
    policy = page.policy([style], [])
    listed = iter(chosen)
    while batch := list(islice(listed, _AT_A_TIME)):
        read = store.table(list(COLUMNS), [run["run_key"] for run in batch])
        rows: dict[str, list[RowDict]] = defaultdict(list)
        for row in read.to_pylist():
            rows[row["run_key"]].append(row)
        for run in batch:
            if rows[run["run_key"]]:
                content = _content(rows[run["run_key"]])
                nearby = _nearby(run, siblings[_family(run)])
                text = template.render(style=style, policy=policy, nearby=nearby, **content).lstrip()
                yield f"runs/{run['run_key']}.html", text


def _family(run: RowDict) -> tuple[str, str, str]:
    return run["method"], run["dataset"], run["feature_set"]


def _nearby(run: RowDict, family: Sequence[RowDict], most: int = 24) -> list[tuple[str, str]]:
    """Links to the runs of the same method on the same data around this one."""
    keys = [other["run_key"] for other in family]
    here = keys.index(run["run_key"])
    start = max(0, min(here - most // 2, len(family) - most))
    return [
        ("" if other["run_key"] == run["run_key"] else f"{other['run_key']}.html", title_of(other))
        for other in family[start : start + most]
    ]


def _content(rows: Sequence[RowDict]) -> dict[str, Any]:
    run = rows[0] | {"info": dict(rows[0]["info"] or []), "environment": dict(rows[0]["environment"] or [])}
    bits = str(run["bits"]) if run["bits"] else ""
    return {
        "title": title_of(run),
        "status": plain(run["status"] or "?"),
        "cause": plain(run["cause"] or ""),
        "trace": texts.block(run["trace"]),
        "warnings": [plain(text) for text in run["warnings"] or []],
        "created": plain(run["created"] or "—"),
        "command": texts.run_command(run, run["method"] or "?", bits, (run["seed"] or 0) + 1),
        "asked": _plain_pairs(_asked(run)),
        "parameters": _plain_pairs(sorted(texts.parameters(run["resolved"]).items())),
        "declared": _plain_pairs(run["info"].items()),
        "environment": _plain_pairs(run["environment"].items()),
        "costs": _costs(run),
        "records": [_record(row) for row in rows if row["metric"] is not None],
        "flags": [(plain(f), FLAG_MARKS[f][1] if f in FLAG_MARKS else "") for f in _flags(rows)],
        "codes": [_record(row) | {"codes": row["codes"]} for row in rows if row["codes"]],
        "classes": _classes(rows),
        "curves": _curves(rows),
    }


def _asked(run: RowDict) -> list[tuple[str, Any]]:
    return [
        ("method", run["method"]),
        ("dataset", run["dataset"]),
        ("dataset fingerprint", run["dataset_fingerprint"]),
        ("feature set", run["feature_set"] or "default"),
        ("bits", run["bits"] if run["bits"] is not None else "—"),
        ("dimension", run["dim"] if run["dim"] is not None else "the method's choice"),
        ("seed", run["seed"]),
        ("preset", run["preset"] or "none"),
        ("parameters set", run["params"] or "{}"),
        ("spec key", run["spec_key"]),
        ("run key", run["run_key"]),
    ]


def _plain_pairs(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(plain(name), plain(value)) for name, value in pairs if value not in (None, "")]


def _costs(run: RowDict) -> list[tuple[str, str]]:
    return [
        ("opening the data", texts.seconds(run["load_s"])),
        ("fit", texts.seconds(run["fit_s"])),
        ("encoding queries and gallery", texts.seconds(run["encode_s"])),
        ("ranking and measuring", texts.seconds(run["evaluate_s"])),
        ("the whole process", texts.seconds(run["total_s"])),
        ("peak resident memory", texts.size(run["peak_rss"])),
        ("fitted arrays", texts.size(run["model_bytes"])),
        ("columns of the representations", str(run["output_dim"] or "—")),
        ("training items", str(run["n_train"] or "—")),
    ]


def _record(row: RowDict) -> dict[str, Any]:
    return {
        "direction": _plain((row["direction"] or "").replace("->", " → ")),
        "protocol": _plain(row["protocol"] or ""),
        "protocol_fingerprint": _plain(row["protocol_fingerprint"] or "")[:8],
        "gallery_codes": _plain(row["gallery_codes"] or ""),
        "retrieval": _plain(row["retrieval"] or ""),
        "metric": _plain(row["metric"]),
        "value": texts.number(row["value"]),
        "stderr": texts.number(row["stderr"]),
        "chance": texts.number(row["chance"]),
        "n_query": row["n_query"],
        "n_gallery": row["n_gallery"],
        "flags": _plain(", ".join(row["flags"] or [])),
    }


def _flags(rows: Sequence[RowDict]) -> list[str]:
    return sorted({flag for row in rows for flag in row["flags"] or []})


def _where(row: RowDict) -> str:
    parts = [(row["direction"] or "").replace("->", " → "), row["protocol"], row["gallery_codes"], row["retrieval"]]
    return plain(", ".join(part for part in parts if part))


def _classes(rows: Sequence[RowDict]) -> dict[str, Any] | None:
    """Values by class, one column a direction and protocol; None where none were kept."""
    measured = [row for row in rows if row["per_class"]]
    if not measured:
        return None
    names = list(dict.fromkeys(name for row in measured for name, _ in row["per_class"]))
    values = [dict(row["per_class"]) for row in measured]
    return {
        "metric": plain(", ".join(dict.fromkeys(row["metric"] for row in measured))),
        "columns": [_where(row) for row in measured],
        "rows": [(plain(name), [texts.number(one.get(name)) for one in values]) for name in names],
    }


def _curves(rows: Sequence[RowDict]) -> dict[str, Any] | None:
    """Precision at ranks and at levels of recall; None where none were kept."""
    measured = [row for row in rows if row["curves"]]
    if not measured:
        return None
    at_rank = [row["curves"]["precision"] for row in measured]
    at_recall = [row["curves"]["interpolated"] for row in measured]
    ranks, levels = max(map(len, at_rank)), max(map(len, at_recall))
    return {
        "columns": [_where(row) for row in measured],
        "ranks": [(f"{CUTOFFS[i]:,}", [_at(one, i) for one in at_rank]) for i in range(min(ranks, len(CUTOFFS)))],
        "levels": [(f"{i / max(levels - 1, 1):.2f}", [_at(one, i) for one in at_recall]) for i in range(levels)],
    }


def _at(values: Sequence[float], position: int) -> str:
    return texts.number(values[position]) if position < len(values) else "—"
