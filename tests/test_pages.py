"""The pages hold together: every link leads somewhere, and every command that stands there can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cmrbench.cli import app
from cmrbench.core.names import DatasetName
from cmrbench.data import load_catalogue
from cmrbench.data.transforms import parse
from cmrbench.registry import load_methods

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += [ROOT / "benchmarks" / "README.md", ROOT / "tools" / "README.md"]
ROOT_COMMAND: Any = get_command(app)
MADE = {"mine", "theirs", "imported", "hog-bow", "cnnf-bow", "hog-tfidf", "tfidf"}
"""Splits and feature sets that the pages make and then use."""
OWN = {"sketches", "my_method", "class_vectors"}
"""Datasets and methods of the reader's own."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Without blocks of code, in which headings and links are none."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings, and those that are written out."""
    text = prose(text_of(page))
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for heading in re.findall(r"^#{1,6} (.+)$", text, flags=re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(slug if slug not in found else f"{slug}-1")
    return found


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", prose(text_of(page))):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def commands(text: str) -> Iterator[str]:
    """The lines of code blocks that start with `cmrbench`, and code in sentences that does."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4,}(.*)$", prose(text), flags=re.MULTILINE)
    joined = "\n".join([*blocks, *indented])
    for line in re.sub(r"\s*\\\n\s*", " ", joined).splitlines():
        found = re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )?cmrbench (?=\S)(.*)", line)
        if found:
            yield found[1]
    yield from re.findall(r"`cmrbench (?!_)([^`]+)`", prose(text).replace("\n", " "))


def wrong(command: str) -> str:
    """What is wrong with a command line: a command, option, method or dataset that is none, an argument too many."""
    words = shlex.split(re.sub(r"\[(-[^]]*)\]", r"\1", command), comments=True)  # [--as NAME]: may be left out
    here, path = ROOT_COMMAND, []
    while words and hasattr(here, "commands"):
        if words[0] in ("--version", "--help", "-h"):
            return ""
        if words[0] not in here.commands:
            return f"no command {words[0]!r} in cmrbench {' '.join(path)}"
        here = here.commands[words[0]]
        path.append(words.pop(0))
    if not words or hasattr(here, "commands") or words == ["--help"]:
        return ""  # the command is only named
    words = [w for w in words if w != "..."]
    context = here.context_class(here, info_name=path[-1])
    try:
        given, left, _ = here.make_parser(context).parse_args(words)
    except Exception as error:
        return str(error) or repr(error)
    if left:
        return f"too many arguments: {left}"
    known = {*load_methods().names(), *OWN}
    named = [m for text in as_list(given.get("methods")) for m in text.split(",")]
    unknown = [m for m in named if re.split(r"[(\[+]", m)[0] not in known]  # lcm(quick)+2sknn: of compare
    if unknown:
        return f"no method {unknown[0]}"
    typed = [*as_list(given.get("datasets")), *as_list(given.get("name" if path[0] in ("data", "extract") else ""))]
    typed += as_list(given.get("names"))
    return next(filter(None, (unknown_dataset(name) for text in typed for name in text.split(","))), "")


def as_list(value: Any) -> list[str]:
    found = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    return [x for x in found if isinstance(x, str)]


def unknown_dataset(text: str) -> str:
    """What a name asks for that the registry does not have; names in capitals stand for any."""
    if re.match(r"[A-Z]", text) or "[" in text:
        return ""
    name = DatasetName.parse(text.removesuffix("..."))
    if name.dataset in OWN:
        return ""
    try:
        entry = load_catalogue().entry(name.dataset)
        if name.feature_set and name.feature_set not in {*entry.feature_sets, *MADE}:
            return f"no feature set {name.feature_set} of {name.dataset}"
        if name.split and name.split not in {*entry.splits, *MADE}:
            return f"no split {name.split} of {name.dataset}"
        for transform in name.transforms:
            parse(transform)
    except Exception as error:
        return f"{text}: {error}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_can_be_typed(page: Path) -> None:
    assert {c: why for c in commands(text_of(page)) if (why := wrong(c))} == {}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("data fetsh wiki", "no command 'fetsh'"),
        ("run --metods cca", "No such option"),
        ("run --methods cca,ccc", "no method ccc"),
        ("data info wiki emoji", "too many arguments"),
        ("run --methods cca --datasets emojis", "unknown dataset"),
        ("data audit wiki/nothing", "no feature set nothing"),
        ("data audit wiki:nothing", "no split nothing"),
        ("run --datasets wiki+nois=0.4", "nois"),
        ("data import wiki --from", "--from"),
    ],
)
def test_a_command_that_cannot_be_typed_is_found(command: str, said: str) -> None:
    assert said in wrong(command)


def test_commands_are_found_wherever_they_stand() -> None:
    text = "Type `cmrbench list\nmethods`.\n\n    cmrbench run \\\n        --suite quick  # all\n\n"
    text += "```console\n$ cmrbench cite\n```\n"
    assert list(commands(text)) == ["cite", "run --suite quick  # all", "list methods"]


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# One: `two`\n", encoding="utf-8")
    page = tmp_path / "a.md"
    page.write_text("[1](b.md#one-two) [2](b.md#three) [3](c.md) [4](#here)\n\n## Here\n", encoding="utf-8")
    assert broken_links(page) == ["b.md#three", "c.md"]


def test_every_option_says_what_it_is() -> None:
    silent = []

    def walk(command: Any, path: tuple[str, ...]) -> None:
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, (*path, name))
        for parameter in command.params:
            if not getattr(parameter, "help", None) and parameter.name != "help":
                silent.append(" ".join((*path, parameter.name)))

    walk(ROOT_COMMAND, ("cmrbench",))
    assert silent == []


@pytest.mark.parametrize("group", ["", "data", "list"])
def test_the_lists_of_commands_cut_nothing_off(group: str) -> None:
    from typer.testing import CliRunner

    shown = CliRunner().invoke(app, [*group.split(), "--help"], env={"COLUMNS": "80"}).output
    assert "..." not in shown.partition("Commands:")[2]
