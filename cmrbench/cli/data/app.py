"""The command group `cmrbench data`, and the options that its commands share."""

from __future__ import annotations

import typer

from cmrbench.cli.parsing import complete_datasets

app = typer.Typer(help="List, describe, bring, check and change datasets.", no_args_is_help=True)

JSON = typer.Option(False, "--json", help="Print JSON on standard output.")
FILES = typer.Option(
    [], "--datasets-file", metavar="FILE", help="A datasets.yaml of your own (also: CMRBENCH_DATASETS)."
)
NAME = typer.Argument(metavar="NAME", help="A dataset's name or alias.", autocompletion=complete_datasets)
MEASURED = typer.Argument(
    metavar="NAME", help="NAME[/FEATURE_SET][:SPLIT][+TRANSFORM=VALUE]...", autocompletion=complete_datasets
)
