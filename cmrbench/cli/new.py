"""``cmrbench new``: a working plugin file and its test, to start from."""

from __future__ import annotations

import importlib.util
import keyword
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from cmrbench.core.errors import UsageError

TEMPLATES = Path(__file__).parent / "templates"


def new_command(
    name: Annotated[str, typer.Argument(help="Name of the new method: lower case, as typed on the command line.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where to write the two files.")] = Path("."),
    hashing: Annotated[bool, typer.Option("--hash", help="Start from a method that gives hash codes.")] = False,
    supervised: Annotated[bool, typer.Option("--supervised", help="Start from a method that learns labels.")] = False,
) -> None:
    """Write a working plugin NAME.py and test_NAME.py, which passes every conformance check as it is."""
    _check_name(name)
    if not folder.is_dir():
        raise UsageError(f"the folder {folder} does not exist; create it, or name another with --dir")
    plugin, test = folder / f"{name}.py", folder / f"test_{name}.py"
    for path in (plugin, test):
        if path.exists():
            raise UsageError(f"{path} exists already and is left as it is; choose another name, or --dir")

    if importlib.util.find_spec(name) is not None:
        raise UsageError(f"{name}.py would hide the Python module {name} from tests beside it; choose another name")

    template = f"{'' if supervised else 'un'}supervised_{'hash' if hashing else 'real'}.py.txt"
    words = {"name": name, "cls": _class_name(name), "title": _class_name(name)}
    for path, source in ((plugin, template), (test, "test.py.txt")):
        try:
            text = Template((TEMPLATES / source).read_text(encoding="utf-8")).substitute(words)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}; choose another folder with --dir") from error
    typer.echo(f"wrote {plugin} and {test}; next:")
    typer.echo(f"  cmrbench check {plugin}")
    typer.echo(f"  cmrbench run --plugin {plugin} --methods {name} --datasets emoji")


def _check_name(name: str) -> None:
    from cmrbench.registry import load_methods

    if not (name.isascii() and name.isidentifier() and name == name.lower()) or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} cannot name a method: use a lower-case identifier of letters, digits and underscores, "
            "such as my_method"
        )
    if name.startswith(("_", "test_")):
        raise UsageError(f"{name!r} cannot name a method: folders of methods leave out files that start like that")
    table = load_methods()
    if name in table.names():
        raise UsageError(f"there is a method {name} already ({table.ref(name).origin}); choose another name")


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_")) or "NewMethod"
