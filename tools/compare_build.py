"""Compares a rebuilt dataset with the embedded one."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmrbench.core.errors import CmrbenchError, DataError
from tools import pack
from tools.sources import sha256

EMBEDDED = Path(__file__).resolve().parents[1] / "cmrbench/data/embedded"
BUILT_ONLY = {"files", "built_with", "other_inputs_than_recorded", "thumb_bytes"}
"""Keys of a card that say how the files were made rather than what they hold."""


@dataclass(frozen=True)
class Finding:
    """One line of the comparison.

    ``same`` is whether nothing differs; ``counts`` whether a difference makes it another dataset. Files may differ in
    their bytes, and features in their last bits, without that.
    """

    what: str
    same: bool
    detail: str
    counts: bool = True


def compare(built: Path, embedded: Path) -> list[Finding]:
    """Everything in which two builds of one dataset may differ, coarsest first."""
    for folder in (built, embedded):
        if not (folder / pack.PAIRS).exists():
            raise DataError(f"{folder}: expected a built dataset there, found no {pack.PAIRS}")
    ours, theirs = _pairs(built), _pairs(embedded)
    findings = compare_files(built, embedded) + compare_pairs(ours, theirs)
    row = {name: i for i, name in enumerate(ours["id"])}
    common = [(row[name], i) for i, name in enumerate(theirs["id"]) if name in row]
    if not common:
        return findings
    if _in_both(pack.FEATURES_NPZ, built, embedded):
        rows = np.array(common).T
        findings += compare_features(_arrays(built), _arrays(embedded), rows[0], rows[1])
    if _in_both(pack.THUMBS, built, embedded) and _in_both(pack.OFFSETS, built, embedded):
        findings.append(compare_thumbnails(built, embedded, common))
    return findings


def _in_both(name: str, built: Path, embedded: Path) -> bool:
    return (built / name).exists() and (embedded / name).exists()


def compare_files(built: Path, embedded: Path) -> list[Finding]:
    """Whether each file of the embedded dataset was rebuilt to the byte; the card by its keys."""
    findings = []
    for path in sorted(embedded.iterdir()):
        other = built / path.name
        if not other.exists():
            findings.append(Finding(f"file {path.name}", False, "missing in the rebuilt folder"))
        elif path.name == pack.CARD:
            findings.append(compare_cards(_json(other), _json(path)))
        else:
            same = sha256(other) == sha256(path)
            findings.append(Finding(f"file {path.name}", same, "same bytes" if same else "other bytes", counts=False))
    return findings


def compare_cards(ours: dict[str, Any], theirs: dict[str, Any]) -> Finding:
    """Whether two cards agree in all that describes the content."""
    keys = (ours.keys() | theirs.keys()) - BUILT_ONLY
    other = sorted(key for key in keys if ours.get(key) != theirs.get(key))
    return Finding(f"file {pack.CARD}", not other, f"other: {', '.join(other)}" if other else "same content")


def compare_pairs(ours: dict[str, list[Any]], theirs: dict[str, list[Any]]) -> list[Finding]:
    """Which items there are, and each column over the items of both."""
    row = {name: i for i, name in enumerate(ours["id"])}
    common = [(row[name], i) for i, name in enumerate(theirs["id"]) if name in row]
    same = ours["id"] == theirs["id"]
    missing, added = len(theirs["id"]) - len(common), len(ours["id"]) - len(common)
    detail = f"{len(common)} in both, {missing} missing, {added} added" + (
        "" if same or missing + added else ", other order"
    )
    findings = [Finding("items", same, detail)]
    for name in theirs:
        if name == "id":
            continue
        if name not in ours:
            findings.append(Finding(f"column {name}", False, "missing"))
            continue
        equal = sum(ours[name][i] == theirs[name][j] for i, j in common)
        # Group numbers are names; what counts is which items share one.
        findings.append(
            Finding(f"column {name}", equal == len(common), f"{equal} of {len(common)} equal", name != "group")
        )
    cut = _same_partition([ours["group"][i] for i, _ in common], [theirs["group"][j] for _, j in common])
    return [*findings, Finding("groups as sets", cut, "same" if cut else "other")]


def _same_partition(ours: Sequence[int], theirs: Sequence[int]) -> bool:
    return len(set(zip(ours, theirs, strict=True))) == len(set(ours)) == len(set(theirs))


def compare_features(
    ours: dict[str, NDArray[Any]], theirs: dict[str, NDArray[Any]], left: NDArray[Any], right: NDArray[Any]
) -> list[Finding]:
    """The feature arrays over the items of both; ``left`` and ``right`` are their rows."""
    findings = []
    for name in ("image", "text"):
        a, b = ours[name][left], theirs[name][right]
        x, y = a * ours[f"{name}_scale"], b * theirs[f"{name}_scale"]
        steps = np.abs(a.astype(np.int16) - b).max(initial=0)
        cosine = (x * y).sum(1) / np.maximum(np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1), 1e-12)
        detail = (
            f"{(a == b).mean():.4%} of int8 values equal, largest difference {steps}, lowest cosine {cosine.min():.6f}"
        )
        same = np.array_equal(a, b) and np.array_equal(ours[f"{name}_scale"], theirs[f"{name}_scale"])
        findings.append(Finding(f"features {name}", same, detail, counts=False))
    same = np.array_equal(ours["bow_vocab"], theirs["bow_vocab"])
    shared = len(set(ours["bow_vocab"]) & set(theirs["bow_vocab"]))
    findings.append(Finding("vocabulary", same, f"{shared} of {len(theirs['bow_vocab'])} words in both"))
    a, b = _bags(ours, left), _bags(theirs, right)
    equal = sum(x == y for x, y in zip(a, b, strict=True))
    return [*findings, Finding("bags of words", equal == len(a), f"{equal} of {len(a)} equal")]


def _bags(arrays: dict[str, NDArray[Any]], rows: NDArray[Any]) -> list[set[str]]:
    start, words, vocabulary = arrays["bow_indptr"], arrays["bow_indices"], arrays["bow_vocab"]
    return [set(vocabulary[words[start[i] : start[i + 1]]]) for i in rows]


def compare_thumbnails(built: Path, embedded: Path, common: Sequence[tuple[int, int]]) -> Finding:
    """How many thumbnails are the same file, and how far the others are from one another as pictures."""
    ours, theirs = _thumbnails(built), _thumbnails(embedded)
    others = [(ours[i], theirs[j]) for i, j in common if ours[i] != theirs[j]]
    detail = f"{len(common) - len(others)} of {len(common)} equal"
    if others:
        detail += f", the others differ by {max(_mean_difference(a, b) for a, b in others):.2f} grey levels at most"
    return Finding("thumbnails", not others, detail, counts=False)


def _mean_difference(ours: bytes, theirs: bytes) -> float:
    from PIL import Image

    a, b = (np.asarray(Image.open(io.BytesIO(blob)).convert("RGB")).astype(np.float64) for blob in (ours, theirs))
    return float(np.abs(a - b).mean())


def _pairs(folder: Path) -> dict[str, list[Any]]:
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = pq.read_table(folder / pack.PAIRS).to_pydict()
    return columns


def _arrays(folder: Path) -> dict[str, NDArray[Any]]:
    with np.load(folder / pack.FEATURES_NPZ, allow_pickle=False) as archive:
        return dict(archive)


def _thumbnails(folder: Path) -> list[bytes]:
    blob = (folder / pack.THUMBS).read_bytes()
    offsets = np.load(folder / pack.OFFSETS, allow_pickle=False)
    return [blob[start:end] for start, end in pairwise(offsets.tolist())]


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 where the rebuilt dataset is the same but for bytes and last bits, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare_build", description=__doc__)
    parser.add_argument("built", type=Path, help="folder of the rebuilt dataset")
    parser.add_argument("embedded", type=Path, nargs="?", help="folder to compare with; default: the embedded one")
    options = parser.parse_args(arguments)
    try:
        findings = compare(options.built, options.embedded or EMBEDDED / options.built.name)
    except CmrbenchError as error:
        parser.exit(error.exit_code, f"error: {error}\n")
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = "same" if finding.same else "OTHER" if finding.counts else "near"
        print(f"{finding.what:<{width}}  {mark:<5}  {finding.detail}")
    return int(any(finding.counts and not finding.same for finding in findings))


if __name__ == "__main__":
    raise SystemExit(main())
