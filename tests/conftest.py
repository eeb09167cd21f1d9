"""Fixtures that all rooms share: a cache of the tests' own, datasets, and the reference numbers."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Numerical libraries read this when they are imported: one thread each, as in a run, so that parallel workers do not
# fight for the processors and results repeat to the bit.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from cmrbench.core.dataset import Dataset  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lengths", action="store_true", help="also the tests of reference numbers at 16, 64, 128 bits")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--lengths"):
        left_out = pytest.mark.skip(reason="agreement beyond 32 bits is measured with --lengths")
        for item in items:
            if "lengths" in item.keywords:
                item.add_marker(left_out)


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of this test process; no test reads or writes the user's own."""
    folder = tmp_path_factory.mktemp("cmrbench-data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMRBENCH_DATA", str(folder))
        patch.delenv("CMRBENCH_DATASETS", raising=False)
        yield folder


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of test data that is not in the repository."""
    named = os.environ.get("CMRBENCH_TEST_DATA")
    if not named:
        pytest.skip("CMRBENCH_TEST_DATA is not set: it names the folder with wikipedia_classic/")
    if not Path(named).is_dir():
        pytest.skip(f"CMRBENCH_TEST_DATA names {named}, which is not a folder")
    return Path(named).absolute()


@pytest.fixture(scope="session")
def reference_dir(test_data: Path) -> Path:
    """The folder of reference numbers, beside the test data."""
    folder = test_data.parent / "reference"
    if not folder.is_dir():
        pytest.skip("there is no folder reference/ beside the one that CMRBENCH_TEST_DATA names")
    return folder


@pytest.fixture(scope="session")
def wiki_reference(reference_dir: Path) -> list[dict[str, str]]:
    """Rows of wiki_reference_numbers.csv."""
    path = reference_dir / "wiki_reference_numbers.csv"
    if not path.is_file():
        pytest.skip("there is no wiki_reference_numbers.csv in the folder of reference numbers")
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="session")
def emoji(cache_dir: Path) -> Dataset:
    """The embedded dataset emoji in its default feature set."""
    from cmrbench.data import load_dataset

    return load_dataset("emoji")


@pytest.fixture(scope="session")
def wiki_source(test_data: Path) -> Path:
    """The folder that `wiki` is imported from."""
    folder = test_data / "wikipedia_classic"
    if not (folder / "data.npz").is_file():
        pytest.skip("there is no wikipedia_classic/data.npz in the folder that CMRBENCH_TEST_DATA names")
    return folder


@pytest.fixture(scope="session")
def wiki(cache_dir: Path, wiki_source: Path) -> Dataset:
    """The classic Wikipedia features, imported into the tests' cache."""
    from cmrbench.data import import_dataset, load_dataset

    import_dataset("wiki", wiki_source)
    return load_dataset("wiki")
