"""What `cmrbench report --html` needs beside the store: pictures and texts of datasets, citations, a browser."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import CmrbenchError

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.core.protocol import Protocol
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.catalogue import Catalogue
    from cmrbench.report.site import Collection, Place, ShownItem

_MOST_BYTES = 20_000
_SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def write_site(results: Path, folder: Path | None, datasets: Sequence[str] = (), *, opened: bool = False) -> None:
    """Write the site of a results folder, say where it is, and open it if asked to.

    Parameters
    ----------
    results : Path
    folder : Path or None
        None: a temporary folder, which is left there for the browser.
    datasets : sequence of str
        Only these; empty for all.
    opened : bool
        Whether the page is opened in the user's browser.
    """
    import tempfile

    import typer

    where = folder if folder is not None else Path(tempfile.mkdtemp(prefix="cmrbench-site-"))
    index, notes = make_site(results, where, datasets)
    for note in notes:
        typer.echo(f"left out: {note}", err=True)
    typer.echo(f"wrote {index}")
    if opened and not open_in_browser(index):
        typer.echo(f"no browser was found; open {index.resolve().as_uri()}, or `cmrbench serve {where}`")


def make_site(results: Path, folder: Path, datasets: Sequence[str] = ()) -> tuple[Path, tuple[str, ...]]:
    """Write the site of a results folder; the index page, and what was left out of it.

    Parameters
    ----------
    results, folder : Path
    datasets : sequence of str
        Only these; empty for all.

    Raises
    ------
    CmrbenchError
        If there are no results, or the folder must not be replaced or cannot be written.
    """
    from cmrbench.report.site import SiteOptions, build_site, publish
    from cmrbench.report.site.folder import check
    from cmrbench.store.store import Store

    check(folder)
    with ExitStack() as stack:
        options = SiteOptions(
            datasets=datasets,
            name=results.resolve().name,
            citation=_citation(results),
            resolver=EmbeddedItems(stack),
        )
        site = build_site(Store(results), options)
        return publish(site.pages, folder), site.notes


def open_in_browser(page: Path) -> bool:
    """Open a page in the user's browser; whether there is one."""
    import webbrowser

    try:
        return webbrowser.open(page.resolve().as_uri())
    except webbrowser.Error:
        return False


def _citation(results: Path) -> str:
    """BibTeX of what the results folder holds; empty where it cannot be made."""
    from cmrbench.citing import cite, to_bibtex, used_in
    from cmrbench.data import load_catalogue
    from cmrbench.registry import load_methods

    try:
        methods, datasets = used_in(results)
        return to_bibtex(cite(methods, datasets, load_methods(), load_catalogue(), strict=False))
    except CmrbenchError:
        return ""


class EmbeddedItems:
    """Pictures and texts of the datasets that come with the package; their licences allow to pass them on.

    Parameters
    ----------
    stack : ExitStack
        Closes the files that are opened here.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._opened: dict[tuple[str, str], _Opened | str] = {}

    def open(self, place: Place) -> Collection | str:
        """The items behind a protocol of a dataset, or why they are not shown."""
        key = (place.dataset, place.feature_set)
        if key not in self._opened:
            self._opened[key] = self._open(place)
        opened = self._opened[key]
        if isinstance(opened, str):
            return opened
        if opened.dataset.fingerprint != place.dataset_fingerprint:
            return (
                f"no gallery: the results are of data {place.dataset_fingerprint[:8]}, "
                f"on this machine is {opened.dataset.fingerprint[:8]}"
            )
        for protocol in opened.dataset.protocols:
            if protocol.fingerprint == place.protocol_fingerprint:
                return _Items(opened, protocol)
        return f"no gallery for protocol {place.protocol}: it has changed since, and positions may mean other items"

    def _open(self, place: Place) -> _Opened | str:
        from cmrbench.core.names import DatasetName
        from cmrbench.data import load_catalogue, load_dataset
        from cmrbench.data.archives import SourceTree
        from cmrbench.data.describe import state
        from cmrbench.data.resolve import resolve

        shown = "no gallery: pictures and texts are shown for datasets that come with the package"
        try:
            asked = DatasetName.parse(place.dataset)
            asked = DatasetName(asked.dataset, place.feature_set or None, asked.split, asked.transforms)
            catalogue: Catalogue = load_catalogue()
            if state(catalogue, asked.dataset) != "embedded":
                return shown
            if asked.transforms:
                return "no gallery for transformed data"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                resolved = resolve(asked, catalogue)
                dataset = load_dataset(asked, catalogue=catalogue)
        except CmrbenchError as error:
            return f"no gallery: {error}"
        files = sorted(path.name for path in resolved.located.folder.iterdir() if path.is_file())
        tree = self._stack.enter_context(SourceTree(resolved.located.folder, files))
        return _Opened(dataset, tree, f"{resolved.entry.title}: {resolved.entry.licence}")


@dataclass(frozen=True)
class _Opened:
    dataset: Dataset
    tree: SourceTree
    credit: str


class _Items:
    """The items of one protocol: texts and pictures as the dataset tells them, in the order of its splits."""

    def __init__(self, opened: _Opened, protocol: Protocol) -> None:
        self._opened = opened
        self._splits = {"query": protocol.query, "gallery": protocol.gallery}
        self._known: dict[tuple[str, str], tuple[Any, list[str], list[str]]] = {}

    @property
    def credit(self) -> str:
        """Licence and attribution."""
        return self._opened.credit

    def items(self, side: str, modality: str, positions: Sequence[int]) -> list[ShownItem]:
        """Items at positions among the protocol's queries or gallery."""
        from cmrbench.report.site import ShownItem

        items, texts, pictures = self._all(side, modality)
        classes = self._opened.dataset.classes
        shown = []
        for position in positions:
            if not 0 <= position < len(items):
                shown.append(ShownItem(f"item {position}"))
                continue
            labels = (
                ()
                if items.labels is None
                else tuple(c for c, on in zip(classes, items.labels[position], strict=True) if on)
            )
            picture = self._picture(pictures[position]) if pictures else b""
            text = texts[position] if texts else ""
            shown.append(ShownItem(str(items.ids[position]), text, picture, _type(picture), labels))
        return shown

    def _all(self, side: str, modality: str) -> tuple[Any, list[str], list[str]]:
        if (side, modality) not in self._known:
            dataset, splits = self._opened.dataset, self._splits[side]
            items = dataset.part(*splits)[modality]
            texts = [text for split in splits for text in dataset.texts(split, modality) or []]
            pictures = [name for split in splits for name in dataset.pictures(split, modality) or []]
            self._known[side, modality] = (
                items,
                texts if len(texts) == len(items) else [],
                pictures if len(pictures) == len(items) else [],
            )
        return self._known[side, modality]

    def _picture(self, reference: str) -> bytes:
        from cmrbench.data.pictures import read_picture

        try:
            found = read_picture(self._opened.tree, reference)
        except CmrbenchError:
            return b""
        return found if len(found) <= _MOST_BYTES else b""


def _type(picture: bytes) -> str:
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for start, mime in _SIGNATURES.items() if picture.startswith(start)), "")
