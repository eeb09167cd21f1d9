"""`cmrbench data export`: a dataset's splits for other programs."""

from __future__ import annotations

from pathlib import Path

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, MEASURED, app


@app.command("export")
def export_command(
    name: str = MEASURED,
    kind: str = typer.Option(
        "npz", "--format", metavar="FORMAT", help="npz, folder (of .npy files), h5, mat or parquet."
    ),
    to: Path = typer.Option(..., metavar="FOLDER", help="The folder that is made."),
    force: bool = typer.Option(False, "--force", help="Replace an earlier export in that folder."),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Write a dataset's splits for other programs.

    Features, labels, ids, and a README on licence, citation and arrays; `cmrbench data import` reads them back.
    """
    from cmrbench.core.errors import UnknownNameError
    from cmrbench.core.names import registered_part
    from cmrbench.data import load_catalogue, load_dataset
    from cmrbench.data.exporting.export import export_dataset
    from cmrbench.data.exporting.formats import FORMATS

    if kind not in FORMATS:
        raise UnknownNameError("export format", kind, FORMATS)
    catalogue = load_catalogue(datasets_file)
    dataset = load_dataset(name, catalogue=catalogue)
    folder = export_dataset(dataset, kind, to, catalogue, force)
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    if as_json:
        print_json(
            {
                "dataset": dataset.name,
                "feature_set": dataset.feature_set,
                "fingerprint": dataset.fingerprint,
                "folder": str(folder),
                "files": files,
            }
        )
        return
    licence = " ".join(catalogue.entry(registered_part(dataset.name)).licence.split())
    typer.echo(f"exported {dataset.name}/{dataset.feature_set} to {folder}: {', '.join(files)}")
    typer.echo(f"licence: {licence}")
