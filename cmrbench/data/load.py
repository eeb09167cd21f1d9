"""Opening a dataset by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.core.names import DatasetName

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.data.catalogue import Catalogue


def load_dataset(
    name: str | DatasetName, feature_set: str | None = None, catalogue: Catalogue | None = None, **params: Any
) -> Dataset:
    """Open a registered dataset; the first time, its sources are checked, read, validated and prepared.

    Parameters
    ----------
    name : str or DatasetName
        ``NAME[/FEATURE_SET][:SPLIT][+TRANSFORM=VALUE]...``: a name or alias of datasets.yaml (``"emoji"``), or with
        its feature set, split and transforms (``"emoji/multilingual"``, ``"wiki:drcl+noise=0.4"``).
    feature_set : str, optional
        In the place of the one in `name`.
    catalogue : Catalogue, optional
        `cmrbench.data.catalogue.load_catalogue` if left out.
    **params
        Parameters of `cmrbench.data.synthetic.make_synthetic`; other datasets have none.

    Returns
    -------
    Dataset
        Its arrays are memory-mapped, one split at a time, when they are asked for.

    Raises
    ------
    UnknownNameError
        If nothing is registered under the name.
    DatasetMissingError
        If the dataset is not on this machine.
    DataError
        If its files are not what they should be, or the cache folder cannot be written.
    """
    asked = name if isinstance(name, DatasetName) else DatasetName.parse(name)
    if feature_set is not None:
        asked = DatasetName(asked.dataset, feature_set, asked.split, asked.transforms)
    if catalogue is None:
        from cmrbench.data.catalogue import load_catalogue

        catalogue = load_catalogue()
    if catalogue.entry(asked.dataset).builder == "synthetic":
        catalogue.entry(asked.dataset).feature_set(asked.dataset, asked.feature_set)
        dataset = _synthetic(params)
    else:
        if params:
            raise UsageError(f"dataset {asked.dataset!r} has no parameters, got {', '.join(params)}")
        dataset = _prepared(asked, catalogue)
    if asked.transforms:
        from cmrbench.data.transforms import apply

        dataset = apply(dataset, asked.transforms)
    return dataset


def _prepared(asked: DatasetName, catalogue: Catalogue) -> Dataset:
    from cmrbench.data.prepared import MANIFEST, open_prepared, prepared_folder
    from cmrbench.data.resolve import resolve

    resolved = resolve(asked, catalogue)
    folder = prepared_folder(resolved)
    if not (folder / MANIFEST).is_file():
        from cmrbench.data.prepare import prepare

        prepare(resolved, folder)
    return open_prepared(folder, resolved)


def _synthetic(params: Mapping[str, Any]) -> Dataset:
    import inspect

    from cmrbench.data.synthetic import make_synthetic

    known = inspect.signature(make_synthetic).parameters
    for param in params:
        if param not in known:
            raise UnknownNameError("parameter of synthetic", param, known)
    return make_synthetic(**params)
