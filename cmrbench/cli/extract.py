"""`cmrbench extract`: features out of a dataset's own texts and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from cmrbench.cli.data.app import FILES, JSON
from cmrbench.cli.parsing import complete_datasets


def extract_command(
    name: str = typer.Argument(
        metavar="NAME",
        help="NAME[/FEATURE_SET][:SPLIT]: a dataset that has texts and pictures.",
        autocompletion=complete_datasets,
    ),
    image: str = typer.Option(
        "", metavar="EXTRACTOR", help="Extractor of images: hog, colour, vgg19, resnet50, clip-vit-b32 ..."
    ),
    text: str = typer.Option(
        "", metavar="EXTRACTOR", help="Extractor of texts: bow, tfidf, lda, doc2vec, sbert, clip-vit-b32 ..."
    ),
    audio: str = typer.Option("", metavar="EXTRACTOR", help="Extractor of sounds: mfcc."),
    modality: list[str] = typer.Option([], metavar="NAME=EXTRACTOR", help="Extractor of any other modality."),
    feature_set: str = typer.Option(
        "", "--as", metavar="NAME", help="What the feature set is called; without: after its extractors."
    ),
    device: str = typer.Option("auto", metavar="DEVICE", help="Where networks run: auto, cpu, cuda, cuda:1 ..."),
    batch: int = typer.Option(64, metavar="N", help="Items a call of the extractor."),
    shard: int = typer.Option(
        2048, metavar="N", help="Items between two savings; a stopped job goes on from the last."
    ),
    seed: int = typer.Option(0, metavar="N", help="For extractors that are fitted."),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Make a feature set out of a dataset's own texts and pictures.

    An extractor's parameters follow its name: --text tfidf:words=500:min_items=3. Vocabularies, topics and the like are
    fitted on the training items only. The same command again goes on where a stopped one was. What extractors there
    are: cmrbench list extractors.
    """
    from cmrbench.cli.console import print_json
    from cmrbench.core.errors import UsageError
    from cmrbench.core.names import DatasetName
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.extract import Job, extract_features

    extractors = {m: e for m, e in (("image", image), ("text", text), ("audio", audio)) if e}
    for pair in modality:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value or key in extractors:
            raise UsageError(f"--modality {pair}: expected NAME=EXTRACTOR, each modality once")
        extractors[key] = value
    job = Job(DatasetName.parse(name), extractors, feature_set, device, batch, shard, seed)
    catalogue = load_catalogue(datasets_file)
    try:
        with _Bar() as bar:
            made = extract_features(job, catalogue, bar.show, lambda message: typer.echo(message, err=True))
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on from the last shard that was saved", err=True)
        raise typer.Exit(130) from None
    if as_json:
        print_json(
            {
                "dataset": made.dataset,
                "feature_set": made.feature_set,
                "folder": str(made.folder),
                "dims": made.dims,
                "weights_sha256": made.weights,
                "rows": made.rows,
                "resumed": made.resumed,
            }
        )
        return
    dims = ", ".join(f"{m} {d}" for m, d in made.dims.items())
    again = f", {made.resumed:,} of them by another call" if made.resumed else ""
    typer.echo(f"made {made.dataset}/{made.feature_set}: {dims}; {made.rows:,} items{again}, in {made.folder}")
    typer.echo(f"use it as: cmrbench run --datasets {made.dataset}/{made.feature_set} --methods ...")


class _Bar:
    """A progress bar on standard error, where that is a terminal."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        text = TextColumn("{task.description}", markup=False)
        columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        err = Console(stderr=True)
        self.progress = Progress(*columns, console=err, disable=not err.is_terminal)
        self.tasks: dict[str, Any] = {}
        self.progress.start()
        return self

    def show(self, what: str, done: int, of: int) -> None:
        """Show how far a modality is."""
        if what not in self.tasks:
            self.tasks[what] = self.progress.add_task(what, total=of)
        self.progress.update(self.tasks[what], completed=done)

    def __exit__(self, *error: object) -> None:
        self.progress.stop()
