"""`cmrbench data rm`: free the space that a dataset takes in the cache."""

from __future__ import annotations

from pathlib import Path

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, app
from cmrbench.cli.data.output import print_tables, row, size, table
from cmrbench.cli.parsing import complete_datasets


@app.command("rm")
def rm_command(
    name: str = typer.Argument(metavar="NAME", help="NAME[/FEATURE_SET][:SPLIT].", autocompletion=complete_datasets),
    sources: bool = typer.Option(False, "--sources", help="Files that were fetched or imported."),
    prepared: bool = typer.Option(False, "--prepared", help="Prepared arrays and audits; so does no option."),
    features: bool = typer.Option(False, "--features", help="Features that were brought or extracted."),
    splits: bool = typer.Option(False, "--splits", help="Splits that were drawn or brought."),
    everything: bool = typer.Option(False, "--all", help="All of these."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Remove what the cache holds of a dataset, after asking.

    What and how much is shown first. Only the cache folder that is written is touched: shared ones that CMRBENCH_DATA
    names before it stay as they are. With --json and without --yes nothing is removed.
    """
    from cmrbench.core.names import DatasetName
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.remove import KINDS, plan_removal, remove

    asked = DatasetName.parse(name)
    said = {"sources": sources, "features": features, "splits": splits, "prepared": prepared}
    kinds = [kind for kind in KINDS if everything or said[kind]] or ["prepared"]
    if everything and (asked.feature_set or asked.split):
        kinds.remove("sources")
    removal = plan_removal(asked, kinds, load_catalogue(datasets_file))
    if as_json:
        if yes:
            remove(removal)
        print_json(
            {
                "dataset": removal.name,
                "removed": yes,
                "bytes": removal.bytes,
                "targets": [vars(t) | {"path": str(t.path)} for t in removal.targets],
                "untouched": removal.untouched,
            }
        )
        return
    if removal.targets:
        shown = table("what", "size", "item", "detail")
        for target in removal.targets:
            row(shown, target.kind, size(target.bytes), target.path, target.note)
        print_tables(shown)
    for sentence in removal.untouched:
        typer.echo(sentence)
    if not removal.targets:
        looked_for = "; ".join(KINDS[kind] for kind in kinds)
        typer.echo(f"nothing to remove of {asked}; what was looked for in the cache: {looked_for}")
        return
    if not yes and not typer.confirm(f"remove {size(removal.bytes)} for good?"):
        typer.echo("nothing was removed")
        raise typer.Exit(1)
    remove(removal)
    typer.echo(f"removed {size(removal.bytes)}")
