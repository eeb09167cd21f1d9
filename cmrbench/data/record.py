"""What a source folder holds beside the files: the record of these, with size, SHA-256 and origin, and downloads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmrbench.core.errors import DataError
from cmrbench.data.cache import write_whole

RECORD = "import.json"
PART, STATE, REJECTED = ".part", ".part.json", ".rejected"
"""How the names end of an unfinished download, of what is known of it, and of a file that was not the right one."""


def write_record(folder: Path, dataset: str, variant: str, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the record in one step.

    Parameters
    ----------
    folder : Path
        The dataset's source folder.
    dataset : str
        Registered name of the dataset that owns the folder.
    variant : str
        Which alternative set of files it holds.
    files : mapping of file name to mapping
        ``bytes`` and ``sha256``; for a file that was fetched also ``url`` and ``date``.
    """
    record = {"dataset": dataset, "variant": variant, "files": {name: dict(known) for name, known in files.items()}}
    write_whole(folder / RECORD, json.dumps(record, indent=1), "write down what was brought")


def recorded_files(folder: Path) -> dict[str, dict[str, Any]]:
    """What the record says of each file; nothing where there is no record.

    Raises
    ------
    DataError
        If the record is damaged.
    """
    path = folder / RECORD
    try:
        files = json.loads(path.read_bytes())["files"]
        return {str(name): {**known, "sha256": str(known["sha256"])} for name, known in files.items()}
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); make it readable") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path} is damaged; delete it and fetch or import the dataset again") from None
