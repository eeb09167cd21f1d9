"""Write docs/datasets.md: what the registry knows of each dataset, with the audits of those that are here.

    python tools/make_datasets_doc.py               # writes the page; audits what is on this machine
    python tools/make_datasets_doc.py --keep-audits # the figures stay as the page has them
    python tools/make_datasets_doc.py --check       # 1 if the page is not what the registry says

Audits of datasets that are not on this machine are kept as the page has them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cmrbench.core.citation import Citation
from cmrbench.core.dataset import SPLITS
from cmrbench.data import load_catalogue
from cmrbench.data.catalogue import Catalogue, Entry, Source
from cmrbench.data.fetching.obtaining import Download, obtain
from cmrbench.data.sources import needed

PAGE = Path(__file__).resolve().parents[1] / "docs" / "datasets.md"
AUDITED = ("emoji", "openclipart", "openclipart_tags", "wiki")
HEAD = """\
# Datasets

Made by `python tools/make_datasets_doc.py` out of `datasets.yaml`; change that file, not this page.

{count} datasets are registered. What to type for each stands below; [data.md](data.md) explains the commands,
[fetching.md](fetching.md) and [importing.md](importing.md) how files come here, [audit.md](audit.md) the checks.
Every entry also takes features that you bring: `cmrbench data import NAME --from FILE`, and then `NAME/imported`.

A split whose items are drawn is drawn by this project: in the order of a SHA-256 over seed and instance id, so that it
is the same everywhere. The permutations of the papers are not public: a split that is named after a paper has its
sizes, not its items.
"""
_BLOCK = re.compile(r"<!-- audit (\S+) -->\n(.*?)<!-- end of audit -->\n", re.DOTALL)


def render(catalogue: Catalogue, audits: Mapping[str, str]) -> str:
    """The page's text.

    Parameters
    ----------
    catalogue : Catalogue
    audits : mapping of dataset to str
        Markdown of the audits that the page shows.
    """
    names = catalogue.names()
    rows = [_overview(name, catalogue.entry(name)) for name in names]
    parts = [HEAD.format(count=len(names)), _table(("type", "dataset", "labels", "how it comes here"), rows)]
    parts += [_section(name, catalogue.entry(name), audits.get(name, "")) for name in names]
    return "\n".join(parts).rstrip("\n") + "\n"


def stored_audits(page: str) -> dict[str, str]:
    """The audits that a page shows, by dataset."""
    return dict(_BLOCK.findall(page))


def fresh_audits(names: Iterable[str]) -> dict[str, str]:
    """Audits of those datasets that are on this machine."""
    from cmrbench.core.errors import DatasetMissingError
    from cmrbench.data import load_dataset
    from cmrbench.data.audit import audit_dataset
    from cmrbench.data.audit.view import audit_markdown

    found = {}
    for name in names:
        try:
            dataset = load_dataset(name)
        except DatasetMissingError:
            continue
        found[name] = audit_markdown(audit_dataset(dataset)).rstrip("\n") + "\n"
    return found


def _overview(name: str, entry: Entry) -> tuple[str, ...]:
    download = obtain(entry)
    how = {"nothing": "with the package" if entry.folder else "made in memory"}.get(download.how, download.how)
    if entry.feature_sets and download.feature_set != entry.default_feature_set:
        how += f" (`{download.feature_set}`)"
    return f"[`{name}`](#{name})", entry.title, _labels(entry), ", ".join(filter(None, (how, _amount(download))))


def _labels(entry: Entry) -> str:
    if entry.labels is None:
        return "none"
    count = f"{entry.labels.classes} classes" if entry.labels.classes else "as the data has them"
    return count + (", several an item" if entry.labels.multilabel else "")


def _amount(download: Download) -> str:
    if not download.bytes:
        return ""
    unit, name = next((k, u) for k, u in ((10**9, "GB"), (10**6, "MB"), (1, "bytes")) if download.bytes >= k)
    return f"{'' if download.complete else 'over '}{download.bytes / unit:.1f} {name}"


def _section(name: str, entry: Entry, audit: str) -> str:
    also = [n for n in entry.names if n.lower() not in (name, entry.title.lower())]
    parts: list[str] = [f'<a id="{name}"></a>\n\n## {entry.title}: `{name}`\n', f"{_plain(entry.summary)}\n"]
    if also:
        parts.append(f"In papers: {', '.join(also)}.\n")
    if entry.aliases:
        parts.append(f"Also typed: {', '.join(f'`{alias}`' for alias in entry.aliases)}.\n")
    parts += [f"`{alias}`: {_plain(note)}.\n" for alias, note in entry.aliases.items() if note]
    parts.append(_code(_commands(name, entry)))
    if entry.obtain:
        parts.append(f"By hand: {_plain(entry.obtain).rstrip('.')}.\n")
    parts.append(f"Labels: {_labels(entry)}.\n")
    if entry.feature_sets:
        parts.append(_feature_sets(entry))
    parts += [_splits(entry), _protocols(entry), _sources(entry)]
    parts.append(f"Licence: {_plain(entry.licence).rstrip('.')}.\n")
    cited = entry.citation
    key = f" (BibTeX key `{cited.key}`)" if isinstance(cited, Citation) else ""
    parts.append(f"Cite: {_plain(entry.cited)}{key}\n")
    if entry.homepage:
        parts.append(f"Home: <{entry.homepage}>\n")
    if entry.problems:
        parts.append("Known problems:\n\n" + "".join(f"- {_plain(text)}\n" for text in entry.problems))
    if audit:
        parts.append(f"<!-- audit {name} -->\n{audit}<!-- end of audit -->\n")
    return "\n".join(filter(None, parts))


MAKERS = {"image": "--image clip-vit-b32", "text": "--text clip-vit-b32", "audio": "--audio mfcc"}
"""An extractor for each modality that has one; there is none for videos."""


def _commands(name: str, entry: Entry) -> list[tuple[str, str]]:
    """What to type, each with why."""
    if obtain(entry).how == "nothing":
        return [(f"cmrbench run --methods cca --datasets {name}", "nothing has to be brought")]
    lines: list[tuple[str, str]] = []
    brought = []
    for fs_name, feature_set in entry.feature_sets.items():
        typed = name if feature_set.default else f"{name}/{fs_name}"
        brings = entry.sources_of or typed
        ways = [needed(sources) for sources in entry.variants(feature_set).values()]
        fetched = next((files for files in ways if files and all(s.url for s in files)), None)
        if fetched is not None:
            lines.append((f"cmrbench data fetch {brings}", f"{fs_name}: {_files(fetched)}"))
        brought += [_files(files) for files in ways if files]
        raw = [m for m, spec in feature_set.modalities.items() if spec.kind == "raw"]
        if raw and MAKERS.keys() >= set(raw):
            lines.append((_extract(typed, raw), f"features of {fs_name}"))
    owner = entry.sources_of or name
    lines += [(f"cmrbench data import {owner} --from FOLDER", f"FOLDER holds {files}") for files in brought]
    lines.append((f"cmrbench data import {name} --from FILE", f"features of yours; then {name}/imported"))
    return list(dict.fromkeys(lines))


def _files(sources: Iterable[Source]) -> str:
    return ", ".join(s.file for s in sources)


def _extract(typed: str, raw: list[str]) -> str:
    known = MAKERS if "image" in raw else {**MAKERS, "text": "--text tfidf"}
    return " ".join([f"cmrbench extract {typed}", *(known[m] for m in raw)])


def _feature_sets(entry: Entry) -> str:
    rows = []
    for name, feature_set in entry.feature_sets.items():
        shown = f"`{name}`" + (" (default)" if feature_set.default else "")
        for modality, spec in feature_set.modalities.items():
            what = "; ".join(filter(None, (spec.extractor, spec.layer, spec.normalisation)))
            width = {"raw": "raw", "tokens": "words"}.get(spec.kind, str(spec.dims or "as it is"))
            rows.append((shown, modality, f"sets of {width}" if spec.kind == "set" else width, what))
            shown = ""
    return _table(("feature set", "modality", "columns", "what"), rows)


def _splits(entry: Entry) -> str:
    rows = []
    for name, split in entry.splits.items():
        sizes = ""
        if split.records:
            counts = {part: record.items for part, record in split.records.items()}
            sizes = " / ".join(str(counts.get(part, "-")) for part in SPLITS)  # type: ignore[call-overload]
        shown = f"`{name}`" + (" (default)" if name == entry.default_split else "")
        rows.append((shown, _plain(split.summary), ", ".join(split.used_by), sizes))
    columns = ("split", "how", "used by", "train / val / query / gallery")
    return _table(columns, rows) if any(row[1] for row in rows) else ""


def _protocols(entry: Entry) -> str:
    rows = []
    for p in entry.protocols:
        more = [f"{p.folds} folds"] if p.folds > 1 else []
        more += ["learned codes of the gallery"] if p.gallery_codes == "learned" else []
        rows.append(
            (
                f"`{p.name}`",
                " + ".join(p.query),
                " + ".join(p.gallery),
                ", ".join(p.outputs),
                "same label" if p.relevance == "label" else "same instance",
                ", ".join(p.metrics),
                ", ".join([*(f"`{s}`" for s in p.splits), *more]) or "all splits",
            )
        )
    return _table(("protocol", "queries", "gallery", "for", "relevant", "metrics", "where"), rows)


def _sources(entry: Entry) -> str:
    if entry.folder is not None or not entry.sources:
        return ""
    shared = f"The files are those of [`{entry.sources_of}`](#{entry.sources_of}).\n"
    if entry.sources_of:
        return shared
    rows: list[tuple[Any, ...]] = []
    for source in entry.sources:
        where = " or ".join(f"<{url}>" for url in source.url)
        told = "; ".join(filter(None, (source.origin, where)))
        what = "not read for features" if source.attachment else ""
        size = f"{source.bytes:,}" if source.bytes else ""
        rows.append((f"`{source.file}`", what, size, f"`{source.sha256}`" if source.sha256 else "", told))
    return _table(("file", "", "bytes", "SHA-256", "from"), rows)


def _code(commands: list[tuple[str, str]]) -> str:
    width = max(len(command) for command, _ in commands)
    return "".join(f"    {command.ljust(width)}  # {why}\n" for command, why in commands)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    cell: Callable[[Any], str] = lambda value: str(value).replace("|", "\\|")  # noqa: E731
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*head, *(f"| {' | '.join(map(cell, row))} |" for row in rows)]) + "\n"


def _plain(text: str) -> str:
    return " ".join(text.split())


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page; 1 if it is not what the registry says."""
    parser = argparse.ArgumentParser(description="Write docs/datasets.md out of datasets.yaml.")
    parser.add_argument("--keep-audits", action="store_true", help="do not audit: keep the figures of the page")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if the page would change")
    parser.add_argument("--page", type=Path, default=PAGE, help="another page")
    options = parser.parse_args(arguments)
    old = options.page.read_text(encoding="utf-8") if options.page.is_file() else ""
    audits = stored_audits(old)
    if not (options.keep_audits or options.check):
        audits |= fresh_audits(AUDITED)
    new = render(load_catalogue(), audits)
    if options.check:
        if new != old:
            print(
                f"{options.page} is not what datasets.yaml says: run python tools/make_datasets_doc.py", file=sys.stderr
            )
        return int(new != old)
    options.page.write_text(new, encoding="utf-8")
    print(f"{options.page}: {len(new.splitlines())} lines, audits of {', '.join(audits) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
