"""`cmrbench report --html` and `--open`, and what the gallery finds in the embedded datasets."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from site_store import fill
from test_site_pages import unpack
from typer.testing import CliRunner

from cmrbench.cli import app
from cmrbench.cli.site import EmbeddedItems
from cmrbench.core.errors import CmrbenchError, UsageError
from cmrbench.data import load_dataset
from cmrbench.report.site import Place, SiteOptions, build_site
from cmrbench.store.store import Store


def call(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("results")).folder


def test_html_writes_a_site_and_says_where(results, tmp_path):
    done = call("--results", results, "--html", tmp_path / "site")
    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path / 'site' / 'index.html'}" in done.output
    assert (tmp_path / "site" / "index.html").stat().st_size < 8_000_000
    assert len(list((tmp_path / "site" / "runs").iterdir())) == 25


def test_open_makes_a_folder_of_its_own_and_opens_it(results, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    done = call("--results", results, "--open")
    assert done.exit_code == 0, done.output
    (url,) = opened
    assert Path(url.removeprefix("file://")).name == "index.html"
    assert url.removeprefix("file://") in done.output


def test_without_a_browser_the_address_is_said(results, tmp_path, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    done = call("--results", results, "--open", "--html", tmp_path / "site")
    assert done.exit_code == 0
    assert (tmp_path / "site" / "index.html").as_uri() in done.output


def test_a_folder_of_other_files_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    done = call("--results", tmp_path / "missing", "--html", tmp_path)
    assert isinstance(done.exception, UsageError)
    assert "no site of cmrbench" in str(done.exception)


def test_other_options_do_not_go_with_it(results, tmp_path):
    done = call("--results", results, "--html", tmp_path / "site", "--metric", "mAP@50")
    assert isinstance(done.exception, UsageError)
    assert "only --results and --dataset go with them" in str(done.exception)


def test_no_results_are_one_sentence(tmp_path):
    done = call("--results", tmp_path, "--html", tmp_path / "site")
    assert isinstance(done.exception, CmrbenchError)
    assert not (tmp_path / "site").exists()


def test_serve_wants_a_site(tmp_path):
    done = CliRunner().invoke(app, ["serve", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert "cmrbench report --html" in str(done.exception)


@pytest.fixture(scope="module")
def emoji():
    return load_dataset("emoji")


def place(of, protocol="query-gallery", **changes):
    fields = {
        "dataset": of.name,
        "dataset_fingerprint": of.fingerprint,
        "feature_set": of.feature_set,
        "protocol": protocol,
        "protocol_fingerprint": of.protocol(protocol).fingerprint,
    }
    return Place(**(fields | changes))


def test_items_are_those_of_the_protocols_splits_in_their_order(emoji):
    with ExitStack() as stack:
        items = EmbeddedItems(stack).open(place(emoji, "query-train"))
        train, val = emoji.sizes["train"]["image"], emoji.sizes["val"]["image"]
        last_of_train, first_of_val, last = items.items("gallery", "image", [train - 1, train, train + val - 1])
        parts = {split: emoji.part(split)["image"] for split in ("train", "val")}
        assert [last_of_train.name, first_of_val.name, last.name] == [
            parts["train"].ids[-1],
            parts["val"].ids[0],
            parts["val"].ids[-1],
        ]
        (text,) = items.items("query", "text", [3])
        assert text.text == emoji.texts("query", "text")[3]
        assert last.labels == tuple(
            c for c, on in zip(emoji.classes, parts["val"].labels[-1], strict=True) if on
        )  # fmt: skip
        assert last.mime == "image/webp"
        assert last.picture[:4] == b"RIFF"
        assert "Noto Color Emoji" in items.credit


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset_fingerprint": "f" * 64}, "the results are of data ffffffff"),
        ({"protocol_fingerprint": "f" * 16}, "it has changed since"),
        ({"dataset": "emoji+noise=0.4"}, "no gallery for transformed data"),
        ({"dataset": "wiki", "feature_set": ""}, "datasets that come with the package"),
        ({"dataset": "of a plugin"}, "no gallery"),
        ({"dataset": "sketches", "feature_set": ""}, "no gallery"),
    ],
)
def test_other_data_is_not_shown(emoji, changes, reason):
    with ExitStack() as stack:
        answer = EmbeddedItems(stack).open(place(emoji, **changes))
    assert isinstance(answer, str)
    assert reason in answer


def test_positions_outside_show_no_item_of_another_place(emoji):
    with ExitStack() as stack:
        items = EmbeddedItems(stack).open(place(emoji))
        (shown,) = items.items("query", "image", [10_000])
    assert (shown.picture, shown.text, shown.labels) == (b"", "", ())


def test_hits_of_a_real_run_share_a_class_with_their_query(tmp_path):
    """Positions in records and items on the page mean the same, in every protocol and direction."""
    results = tmp_path / "results"
    asked = ["run", "--methods", "random_hash", "--datasets", "emoji", "--bits", "16", "--results", str(results)]
    done = CliRunner().invoke(app, [*asked, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    with ExitStack() as stack:
        site = build_site(Store(results), SiteOptions(resolver=EmbeddedItems(stack)))
    gallery = json.loads(unpack(site.index, "data-gallery"))
    labels = [set(item["l"]) for item in gallery["items"]]
    shown = [
        (bool(labels[query["i"]] & labels[item]), bool(hit))
        for place in gallery["places"]
        for direction in place["directions"]
        for query in direction["queries"]
        for items, hits in query["r"].values()
        for item, hit in zip(items, hits, strict=True)
    ]
    assert len(gallery["places"]) == 2
    assert len(shown) == 2 * 2 * 12 * 10
    assert {hit for _, hit in shown} == {True, False}
    assert all(expected == hit for expected, hit in shown)
