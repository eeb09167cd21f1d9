"""`cmrbench data info`: one dataset in detail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cmrbench.cli.data.app import FILES, JSON, NAME, app
from cmrbench.cli.data.output import SPLITS, print_json, print_tables, row, sizes_of, table


@app.command("info")
def info_command(name: str = NAME, datasets_file: list[Path] = FILES, as_json: bool = JSON) -> None:
    """Describe one dataset: licence, citation, features, splits, protocols, sources."""
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.describe import STATES, describe

    d = describe(load_catalogue(datasets_file), name)
    if as_json:
        print_json(d)
        return
    facts = table("", "", header=False)
    aliases = f" (also: {', '.join(d['aliases'])})" if d["aliases"] else ""
    row(facts, "dataset", d["name"] + aliases)
    for key in ("title", "summary", "licence", "citation", "homepage"):
        row(facts, key, d[key])
    row(facts, "labels", _labels(d))
    row(facts, "state", STATES[d["state"]] + (f": {d['folder']}" if d["folder"] else ""))
    if d["how_to_get"]:
        row(facts, "how to get it", d["how_to_get"])
    features = table("feature set", "modalities", "dims", "extractor; normalisation")
    splits = table("feature set", *SPLITS)
    for set_name, feature_set in d["feature_sets"].items():
        shown = set_name + (" (default)" if set_name == d["default_feature_set"] else "")
        if set_name in d["splits"]:
            row(splits, shown, *sizes_of(d, set_name))
        alike: dict[tuple[object, str], list[str]] = {}
        for modality, spec in feature_set["modalities"].items():
            how = "; ".join(filter(None, (spec["extractor"], spec["normalisation"])))
            alike.setdefault((spec["dims"] or "", how), []).append(modality)
        for (dims, how), modalities in alike.items():
            row(features, shown, "\n".join(modalities), dims, how)
            shown = ""
    protocols = table("protocol", "queries", "gallery\nitems", "gallery\ncodes", "outputs", "metrics")
    for p in d["protocols"]:
        items = [" + ".join(p[k]) for k in ("query", "gallery")]
        row(protocols, p["name"], *items, p["gallery_codes"], "\n".join(p["outputs"]), "\n".join(p["metrics"]))
    print_tables(facts, features, *([splits] if d["splits"] else []), protocols)


def _labels(described: dict[str, Any]) -> str:
    count = described["classes"]
    kind = "multi-label" if described["multilabel"] else "one an item"
    return "none" if count == 0 else f"{count or 'as the data has'}, {kind}"
