"""`cmrbench data verify`: whether what is here is what is registered."""

from __future__ import annotations

from pathlib import Path

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, app
from cmrbench.cli.data.output import print_tables, row, table
from cmrbench.cli.parsing import complete_datasets


@app.command("verify")
def verify_command(
    names: list[str] = typer.Argument(
        None,
        metavar="NAME",
        help="Names; without any, all datasets that are on this machine.",
        autocompletion=complete_datasets,
    ),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Check files, splits and arrays; exit code 1 if any differs.

    Sources and prepared arrays are hashed again, and splits are compared with the registered ones.
    """
    from dataclasses import asdict

    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.describe import state
    from cmrbench.data.verify import verify_dataset

    catalogue = load_catalogue(datasets_file)
    here = [n for n in catalogue.names() if state(catalogue, n) not in ("missing", "generated")]
    chosen = dict.fromkeys(catalogue.resolve(n) for n in names) if names else here
    checks = [check for name in chosen for check in verify_dataset(name, catalogue)]
    bad = [c for c in checks if c.status != "ok"]
    if as_json:
        print_json([asdict(c) for c in checks])
    else:
        made = table("dataset", "what", "item", "status", "detail")
        for c in checks:
            # Prepared arrays are many and alike: the sound ones are counted.
            if c.kind != "prepared" or c.status != "ok":
                row(made, c.dataset, c.kind, c.item, c.status, c.detail)
        for name in chosen:
            sound = sum(c.dataset == name and c.kind == "prepared" and c.status == "ok" for c in checks)
            if sound:
                row(made, name, "prepared", f"{sound} files", "ok", "")
        print_tables(made)
        typer.echo(f"{len(checks) - len(bad)} of {len(checks)} checks passed")
    if bad:
        raise typer.Exit(1)
