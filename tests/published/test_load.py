"""What the tables hold, as VERIFY of the transcription counted it, and in cmrbench's own terms."""

import re
from collections import Counter

import pytest

from cmrbench.data import load_catalogue
from cmrbench.metrics import Metric
from cmrbench.published import (
    cells,
    datasets,
    methods,
    missing,
    papers,
    published_as,
    query_times,
    registered_as,
    select,
    setting_words,
    splits,
    tables,
    timings,
    words_of,
)
from cmrbench.published.words import read_words, registered
from cmrbench.registry import load_methods

COUNTS = {
    "survey": {"V": 112, "VI": 72, "VII": 320, "VIII": 274},
    "lcm": {"2": 180, "3": 84, "4": 160, "5": 144, "text 5.1": 8},
    "drcl": {"II": 420, "III": 144, "V": 252, "VI": 42},
}


def test_every_table_has_all_its_numbers():
    found = Counter((c.paper, c.table) for c in cells())
    assert found == {(paper, table): n for paper, own in COUNTS.items() for table, n in own.items()}
    assert len(cells()) == 2212
    assert Counter(c.table for c in missing()) == {"V": 20, "VIII": 14, "IX": 8}
    assert (len(timings()), len(query_times())) == (72, 8)


def test_no_cell_is_there_twice():
    kept = [
        (c.paper, c.table, c.method, c.variant, c.dataset, c.task, c.metric, c.bits) for c in (*cells(), *missing())
    ]
    assert len(set(kept)) == len(kept)
    timed = [(t.method, t.dataset) for t in timings()]
    assert len(set(timed)) == len(timed)


def test_numbers_keep_their_printed_digits():
    assert all(float(c.printed) == c.value for c in cells())
    assert {c.printed for c in cells()} > {"0.60", "0.5"}
    assert all(0 <= c.value <= 1 for c in cells())


def test_tables_and_papers_have_titles():
    for paper in papers():
        assert list(COUNTS[paper]) == [t for t in tables(paper) if t not in ("IX", "text 5.3")]


def test_metrics_are_those_of_the_engine():
    for name in {c.metric for c in cells()} - {"stage-1 MRR"}:
        assert str(Metric.parse(name)) == name


def test_datasets_are_registered_and_modalities_agree():
    catalogue = load_catalogue()
    assert {c.dataset for c in (*cells(), *missing())} | {t.dataset for t in timings()} <= set(catalogue.names())
    (xmedia,) = {frozenset(fs.modalities) for fs in catalogue.entry("xmedia").feature_sets.values()}
    wanted = {m for d in {d for c in select(cells(), dataset="xmedia") for d in c.directions} for m in d.split("->")}
    assert wanted == xmedia


def test_averages_name_the_directions_that_they_are_over():
    tasks = {c.task: c.directions for c in cells()}
    assert tasks["image->text"] == ("image->text",)
    assert tasks["image<->text"] == ("image->text", "text->image")
    assert len(set(tasks["all"])) == 20
    assert {c.is_average for c in select(cells(), task="all")} == {True}
    assert {d for c in cells() for d in c.directions} == set(tasks["all"])


def test_every_flag_has_words_and_every_word_a_flag():
    used = {flag for c in (*cells(), *missing()) for flag in c.flags}
    assert used == set(read_words()["flags"])
    assert all(words_of((flag,)) != ("",) for flag in used)


def test_every_setting_that_is_described_occurs():
    described = {rule["setting"] for rule in read_words()["settings"]}
    assert described <= {c.setting for c in cells()}
    assert setting_words("plain") == ""
    assert setting_words("2sknn") == "with the two-stage kNN search"


def test_an_unknown_origin_is_kept_as_such():
    unknown = [c for c in cells() if any(flag.startswith("origin_unknown") for flag in c.flags)]
    assert len(unknown) == 594


def test_rows_of_one_setting_name_the_same_search():
    assert {c.setting for c in select(cells(), paper="lcm", table="5")} == {"plain", "2sknn"}
    assert {c.search for c in select(cells(), paper="lcm", table=["2", "3"], method="lcm", variant="")} == {"2sknn"}
    assert {c.search for c in select(cells(), paper="drcl")} == {""}


def plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def test_no_registered_method_with_a_published_number_is_missed():
    """A registered name or title that the papers print, in whatever spelling, is the name of its published rows."""
    printed = {m: {plain(m), *map(plain, methods()[m].names_printed)} for m in {c.method for c in cells()}}
    table = load_methods()
    for name in table.names():
        spelt = {plain(name), plain(table.get(name).info.title)}
        same = {m for m, names in printed.items() if names & spelt}
        method, setting = published_as(name)
        # The dictionary hashing of 2014 is registered as dcdh; LCM prints another method under that name.
        assert same - {"dcdh_collab"} <= {method}, name
        assert not setting or any((c.method, c.setting) == (method, setting) for c in cells())


def test_names_that_differ_lead_both_ways():
    assert set(registered()) <= set(load_methods().names())
    for name, entry in registered().items():
        assert registered_as(entry.method, entry.setting) == name
    assert registered_as("dscmr", "2sknn") == "dscmr"
    assert published_as("cca") == ("cca", "")


def test_every_printed_method_and_dataset_is_described():
    assert {c.method for c in cells()} | {t.method for t in timings()} <= set(methods())
    assert {c.dataset for c in cells()} <= set(datasets())
    assert {methods()[c.method].output for c in cells()} == {"real", "hash"}
    assert {methods()[c.method].supervised for c in cells()} == {"yes", "no", "unknown"}
    assert all(c.method_printed in methods()[c.method].names_printed for c in cells())


@pytest.mark.parametrize(
    ("paper", "dataset", "sizes", "features"),
    [
        ("lcm", "wiki", "1942/215/462/462", "CLIP (main tables); gist/alexnet/vgg19/clip"),
        ("drcl", "wiki", "2173/231/-/462", "VGG"),
    ],
)
def test_splits_are_read(paper, dataset, sizes, features):
    (image,) = [s for s in splits() if (s.paper, s.dataset, s.modality) == (paper, dataset, "image")]
    assert (image.sizes, image.features) == (sizes, features)
