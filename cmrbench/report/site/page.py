"""Templates, and what makes a page safe: escaped text, a strict content policy, data that cannot end its element."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

SCRIPTS = ("core.js", "tables.js", "plots.js", "figures.js", "charts.js", "gallery.js", "main.js")
"""Parts of the page's own script, in the order in which they need each other."""

_EMPTY_STYLE = ""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


@cache
def environment() -> Environment:
    """The templates, with every value escaped and an error for a name that is not there."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("cmrbench.report.site", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _printable(value: Any) -> Any:
    """Texts without control characters and direction overrides; what the templates made themselves as it is."""
    return _UNPRINTABLE.sub(" ", value) if type(value) is str else value


@cache
def asset(name: str) -> str:
    """A style or script of this package."""
    return resources.files("cmrbench.report.site").joinpath("static", name).read_text(encoding="utf-8")


@cache
def own_script() -> str:
    """The page's script as one text."""
    return '"use strict";\n(() => {\n' + "\n".join(asset(name) for name in SCRIPTS) + "\n})();"


@cache
def chart_library() -> str:
    """Plotly's script, as it is inserted into the page when the first chart comes near the screen."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("\r\n", "\n")


@cache
def packed_library() -> str:
    """The chart library, packed."""
    return packed(chart_library())


@cache
def guards() -> tuple[str, ...]:
    """Ids by which the chart library sees that a style of its own is there already: those of maps, which the content
    policy forbids and no chart needs."""
    return tuple(sorted(set(re.findall(r'getElementById\("([0-9a-f]{64})"\)', chart_library()))))


def packed(text: str) -> str:
    """Gzip in base64: a third of the size, and no character that means something in HTML."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def packed_json(value: Any) -> str:
    """A JSON value, packed."""
    return packed(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def hashed(text: str) -> str:
    """The source expression of a content policy that allows this one script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(styles: list[str], scripts: list[str], *, charts: bool = False) -> str:
    """A content policy: nothing is loaded, only these styles and scripts run, pictures are data.

    Parameters
    ----------
    styles, scripts : list of str
        Full texts of the elements.
    charts : bool
        Whether the chart library runs. It sets style attributes and fills empty style elements by script; the pages
        themselves have no style attribute.
    """
    parts = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    elements = " ".join(map(hashed, [*styles, *([_EMPTY_STYLE] if charts else [])]))
    if charts:
        parts += [f"style-src {elements}", f"style-src-elem {elements}", "style-src-attr 'unsafe-inline'"]
    else:
        parts.append(f"style-src {elements}")
    if scripts:
        parts += [f"script-src {' '.join(map(hashed, scripts))}", "img-src data:"]
    return "; ".join(parts)
