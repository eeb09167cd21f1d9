"""Reader of the unpacked package openclipart-svg: the metadata in each SVG file, and its picture."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from cmrbench.core.errors import DataError
from tools import pictures
from tools.pictures import Picture

RENDERED_SIDE = 256
SECONDS_A_FILE = 60


@dataclass(frozen=True)
class Drawing:
    """An SVG file and what its RDF block says; all fields may be empty but path and hash."""

    path: str  # relative to the archive's root, with forward slashes
    sha256: str
    titles: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    aliases: tuple[str, ...] = field(default=())  # links to this file

    @property
    def folders(self) -> list[str]:
        """The names of the folders above the file, in lower case."""
        return folders_of(self.path)

    @property
    def keyword_set(self) -> set[str]:
        """Its keywords in lower case."""
        return {keyword.lower().strip() for keyword in self.keywords}

    @property
    def in_public_domain(self) -> bool:
        """Whether the file itself states the public domain, and nowhere the GPL."""
        stated = " ".join(self.licences).lower().replace(" ", "")
        return "publicdomain" in stated and "gpl" not in stated


def folders_of(path: str) -> list[str]:
    """The names of the folders above a file, in lower case."""
    return path.lower().split("/")[:-1]


def read_archive(root: Path) -> list[Drawing]:
    """All SVG files below ``root``, by path; links count as further names of the file that they lead to."""
    aliases: dict[str, list[str]] = {}
    files = []
    for path in sorted(root.rglob("*"), key=Path.as_posix):
        if path.is_symlink():
            aliases.setdefault(_relative(path.resolve(), root.resolve()), []).append(_relative(path, root))
        elif path.suffix == ".svg":
            files.append(path)
    if not files:
        raise DataError(f"{root}: expected the SVG files of openclipart-svg there, found none")
    return [_read(path, _relative(path, root), aliases) for path in files]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _read(path: Path, name: str, aliases: dict[str, list[str]]) -> Drawing:
    content = path.read_bytes()
    return Drawing(
        path=name,
        sha256=hashlib.sha256(content).hexdigest(),
        aliases=tuple(aliases.get(name, ())),
        **read_metadata(content, name),
    )


def read_metadata(svg: bytes, name: str) -> dict[str, tuple[str, ...]]:
    """Titles, descriptions, keywords, authors and licences of an SVG file's ``cc:Work`` blocks.

    The archive's files use several versions of the Creative Commons and Dublin Core namespaces, and some are not
    well-formed; so elements are known by their local names, and the parser recovers. It resolves no entities and
    reads nothing from the network.
    """
    from lxml import etree

    parser = etree.XMLParser(recover=True, huge_tree=True, resolve_entities=False, no_network=True)
    root = etree.fromstring(svg, parser)
    if root is None:
        raise DataError(f"{name}: expected an SVG file, found nothing that can be read as XML")
    found: dict[str, list[str]] = {key: [] for key in ("titles", "descriptions", "keywords", "authors", "licences")}
    for work in _named(root.iter(), "work"):
        for element in _elements(work):
            match _local_name(element):
                case "title":
                    found["titles"].append(_content(element))
                case "description":
                    found["descriptions"].append(_content(element))
                case "subject":
                    entries = list(_named(element.iter(), "li")) or [element]
                    found["keywords"].extend(_content(entry) for entry in entries)
                case "creator":
                    found["authors"].append(_content(element))
                case "license":
                    found["licences"].extend(element.attrib.values())
    for key in ("descriptions", "keywords"):
        found[key] = [value for value in found[key] if value]
    return {key: tuple(values) for key, values in found.items()}


def _elements(nodes: Iterable[Any]) -> Iterator[Any]:
    """The nodes that are elements; comments and processing instructions have no name."""
    return (node for node in nodes if isinstance(node.tag, str))


def _local_name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def _named(nodes: Iterable[Any], name: str) -> Iterator[Any]:
    return (element for element in _elements(nodes) if _local_name(element) == name)


def _content(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


@dataclass(frozen=True)
class Renderer:
    """The program ``rsvg-convert``, the fonts it may use, and how many files it draws at the same time.

    About seventy drawings of the dataset contain letters. Letters are drawn with whatever fonts a machine has, and
    other letters are other pictures, other look-alikes and thus other splits: so the fonts are fixed here.
    """

    program: str
    fonts: Path
    font_rules: Path
    jobs: int

    def draw(self, files: Sequence[Path]) -> list[Picture | None]:
        """The picture of each file at `pictures.SIDE`; None where the program fails or nothing is drawn."""
        with font_environment(self.fonts, self.font_rules) as environment, ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(lambda path: _render(path, self.program, environment), files))


@contextmanager
def font_environment(fonts: Path, rules: Path) -> Iterator[dict[str, str]]:
    """Environment variables under which fontconfig knows the fonts of one folder and no others.

    Parameters
    ----------
    fonts
        Folder of font files.
    rules
        Folder of fontconfig rules, which name substitutes for fonts that a file asks for and that are not there.
    """
    with TemporaryDirectory() as folder:
        config = Path(folder) / "fonts.conf"
        config.write_text(
            '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>'
            f"<dir>{escape(str(fonts))}</dir><include>{escape(str(rules))}</include>"
            f"<cachedir>{escape(folder)}/cache</cachedir></fontconfig>\n",
            encoding="utf-8",
        )
        yield {**os.environ, "FONTCONFIG_FILE": str(config)}


def _render(path: Path, program: str, environment: dict[str, str]) -> Picture | None:
    from PIL import Image

    size = ["-w", str(RENDERED_SIDE), "-h", str(RENDERED_SIDE), "--keep-aspect-ratio"]
    command = [program, *size, "--background-color=#ffffff", "--format=png", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS_A_FILE, check=False, env=environment)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0 or not done.stdout:
        return None
    raw = np.asarray(Image.open(io.BytesIO(done.stdout)).convert("RGB"))
    mask = pictures.ink(raw, 245)
    if mask.sum() < 60:
        return None
    return pictures.resize(pictures.centre_on_square(raw, mask), pictures.SIDE)
