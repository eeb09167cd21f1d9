"""Miniature archives and what a builder is asked of them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmrbench.data.archives import SourceTree
from cmrbench.data.builders import build
from cmrbench.data.builders.base import BuildRequest
from cmrbench.data.catalogue import Entry
from cmrbench.data.content import Content

RAW = {"image": {"kind": "raw"}, "text": {"kind": "raw"}}


def write_zip(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """A zip archive of these members, in this order; text is UTF-8 and keeps its line ends."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """A tar archive of these members, in this order, gzipped if its name says so; text is UTF-8."""
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def make_entry(builder: str, modalities: Mapping[str, Mapping[str, Any]], **fields: Any) -> Entry:
    """A registered dataset with one feature set; each modality's extractor may be left out."""
    described = {m: {"extractor": "x", **spec} for m, spec in modalities.items()}
    return Entry.model_validate(
        {
            "title": "Mini",
            "summary": "Made for a test.",
            "licence": "none",
            "citation": "none",
            "builder": builder,
            "sources": [{"file": "archive.zip"}],
            "feature_sets": {"mini": {"default": True, "modalities": described}},
            "protocols": [{"name": "test", "query": ["query"], "gallery": ["query"]}],
        }
        | fields
    )


def run_builder(entry: Entry, folder: Path, scratch: Path, variant: str = "") -> Content:
    """What the entry's builder makes of the files in `folder`."""
    scratch.mkdir(parents=True, exist_ok=True)
    with SourceTree(folder) as tree:
        return build(BuildRequest("mini", entry, entry.feature_sets["mini"], tree, scratch, variant))
