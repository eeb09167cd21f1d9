"""`cmrbench data export`: a dataset's splits for other programs."""

from __future__ import annotations

from pathlib import Path

import typer

from cmrbench.cli.data.app import FILES, JSON, app
from cmrbench.cli.data.output import print_json
from cmrbench.cli.parsing import complete_datasets


@app.command("export")
def export_command(
    name: str = typer.Argument(
        help="NAME[/FEATURE_SET][:SPLIT][+TRANSFORM=VALUE]...", autocompletion=complete_datasets
    ),
    kind: str = typer.Option("npz", "--format", help="npz, folder (of .npy files), h5, mat or parquet."),
    to: Path = typer.Option(..., metavar="FOLDER", help="The folder that is made."),
    force: bool = typer.Option(False, "--force", help="Replace an earlier export in that folder."),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Write all splits of a dataset with features, labels, ids and a README on licence, citation and arrays."""
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
