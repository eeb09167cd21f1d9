"""The site's folder: whole or not there, nothing else is replaced."""

from pathlib import Path

import pytest

from cmrbench.core.errors import UsageError
from cmrbench.report.site.folder import MARKER, check, publish

PAGES = [("index.html", "<p>one"), ("runs/a.html", "<p>a")]


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_new_folder_holds_the_pages_and_a_marker(tmp_path):
    index = publish(PAGES, tmp_path / "new" / "site")
    assert index.read_text() == "<p>one"
    assert names(tmp_path / "new") == [f"site/{MARKER}", "site/index.html", "site/runs/a.html"]


def test_a_site_is_replaced_as_a_whole(tmp_path):
    publish(PAGES, tmp_path / "site")
    publish([("index.html", "<p>two")], tmp_path / "site")
    assert names(tmp_path) == [f"site/{MARKER}", "site/index.html"]
    assert (tmp_path / "site" / "index.html").read_text() == "<p>two"


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "site").mkdir()
    publish(PAGES, tmp_path / "site")
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize("kind", ["foreign", "file", "link"])
def test_what_is_no_site_is_refused_and_left_alone(tmp_path, kind):
    target = tmp_path / "site"
    if kind == "file":
        target.write_text("mine")
    elif kind == "link":
        publish(PAGES, tmp_path / "other")
        target.symlink_to(tmp_path / "other")
    else:
        target.mkdir()
        (target / "thesis.tex").write_text("mine")
    before = names(tmp_path)
    with pytest.raises(UsageError, match="name a folder that is new, empty or a site made before"):
        publish(PAGES, target)
    assert names(tmp_path) == before


def test_what_fails_half_way_leaves_the_old_site(tmp_path):
    publish(PAGES, tmp_path / "site")

    def broken():
        yield "index.html", "<p>half"
        raise RuntimeError("a run cannot be read")

    with pytest.raises(RuntimeError):
        publish(broken(), tmp_path / "site")
    assert names(tmp_path) == [f"site/{MARKER}", "site/index.html", "site/runs/a.html"]
    assert (tmp_path / "site" / "index.html").read_text() == "<p>one"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        publish(PAGES, tmp_path / "file" / "site")


def test_check_accepts_what_publish_would(tmp_path):
    check(tmp_path / "new")
    publish(PAGES, tmp_path / "site")
    check(tmp_path / "site")


def test_the_folder_that_one_is_in_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="name one inside it"):
        check(Path())
    assert publish(PAGES, Path("site")).is_file()
