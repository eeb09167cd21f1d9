"""`cmrbench eval`: the engine on anybody's own embeddings, codes or scores, no plugin needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli import parsing
from cmrbench.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from cmrbench.metrics import Curve, Replayed

_DISTANCES = ("cosine", "euclidean", "inner", "hamming", "asymmetric")
_TIES = ("expected", "stable", "optimistic", "pessimistic")
_RELEVANCES = ("label", "instance")


def evaluate_command(
    query: Path | None = typer.Option(
        None, help="Query representations (n, d): .npy, .npz with one array, .csv or .txt."
    ),
    gallery: Path | None = typer.Option(None, help="Gallery representations."),
    scores: Path | None = typer.Option(
        None,
        help="In place of --query and --gallery: similarities of your own (queries, gallery items), larger is nearer. "
        "A .npy file is read block by block, so it may be larger than memory.",
    ),
    query_labels: Path = typer.Option(
        ...,
        help="Labels of the queries: class numbers (n,) or multi-hot (n, C). With --relevance instance, ids: strings "
        "or whole numbers, one a line in .csv and .txt.",
    ),
    gallery_labels: Path = typer.Option(..., help="Labels of the gallery."),
    distance: str | None = typer.Option(
        None,
        help="cosine, euclidean, inner, hamming for codes of -1 and +1 (or packed ones, with --bits), or asymmetric "
        "for real-valued queries and gallery codes of -1 and +1. [default: cosine]",
        autocompletion=lambda: _DISTANCES,
    ),
    bits: int | None = typer.Option(
        None, help="With --distance hamming: the files hold packed codes of so many bits, as numpy.packbits makes them."
    ),
    relevance: str = typer.Option(
        "label",
        help="What makes an item relevant to a query: label (they share one) or instance (they have the same id).",
        autocompletion=lambda: _RELEVANCES,
    ),
    metric: str = typer.Option(
        "mAP@all",
        help="Metrics, separated by commas: mAP@all, mAP@50[min_kr], P@10, R@10, hit@1, RPrec, MedR, MeanR, "
        "NDCG@100 (gains 0 and 1), NDCG@100[shared] and NDCG@100[exp_shared] (by the number of shared labels), "
        "P@H2 and R@H2 (within Hamming radius 2).",
    ),
    curve: str | None = typer.Option(
        None,
        help="Curves, separated by commas: PR@11 (precision at 11 levels of recall), PR@H (at every Hamming radius), "
        "P@1..1000, R@1..1000.",
    ),
    replay: str | None = typer.Option(
        None,
        help="Also mAP as released code computes it, to compare with published numbers, not to publish: names "
        "separated by commas, such as n_plus_10 or torchcmh_map_k@50 (docs/replays.md lists them).",
        autocompletion=parsing.complete_replays,
    ),
    ties: str | None = typer.Option(
        None,
        help="Order of items of equal score: expected (over all orders; the default), stable, optimistic, pessimistic.",
        autocompletion=lambda: _TIES,
    ),
    span: bool = typer.Option(
        False, "--span", help="Also every metric under the worst and the best order of tied items."
    ),
    per_query: Path | None = typer.Option(
        None, metavar="FILE.csv", help="Write the value of every query into this file."
    ),
    in_parts: bool = typer.Option(
        False,
        "--in-parts",
        help="For a gallery that does not fit in memory: read --gallery (or --scores) and --gallery-labels, both .npy, "
        "part by part, once or twice for each block of queries. Same metrics and curves, without graded gains.",
    ),
    threads: int = typer.Option(1, help="Threads; no value depends on their number."),
    device: str | None = typer.Option(
        None,
        help="Rank by torch on this device: cuda, cuda:1 or cpu. [default: compiled loops or numpy]",
        autocompletion=lambda: ["cpu", "cuda"],
    ),
    as_json: bool = typer.Option(
        False,
        "--json",
        help='Print {metric: value} and nothing else; curves are under the key "curves", replays under "replays".',
    ),
) -> None:
    """Evaluate your own embeddings, codes or scores: rank the gallery for every query and measure the rankings."""
    from cmrbench.cli.eval_inputs import Inputs
    from cmrbench.cli.eval_output import Findings, print_json, print_tables, warn_of_ties, write_queries
    from cmrbench.metrics import REPLAYS, Metric, evaluate
    from cmrbench.metrics import replay as replay_one
    from cmrbench.metrics.span import span_of

    metrics = [m if ties is None else m.with_ties(ties) for m in Metric.parse_list(metric)]
    curves = [] if curve is None else _curves(curve, ties)
    replays = parsing.replays(replay)
    inputs = Inputs(query, gallery, scores, query_labels, gallery_labels, distance, bits, relevance)
    inputs.check()
    if threads < 1:
        raise UsageError(f"--threads must be at least 1, not {threads}")
    if in_parts:
        for option, wanted in (("--replay", replays), ("--device", device), ("--threads", threads > 1)):
            if wanted:
                raise UsageError(f"--in-parts does not go with {option}")
        inputs.check_parts()
    ends = [end for m in metrics for end in span_of(m) or ()] if span else []
    named = {label: REPLAYS[name].twin(k) for label, (name, k) in replays.items()}
    twins = {label: Metric.parse(twin).with_ties(ties or "expected") for label, twin in named.items() if twin}
    asked = [*metrics, *ends, *twins.values()]
    replayed: dict[str, Replayed] = {}
    try:
        if in_parts:
            result = inputs.evaluate_in_parts({"metrics": asked, "curves": curves})
        else:
            pairs = inputs.load()
            result = evaluate(*pairs, asked, threads=threads, curves=curves, device=device)
            replayed = {label: replay_one(name, *pairs, k) for label, (name, k) in replays.items()}
    except DataError as error:
        raise inputs.naming_the_file(error) from error
    found = Findings(result, metrics, ends, span, inputs.compared, replayed, twins)
    if per_query is not None:
        write_queries(found, per_query)
    if as_json:
        print_json(found)
    else:
        print_tables(found)
    warn_of_ties(found)


def _curves(text: str, ties: str | None) -> list[Curve]:
    from cmrbench.metrics import Curve

    parts = re.split(r",(?![^\[]*\])", text)
    if not all(part.strip() for part in parts):
        raise UsageError(f"--curve {text!r} holds an empty name: separate curves by single commas")
    curves = [Curve.parse(part) for part in parts]
    return [c if ties is None else c.with_ties(ties) for c in curves]
