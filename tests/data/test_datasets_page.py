"""docs/datasets.md says what the registry says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmrbench.data import import_dataset, load_catalogue, load_dataset
from tools import make_datasets_doc as doc

PAGE = doc.PAGE.read_text(encoding="utf-8")


def test_the_page_is_what_the_registry_says() -> None:
    made = doc.render(load_catalogue(), doc.stored_audits(PAGE))
    assert made == PAGE, "run python tools/make_datasets_doc.py --keep-audits"


def test_another_registry_makes_another_page(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE.replace("rasiwasia2010crossmodal", "another"), encoding="utf-8")
    assert doc.main(["--check", "--page", str(path)]) == 1
    assert doc.main(["--keep-audits", "--page", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == PAGE
    assert doc.main(["--check", "--page", str(path)]) == 0


@pytest.mark.parametrize("name", load_catalogue().names())
def test_every_dataset_says_what_to_type(name: str) -> None:
    section = PAGE.partition(f'<a id="{name}"></a>')[2].partition('<a id="')[0]
    typed = re.findall(r"^    cmrbench (.+?)  # ", section, flags=re.MULTILINE)
    assert any(f" {name}" in line for line in typed)
    for part in ("Labels: ", "Licence: ", "Cite: ", "| protocol |"):
        assert part in section
    assert not re.search(r"\bNone\b(?! is)", section.partition("<!-- audit")[0])


def audited(name: str) -> str:
    """The fingerprint of the data that the page's audit is about."""
    found = re.search(r"\(data `([0-9a-f]{16})`", doc.stored_audits(PAGE)[name])
    assert found
    return found[1]


@pytest.mark.parametrize("name", ["emoji", "openclipart", "openclipart_tags"])
def test_audits_are_of_the_data_that_ships(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMRBENCH_DATA", str(tmp_path))
    assert load_dataset(name).fingerprint.startswith(audited(name))


def test_the_audit_of_wiki_is_of_the_registered_data(
    wiki_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMRBENCH_DATA", str(tmp_path))
    import_dataset("wiki", wiki_source)
    assert load_dataset("wiki").fingerprint.startswith(audited("wiki"))
    assert "0 leaks" in doc.stored_audits(PAGE)["wiki"]
