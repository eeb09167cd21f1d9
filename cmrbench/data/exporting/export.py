"""Export: a dataset in one of its splits, written for other programs, with what one must know to use it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.dataset import SPLITS
from cmrbench.core.errors import DataError, UnknownNameError
from cmrbench.core.names import registered_part
from cmrbench.data.content import split_digest, split_sizes
from cmrbench.data.exporting.formats import FORMATS
from cmrbench.data.exporting.layout import layout

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.data.catalogue import Catalogue, Entry
    from cmrbench.data.exporting.layout import Layout

MARK = "export.json"
README = "README.md"


def export_dataset(dataset: Dataset, kind: str, folder: Path, catalogue: Catalogue, force: bool = False) -> Path:
    """Write all splits of a dataset with features, labels, ids and instances, and a README.

    Parameters
    ----------
    dataset : Dataset
        With transforms, their training items are written as methods would learn from them.
    kind : str
        A key of `cmrbench.data.exporting.formats.FORMATS`.
    folder : Path
        Is made; it appears whole or not at all.
    catalogue : Catalogue
        Where licence and citation are looked up.
    force : bool
        Replace the folder if it is an earlier export.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UnknownNameError
        If there is no such format.
    DataError
        If the folder is there already, is no export, or cannot be written.
    """
    if kind not in FORMATS:
        raise UnknownNameError("export format", kind, FORMATS)
    final = folder.expanduser().absolute()
    _may_write(final, force)
    arrays = layout(dataset)
    entry = catalogue.entry(registered_part(dataset.name))
    with _whole(final) as temporary:
        names = FORMATS[kind][1](arrays, temporary)
        text = _readme(dataset, entry, kind, arrays, names)
        (temporary / README).write_text(text, encoding="utf-8")
        (temporary / MARK).write_text(json.dumps(_facts(dataset, kind), indent=1), encoding="utf-8")
    return final


def _may_write(final: Path, force: bool) -> None:
    if final.is_symlink() or (final.exists() and not final.is_dir()):
        raise DataError(f"{final} is there and is no folder; name a folder that is to be made")
    if not final.exists() or not any(final.iterdir()):
        return
    if not (final / MARK).is_file():
        raise DataError(f"{final} holds something else than an export; name a folder that is to be made")
    if not force:
        raise DataError(f"{final} holds an export already; replace it with --force, or name another folder")


@contextmanager
def _whole(final: Path) -> Iterator[Path]:
    """A folder beside `final` that takes its place when the block ends well."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    except OSError as error:
        raise DataError(f"cannot export to {final}: {error.strerror or error}; name another folder") from None
    made = temporary / "new"
    try:
        made.mkdir()
        yield made
        if final.exists():
            final.rename(temporary / "old")
        made.rename(final)
    except OSError as error:
        raise DataError(f"cannot export to {final}: {error.strerror or error}; name another folder") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _facts(dataset: Dataset, kind: str) -> dict[str, Any]:
    parts = {s: dataset.part(s) for s in SPLITS if s in dataset.sizes}
    return {
        "format": kind,
        "dataset": dataset.name,
        "feature_set": dataset.feature_set,
        "transforms": list(dataset.transforms),
        "fingerprint": dataset.fingerprint,
        "sizes": {s: split_sizes(part) for s, part in parts.items()},
        "splits": {s: split_digest(part) for s, part in parts.items()},
    }


def _readme(dataset: Dataset, entry: Entry, kind: str, arrays: Layout, names: dict[str, str]) -> str:
    from cmrbench.core.citation import Citation

    home = f"\nHome page: {entry.homepage}\n" if entry.homepage else ""
    cited = f"```bibtex\n{entry.citation.bibtex()}\n```" if isinstance(entry.citation, Citation) else entry.citation
    facts = [
        f"# {entry.title}",
        f"`{dataset.name}`, feature set `{dataset.feature_set}`, exported by cmrbench as {FORMATS[kind][0]}.",
        f"{entry.summary}\n{home}",
        f"## Licence\n{entry.licence}",
        f"## Citation\n{cited}",
        f"## Fingerprint\n`{dataset.fingerprint}`: SHA-256 over features, labels, ids and instances of all splits"
        + (", and the transforms." if dataset.transforms else "."),
        "## Items\n" + _table(("split", *dataset.modalities), _sizes(dataset)),
        "## Arrays\n" + _table(("array", "shape", "type", "what"), _rows(arrays, names)),
    ]
    if dataset.notes:
        facts.append("## Notes\n" + "\n".join(f"- {note}" for note in dataset.notes))
    if kind != "parquet" or len(arrays.tables) == 1:
        facts.append(
            f"## Read it again\n    cmrbench data import {registered_part(dataset.name)} --from {_file(kind)} --as NAME"
        )
    return "\n\n".join(facts) + "\n"


def _file(kind: str) -> str:
    return "FOLDER" if kind == "folder" else f"data.{kind}"


def _sizes(dataset: Dataset) -> list[list[str]]:
    return [
        [split, *(f"{dataset.sizes[split][m]:,}" for m in dataset.modalities)]
        for split in SPLITS
        if split in dataset.sizes
    ]


def _rows(arrays: Layout, names: dict[str, str]) -> list[list[str]]:
    return [
        [
            f"`{names[c.name]}`",
            " x ".join(f"{k:,}" for k in c.shape),
            "strings" if c.is_text else str(c.dtype),
            c.what,
        ]
        for c in arrays.all
    ]


def _table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
