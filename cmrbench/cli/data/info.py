"""`cmrbench data info`: one dataset in detail, and its card where the data is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, MEASURED, app
from cmrbench.cli.data.output import SPLITS, print_tables, row, sizes_of, table

if TYPE_CHECKING:
    from rich.table import Table

    from cmrbench.core.names import DatasetName
    from cmrbench.data.card import Card
    from cmrbench.data.catalogue import Catalogue


@app.command("info")
def info_command(name: str = MEASURED, datasets_file: list[Path] = FILES, as_json: bool = JSON) -> None:
    """Describe one dataset, and its data if it is here.

    Terms, citation, features, splits, protocols; of the data, sizes, classes, norms, chance, and what audits found.
    """
    from cmrbench.core.citation import Citation
    from cmrbench.core.names import DatasetName
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.describe import describe
    from cmrbench.data.resolve import check_names

    catalogue = load_catalogue(datasets_file)
    asked = DatasetName.parse(name)
    check_names(asked, catalogue)
    described = describe(catalogue, asked.dataset)
    citation = catalogue.entry(described["name"]).citation
    bibtex = citation.bibtex() if isinstance(citation, Citation) else None
    card, why = _card(asked, catalogue)
    if as_json:
        print_json(described | {"bibtex": bibtex, "card": card.as_json() if card else None, "card_problem": why})
        return
    print_tables(*_registered(described))
    if bibtex:
        typer.echo(bibtex)
    if card is None:
        typer.echo(f"no figures: {why}")
        return
    _print_card(card)


def _card(asked: DatasetName, catalogue: Catalogue) -> tuple[Card | None, str]:
    """The card, or why there is none: what is registered is shown in any case."""
    from cmrbench.core.errors import DataError
    from cmrbench.data.card import dataset_here, make_card

    try:
        dataset = dataset_here(asked, catalogue)
        if dataset is None:
            return (
                None,
                f"the data of {asked} is not on this machine, or not prepared yet (any command that opens it does)",
            )
        return make_card(dataset), ""
    except DataError as error:
        return None, str(error)


def _registered(d: dict[str, Any]) -> list[Table]:
    """What the catalogue says."""
    from cmrbench.data.describe import STATES

    facts = table("", "", header=False)
    aliases = f" (also: {', '.join(d['aliases'])})" if d["aliases"] else ""
    row(facts, "dataset", d["name"] + aliases)
    row(facts, "title", d["title"])
    if d["names"]:
        row(facts, "in papers", "; ".join(d["names"]))
    for key in ("summary", "licence", "citation", "homepage"):
        row(facts, key, d[key])
    row(facts, "labels", _labels(d))
    row(facts, "state", STATES[d["state"]] + (f": {d['folder']}" if d["folder"] else ""))
    if d["how_to_get"]:
        row(facts, "how to get it", d["how_to_get"])
    for problem in d["problems"]:
        row(facts, "known problem", problem)
    features = table("feature set", "modalities", "dims", "extractor; normalisation")
    splits = table("feature set", *SPLITS)
    for set_name, feature_set in d["feature_sets"].items():
        shown = set_name + (" (default)" if set_name == d["default_feature_set"] else "")
        if set_name in d["splits"]:
            row(splits, shown, *sizes_of(d, set_name))
        _add_features(features, shown, feature_set)
    for set_name, feature_set in d["local_feature_sets"].items():
        _add_features(features, f"{set_name} (on this machine)", feature_set)
    schemes = table("split", "detail")
    for split, scheme in d["schemes"].items():
        shown = split + (" (default)" if split == d["default_split"] and len(d["schemes"]) > 1 else "")
        used = f"Used by {', '.join(scheme['used_by'])}." if scheme["used_by"] else ""
        row(schemes, shown, " ".join(filter(None, (scheme["summary"], f"Scheme: {scheme['shown']}.", used))))
    protocols = table("protocol", "queries", "gallery\nitems", "gallery\ncodes", "outputs", "metrics")
    for p in d["protocols"]:
        items = [" + ".join(p[k]) for k in ("query", "gallery")]
        row(protocols, p["name"], *items, p["gallery_codes"], "\n".join(p["outputs"]), "\n".join(p["metrics"]))
    return [facts, features, schemes, *([splits] if d["splits"] else []), protocols]


def _add_features(features: Table, shown: str, feature_set: dict[str, Any]) -> None:
    """A line for all modalities that are described in the same way."""
    alike: dict[tuple[object, str], list[str]] = {}
    for modality, spec in feature_set["modalities"].items():
        how = "; ".join(filter(None, (spec["extractor"], spec["layer"], spec["normalisation"])))
        kind = "" if spec["kind"] == "vector" else spec["kind"]
        alike.setdefault((" ".join(filter(None, (kind, str(spec["dims"] or "")))), how), []).append(modality)
    for (dims, how), modalities in alike.items():
        row(features, shown, "\n".join(modalities), dims, how)
        shown = ""
    if not alike:
        row(features, shown, "", "", feature_set["summary"])


def _labels(described: dict[str, Any]) -> str:
    count = described["classes"]
    kind = "multi-label" if described["multilabel"] else "one an item"
    return "none" if count == 0 else f"{count or 'as the data has'}, {kind}"


def _print_card(card: Card) -> None:
    from cmrbench.cli.data.card import card_tables
    from cmrbench.data.audit.stored import typed_name
    from cmrbench.data.audit.view import lines, summary

    typer.echo(f"figures of {card.dataset}, feature set {card.feature_set}, fingerprint {card.fingerprint}")
    print_tables(*card_tables(card))
    if card.cardinality is not None:
        typer.echo(f"{card.cardinality:.3g} labels an item, {card.cardinality / len(card.classes):.2%} of all classes")
    for note in card.notes:
        typer.echo(f"note: {note}")
    if card.audit is None:
        typer.echo(f"no audit is stored; make one: cmrbench data audit {typed_name(card.dataset, card.feature_set)}")
        return

    typer.echo(f"audit: {summary(card.audit)}")
    for line in lines(card.audit.findings):
        if line.severity != "note":
            typer.echo(f"  {line.severity}: {line.check}, {line.where}: {line.shown}; {line.detail}")
