"""Write docs/fidelity.md: our numbers of shallow hashing methods on wiki beside those of their authors' code.

    cmrbench run --suite fidelity --results build/fidelity
    python -m tools.make_fidelity_doc --results build/fidelity --reference wiki_reference_numbers.csv
    python -m tools.make_fidelity_doc            # the page again, from results/fidelity.parquet
    python -m tools.make_fidelity_doc --check    # 1 if the page is not what the file says

The first form collects runs and reference numbers into results/fidelity.parquet, which is what the page is made of.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tools.agreement import agree, allowed

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "fidelity.md"
DATA = ROOT / "results" / "fidelity.parquet"
PROTOCOL = "query = test 693, gallery = train (2173)"
OURS = {"test-vs-train": "function", "test-vs-train-learned": "learned"}
DIRECTIONS = {"I->T": "image->text", "T->I": "text->image"}
METRICS = ("mAP@all", "mAP@50")
COLUMNS = ["reference", "side", "gallery_codes", "bits", "seed", "direction", "metric", "value"]


@dataclass(frozen=True)
class Reference:
    """Reference numbers of one name, and which of our runs they stand beside.

    Attributes
    ----------
    name : str
        In the column ``method`` of the reference numbers.
    method : str
        Our registered name.
    params : mapping
        What is set where it follows the released code.
    preset : str
        Preset where it follows the released code.
    words : mapping of our gallery-code rule to the word of the reference
    note : str
        Why cells lie outside the rule, if they do; without figures.
    """

    name: str
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    preset: str = ""
    words: Mapping[str, str] = field(
        default_factory=lambda: {"function": "hash function", "learned": "learned unified"}
    )
    note: str = ""


RELEASED = {"variant": "released"}
PER_VIEW = {"function": "hash function", "learned": "learned per view"}
REFERENCES = (
    Reference("BATCH", "batch"),
    Reference("CMFH", "cmfh", RELEASED),
    Reference("CVH", "cvh", RELEASED, note="beyond 10 bits the reference is numerical noise, by its own notes"),
    Reference("DCH", "dch", RELEASED),
    Reference("DLFH_author", "dlfh", words=PER_VIEW),
    Reference("DLFH_toolbox", "dlfh", preset="toolbox", words=PER_VIEW),
    Reference("FSH", "fsh", RELEASED),
    Reference("IMH", "imh", RELEASED),
    Reference("LEMON_author", "lemon"),
    Reference("LEMON_toolbox", "lemon", preset="toolbox"),
    Reference(
        "LSSH",
        "lssh",
        note="the reference replaced the authors' optimiser of dictionaries; ours reaches its minimum (see its page)",
    ),
    Reference("MDBE", "mdbe"),
    Reference("MTFH", "mtfh", RELEASED, words=PER_VIEW),
    Reference("RFDH", "rfdh", RELEASED),
    Reference("SCM_orth_IT", "scm", {"solution": "orth"}, note="beyond 9 bits the reference is numerical noise"),
    Reference("SCM_seq_IT", "scm", note="where the method stops early, the reference goes on with numerical noise"),
    Reference("SCRATCH", "scratch"),
    Reference("SMFH", "smfh"),
    Reference("SRLCH", "srlch"),
    Reference("STMH", "stmh", RELEASED | {"lam": 0.5, "gamma": 1e-4, "iterations": 10}),
    Reference("SePH_km", "seph", note="regressions converge here, and stop early in the reference (see its page)"),
)
HEAD = """\
# Fidelity: shallow hashing beside its authors' code

Made by `python -m tools.make_fidelity_doc` out of `results/fidelity.parquet`; change that file, not this page. The runs
are those of `cmrbench run --suite fidelity`.

Each method is fitted on the 2,173 training pairs of the classic Wikipedia features (SIFT-BoVW 128, LDA 10) and measured
with 693 queries against the training items as gallery. The reference numbers are what the authors' own released code
gave on the same data, under the same protocol: mAP is the exact expectation over orders of tied items for @all, a mean
over random tie orders for @50. A cell agrees when the means over seeds differ by at most 0.01 or three standard errors
of both sides, whichever is more; a side with one seed is taken to scatter like the other. "learned": gallery codes were
fitted on these very items, or made from both of their modalities.

Where a method has variants, "here" follows the released code and "paper" is the default: the paper's own updates.
"""


def collected(results: Path, reference: Path) -> pd.DataFrame:
    """Values of our runs and of the reference numbers, one row a seed; columns `COLUMNS`."""
    from cmrbench.report.current import current_rows
    from cmrbench.store.store import Store

    wanted = ("method", "params", "preset", "dataset", "bits", "seed", "value", "status")
    rows = [
        r for r in current_rows(Store(results).table(), wanted) if r["dataset"] == "wiki" and r["metric"] in METRICS
    ]
    with reference.open(newline="", encoding="utf-8") as handle:
        theirs = [r for r in csv.DictReader(handle) if r["protocol"] == PROTOCOL and r["ranking"] == "hamming"]
    lines: list[list[Any]] = []
    for ref in REFERENCES:
        lines += list(_our_lines(ref, rows)) + list(_their_lines(ref, theirs))
    return pd.DataFrame(lines, columns=COLUMNS)


def _our_lines(ref: Reference, rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    for row in rows:
        if row["method"] != ref.method or row["protocol"] not in OURS or row["retrieval"] != "hamming":
            continue
        params = json.loads(row["params"])
        plain = not params and not row["preset"]
        followed = params == dict(ref.params) and row["preset"] == ref.preset
        side = "here" if followed else "paper" if plain and "variant" in ref.params else ""
        if side:
            rule = OURS[row["protocol"]]
            yield [ref.name, side, rule, row["bits"], row["seed"], row["direction"], row["metric"], row["value"]]


def _their_lines(ref: Reference, rows: Sequence[Mapping[str, str]]) -> Iterator[list[Any]]:
    for rule, words in ref.words.items():
        for row in rows:
            if row["method"] == ref.name and row["gallery_codes"] == words and row["metric"] in METRICS:
                where = [int(float(row["bits_or_dim"])), int(float(row["seed"] or 0)), DIRECTIONS[row["direction"]]]
                yield [ref.name, "reference", rule, *where, row["metric"], float(row["value"])]


def render(data: pd.DataFrame) -> str:
    """The page's text."""
    values: dict[str, dict[tuple[Any, ...], dict[str, list[float]]]] = defaultdict(lambda: defaultdict(dict))
    for name, side, rule, bits, _, direction, metric, value in data[COLUMNS].itertuples(index=False):
        values[name][rule, int(bits), direction, metric].setdefault(side, []).append(float(value))
    compared = {
        ref.name: {k: v for k, v in values[ref.name].items() if {"here", "reference"} <= v.keys()} for ref in REFERENCES
    }
    parts = [HEAD, _overview(compared)]
    parts += [_section(ref, compared[ref.name]) for ref in REFERENCES if compared[ref.name]]
    return "\n".join(parts).rstrip("\n") + "\n"


Cells = Mapping[tuple[Any, ...], Mapping[str, Sequence[float]]]


def _overview(compared: Mapping[str, Cells]) -> str:
    rows, listed, unexplained = [], 0, []
    for ref in REFERENCES:
        cells = compared[ref.name]
        if not cells:
            continue
        pairs = [(v["here"], v["reference"]) for v in cells.values()]
        agreeing = sum(agree(*pair) for pair in pairs)
        note = ref.note if agreeing < len(pairs) else ""
        far = max((_mean(ours) - _mean(theirs) for ours, theirs in pairs), key=abs)
        lengths = ", ".join(map(str, sorted({key[1] for key in cells})))
        asked = " ".join([*(f"{k}={v}" for k, v in ref.params.items()), *([f"({ref.preset})"] if ref.preset else [])])
        rows.append((f"`{ref.method}`", asked, ref.name, lengths, f"{agreeing} of {len(pairs)}", f"{far:+.3f}", note))
        listed += agreeing
        if not note:
            unexplained += pairs
    beyond = [abs(_mean(a) - _mean(b)) - allowed(a, b) for a, b in unexplained if not agree(a, b)]
    head = f"{listed} of {sum(map(len, compared.values()))} cells (rule, code length, direction, metric) agree. "
    head += "Rows with a note differ for the reason that it gives. "
    head += f"Of the cells of all other rows {len(unexplained) - len(beyond)} of {len(unexplained)} agree"
    head += f"; the farthest of the rest lies {max(beyond):.3f} beyond the rule.\n\n" if beyond else ".\n\n"
    columns = ("method", "set", "reference", "bits", "cells that agree", "largest difference", "note")
    return head + _table(columns, rows)


def _section(ref: Reference, cells: Cells) -> str:
    with_paper = any("paper" in v for v in cells.values())
    rows = []
    for rule, bits in dict.fromkeys((key[0], key[1]) for key in sorted(cells, key=lambda k: (k[0], k[1]))):
        row: list[str] = [rule, str(bits)]
        for metric in METRICS:
            for direction in DIRECTIONS.values():
                sides = cells.get((rule, bits, direction, metric))
                row += _cell(sides, with_paper)
        rows.append(tuple(row))
    names = ["here", "reference", *(["paper"] if with_paper else [])]
    head = ["gallery codes", "bits"]
    head += [f"{m} {d.replace('->', ' → ')}, {name}" for m in METRICS for d in DIRECTIONS.values() for name in names]
    return f"\n## {ref.name}: `{ref.method}`\n\n" + _table(head, rows)


def _cell(sides: Mapping[str, Sequence[float]] | None, with_paper: bool) -> list[str]:
    if sides is None:
        return ["", ""] + ([""] if with_paper else [])
    mark = "" if agree(sides["here"], sides["reference"]) else " ✗"
    shown = [_shown(sides["here"]) + mark, _shown(sides["reference"])]
    return shown + ([_shown(sides["paper"]) if "paper" in sides else ""] if with_paper else [])


def _shown(values: Sequence[float]) -> str:
    spread = f" ±{statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{_mean(values):.3f}{spread}"


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="a results folder with the runs of the suite fidelity")
    parser.add_argument("--reference", type=Path, help="wiki_reference_numbers.csv")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if the page would change")
    options = parser.parse_args()
    if (options.results is None) != (options.reference is None):
        parser.error("--results and --reference go together")
    if options.results is not None and not options.check:
        collected(options.results, options.reference).to_parquet(DATA, index=False)
    text = render(pd.read_parquet(DATA))
    if options.check:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
