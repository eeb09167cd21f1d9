"""How a dataset that is not here is had: what a program can fetch, how large that is, what a person has to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cmrbench.data.archives.folder import BY_HAND
from cmrbench.data.sources import needed

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Entry, FeatureSet, Source


@dataclass(frozen=True)
class Download:
    """The files of the default feature set, or of the first one that can be fetched.

    Attributes
    ----------
    how : str
        ``"nothing"``: made in memory, or part of the package. ``"fetch"``: a program can bring everything;
        ``"fetch and unpack"``: and a person unpacks an archive that cannot be read; ``"fetch, rest by hand"``: some
        files have an address; ``"by hand"``: none has; ``"bring features"``: there are no registered files.
    feature_set : str
        The one that this is about.
    bytes : int
        To download, as far as sizes are registered.
    complete : bool
        Whether all sizes are registered.
    """

    how: str
    feature_set: str
    bytes: int = 0
    complete: bool = True


def obtain(entry: Entry) -> Download:
    """How the sources of an entry are had."""
    default = entry.default_feature_set
    if entry.builder == "synthetic" or entry.folder is not None:
        return Download("nothing", default)
    if not entry.feature_sets:
        return Download("bring features", default)
    ordered = {default: entry.feature_sets[default], **entry.feature_sets}
    best = max((_of(entry, name, fs) for name, fs in ordered.items()), key=lambda d: _RANK[d.how])
    own = _of(entry, default, entry.feature_sets[default])
    return own if _RANK[own.how] == _RANK[best.how] else best


_RANK = {"by hand": 0, "fetch, rest by hand": 1, "fetch and unpack": 2, "fetch": 3}


def _of(entry: Entry, name: str, feature_set: FeatureSet) -> Download:
    ways = [_way(name, sources) for sources in entry.variants(feature_set).values()]
    return max(ways, key=lambda d: _RANK[d.how])


def _way(name: str, sources: list[Source]) -> Download:
    files = needed(sources)
    with_url = [s for s in files if s.url]
    if not with_url:
        return Download("by hand", name)
    how = "fetch" if len(with_url) == len(files) else "fetch, rest by hand"
    if how == "fetch" and any(s.file.lower().endswith(BY_HAND) for s in files):
        how = "fetch and unpack"
    sizes = [s.bytes for s in with_url]
    return Download(how, name, sum(b or 0 for b in sizes), all(b is not None for b in sizes))


def first_words(text: str, most: int) -> str:
    """The first sentence of a text, cut at a blank with an ellipsis where it is longer than `most` characters."""
    sentence = " ".join(text.split()).split(". ")[0].rstrip(".")
    if len(sentence) <= most:
        return sentence
    return sentence[: most - 3].rpartition(" ")[0].rstrip(",;:") + "..."
