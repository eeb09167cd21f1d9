"""The pages as text: what they say, what they leave out and say so, and that hostile texts stay texts."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from site_store import FINGERPRINT, INFO, OneDataset, fill, result, results

from cmrbench.core.errors import CmrbenchError, UnknownNameError
from cmrbench.report.site import SiteOptions, build_site, page


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def site(store):
    made = build_site(store, SiteOptions(name="my results", resolver=OneDataset(), citation="@misc{cmrbench}"))
    return made, dict(made.pages)


@pytest.fixture(scope="module")
def index(site):
    return site[1]["index.html"]


INLINE = ("a", "b", "i", "u", "sup", "small", "code", "span")


class Reader(HTMLParser):
    """Start tags with attributes, and the text outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.skipped = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.skipped += tag in ("script", "style")
        self.texts.append("" if tag in INLINE else " ")

    def handle_endtag(self, tag):
        self.skipped -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.skipped:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def unpack(text, name):
    import base64
    import gzip

    found = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', text)
    return gzip.decompress(base64.b64decode(found[1])).decode()


def test_the_page_says_what_was_measured_and_what_failed(index):
    text = Reader(index).text
    assert "7 methods on emoji" in text
    assert "my results" in text
    assert "25 runs" in text or ">25<" in index
    assert "24 done, 1 failed" in text
    assert "CVH, 64 bits, emoji, seed 0: failed: the matrix is singular" in text
    assert "engine" in text
    assert "@misc{cmrbench}" in text


def test_every_metric_has_its_table_and_the_main_one_is_marked(index):
    boards = [a for tag, a in Reader(index).tags if a.get("class") == "board"]
    found = sorted((a["data-output"], a["data-metric"], a["data-headline"]) for a in boards)
    assert found == [
        ("hash", "mAP@50", "0"),
        ("hash", "mAP@all", "1"),
        ("real", "mAP@50", "0"),
        ("real", "mAP@all", "1"),
    ]
    assert len({a["id"] for a in boards}) == 4


def test_addresses_of_tables_do_not_depend_on_numbers(store, index, tmp_path):
    other = fill(tmp_path / "other", [result("scm", 16), result("cca", None)])
    again = build_site(other, SiteOptions()).index
    ids = [{a["id"] for _, a in Reader(text).tags if a.get("class") == "board"} for text in (index, again)]
    assert ids[0] == ids[1]


def test_every_row_links_a_run_page_and_every_link_leads_somewhere(site):
    pages = site[1]
    for name, text in pages.items():
        tags = Reader(text).tags
        ids = {a["id"] for _, a in tags if "id" in a}
        for target in [a["href"] for tag, a in tags if tag == "a" and "href" in a]:
            if target.startswith("#"):
                assert target[1:] in ids, (name, target)
            else:
                folder = "runs/" if name.startswith("runs/") else ""
                path = (folder + target).replace("runs/../", "")
                assert path in pages, (name, target)
    rows = re.findall(r'<th scope="row"><a href="runs/', pages["index.html"])
    assert len(rows) >= 2 * len(INFO)


def test_a_run_page_tells_all(site):
    pages = [text for name, text in site[1].items() if name.startswith("runs/")]
    assert len(pages) == 25
    (text,) = [t for t in map(lambda p: Reader(p).text, pages) if t.count("BATCH, 32 bits, emoji, seed 1 ·")]
    for told in ("ridge 0.1", "seed 1", "mAP@all[pessimistic]", "animal 0.5", "Interpolated precision", "TKDE21"):
        assert told in text, told
    assert "cmrbench run --methods batch --datasets emoji --bits 32 --seeds 2 --preset none" in text
    (failed,) = [t for t in map(lambda p: Reader(p).text, pages) if "singular" in t]
    assert "LinAlgError" in failed
    assert all("plotly" not in p.lower() and "<script" not in p and len(p) < 60_000 for p in pages)


def test_the_commands_ask_for_all_runs(index):
    text = Reader(index).text
    assert (
        "cmrbench run --methods batch,imh,random_hash,scm --datasets emoji --bits 16,32 --seeds 2 --preset none" in text
    )
    assert "cmrbench run --methods cca,lcm --datasets emoji --seeds 2 --preset none" in text


def test_charts_hold_means_over_seeds(index):
    charts = json.loads(unpack(index, "data-charts"))
    assert len(charts) == 2
    values = [
        one for chart in charts.values() for row in chart["rows"].values() for one in [row.get("image->text|32")] if one
    ]
    assert any(one[0][0] == pytest.approx(0.5 + 0.032 + 0.001, abs=1e-4) for one in values)
    assert all(len(one[1]) == 21 and len(one[2]) == 2 for one in values)


def test_the_gallery_holds_queries_results_and_hits(index):
    gallery = json.loads(unpack(index, "data-gallery"))
    place = next(p for p in gallery["places"] if p["output"] == "hash")
    assert place["bits"] == 32
    assert [d["name"] for d in place["directions"]] == ["image → text", "text → image"]
    query = place["directions"][0]["queries"][1]
    assert gallery["items"][query["i"]]["n"] == "query-5"
    items, hits = next(iter(query["r"].values()))
    assert [gallery["items"][i]["t"] for i in items] == [f"text of gallery {p}" for p in range(5, 15)]
    assert hits == [1, 0] * 5
    assert "Squares: CC0" in Reader(index).text


def test_other_data_has_no_gallery_and_the_page_says_so(store):
    text = build_site(store, SiteOptions(resolver=OneDataset("f" * 64))).index
    assert json.loads(unpack(text, "data-gallery"))["places"] == []
    assert "no gallery: the results are of other data" in Reader(text).text


def test_results_without_curves_say_how_to_add_them(tmp_path):
    bare = result("scm", 16)
    records = tuple(replace(r, curves=None, per_class=None, top=()) for r in bare.records)
    text = build_site(fill(tmp_path, [replace(bare, records=records)]), SiteOptions(resolver=OneDataset())).index
    assert "1 tables have no curves" in Reader(text).text
    assert "the same cmrbench run adds them" in Reader(text).text
    assert json.loads(unpack(text, "data-charts")) == {}


def test_nothing_is_loaded_and_only_the_own_scripts_run(site):
    for name, text in site[1].items():
        tags = Reader(text).tags
        assert not [a for _, a in tags if "src" in a or "style" in a or any(k.startswith("on") for k in a)], name
        assert (
            not [t for t, _ in tags if t in ("link", "iframe", "object", "embed", "base", "img", "form")]
            or name == "index.html"
        )
        (policy,) = [a["content"] for t, a in tags if a.get("http-equiv") == "Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'")
        assert "unsafe-inline" not in policy.replace("style-src-attr 'unsafe-inline'", "")
        assert "unsafe-eval" not in policy
        for kind in ("script", "style"):
            for found in re.findall(rf"<{kind}>(.*?)</{kind}>", text, flags=re.DOTALL):
                assert page.hashed(found) in policy, (name, kind)


HOSTILE = (
    '</script><script>window.bad=1</script><img src=x onerror="window.bad=1">"\'><svg onload=window.bad=1>'
    "{{ 7*7 }}{% raw %}<a href='javascript:window.bad=1'>x</a>\u202e\u2066\u2028\x00\x1b[31m</style></title>"
)


def hostile_store(folder):
    """Every text column of every run holds markup."""
    spoiled = []
    for one in results():
        spec = replace(
            one.spec,
            method=one.spec.method + HOSTILE,
            dataset="emoji" + HOSTILE,
            feature_set=HOSTILE,
            preset=HOSTILE,
            params=(("p" + HOSTILE, HOSTILE),),
        )
        texts = {"protocol": HOSTILE, "retrieval": HOSTILE, "flags": (HOSTILE,)}
        records = tuple(
            replace(
                r,
                **texts,
                query_modality=r.query_modality + HOSTILE,
                gallery_modality=r.gallery_modality + HOSTILE,
                per_class=r.per_class and {name + HOSTILE: v for name, v in r.per_class.items()},
            )
            for r in one.records
            if "span" not in r.flags
        )
        spoiled.append(
            replace(
                one,
                spec=spec,
                run_key=one.run_key,
                cause=HOSTILE,
                trace=HOSTILE * 20,
                info={k: v + HOSTILE if k != "output" else v for k, v in one.info.items()} | {HOSTILE: HOSTILE},
                resolved={HOSTILE: HOSTILE},
                environment={HOSTILE: HOSTILE, "processor": HOSTILE, "cmrbench": HOSTILE},
                warnings=(HOSTILE,),
                created="2026-01-01" + HOSTILE,
                records=records,
            )
        )
    return fill(folder, spoiled)


def test_hostile_texts_stay_texts(tmp_path, site):
    store = hostile_store(tmp_path)
    spoiled = build_site(store, SiteOptions(name=HOSTILE, citation=HOSTILE, resolver=OneDataset(text=HOSTILE)))
    pages = dict(spoiled.pages)
    assert len(pages) > 20
    own = sum(tag == "script" for tag, _ in Reader(site[1]["index.html"]).tags)
    for name, text in pages.items():
        tags = Reader(text).tags
        assert sum(tag == "script" for tag, _ in tags) == (own if name == "index.html" else 0), name
        assert not [t for t, a in tags if t in ("img", "svg") or any(k.startswith("on") for k in a)], name
        assert not [a for t, a in tags if a.get("href", "").lower().startswith("javascript")], name
        assert "window.bad=1" in Reader(text).text
        assert "{{ 7*7 }}" in html.unescape(text)
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\x00\x1b]", text), name


def test_an_unsafe_run_key_gets_no_page(tmp_path):
    from cmrbench.store.schema import to_table

    store = fill(tmp_path, [result("scm", 16)])
    store.write_table("good", to_table(replace(result("batch", 16), run_key="../../evil")))
    pages = dict(build_site(store, SiteOptions()).pages)
    assert [name for name in pages if ".." in name] == []
    assert "evil" not in " ".join(a.get("href", "") for _, a in Reader(pages["index.html"]).tags)


def test_what_does_not_fit_is_left_out_with_a_note(store):
    room = len(build_site(store, SiteOptions(resolver=OneDataset())).index.encode())
    base = len(page.packed_library()) + len(page.own_script()) + 250_000
    small = build_site(store, SiteOptions(resolver=OneDataset(), page_bytes=base + 14_000))
    assert len(small.index.encode()) < base + 14_000 < room + 250_000
    text = Reader(small.index).text
    assert "tables are left out, the page has no room for them" in text
    assert any("tables are left out" in note for note in small.notes)


def test_run_pages_have_a_limit_and_the_page_says_so(store):
    made = build_site(store, SiteOptions(most_run_pages=3))
    pages = dict(made.pages)
    assert len(pages) == 4
    assert "3 of 25 runs have a page of their own" in Reader(pages["index.html"]).text


def test_one_dataset_can_be_chosen_and_an_unknown_one_is_named(store, tmp_path):
    assert "7 methods" in build_site(store, SiteOptions(datasets=("emoji",))).index
    with pytest.raises(UnknownNameError, match="unknown dataset 'emojy'; did you mean emoji"):
        build_site(store, SiteOptions(datasets=("emojy",)))


def test_an_empty_store_is_one_sentence(tmp_path):
    with pytest.raises(CmrbenchError, match="holds no results yet"):
        build_site(fill(tmp_path, []), SiteOptions())


def test_the_fingerprint_of_the_store_is_that_of_the_gallery(store):
    assert set(store.table(["dataset_fingerprint"]).column(0).to_pylist()) == {FINGERPRINT}


def test_diagrams_of_average_ranks_need_two_datasets(store, index, tmp_path):
    listed = list(results())
    other = [replace(one, spec=replace(one.spec, dataset="wiki", dataset_fingerprint="e" * 64)) for one in listed]
    both = fill(tmp_path, [*listed, *(replace(one, run_key=one.spec.spec_key) for one in other)])
    text = build_site(both, SiteOptions()).index
    assert "<svg" not in index
    titles = re.findall(r'<details class="critical"[^>]*><summary>([^<]*)', text)
    assert sorted(titles) == ["hashing, 16 bits, mAP@all", "hashing, 32 bits, mAP@all", "real-valued, mAP@all"]
    drawn = Reader(text).text
    assert "4 methods over 2 datasets (emoji, wiki)" in drawn
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', text)]
    assert all(210 <= x <= 640 for x in places)


def test_the_highest_numbers_are_of_the_length_that_most_have(index):
    text = Reader(index).text
    assert "at 32 bits" in text  # one failed run alone has 64
    assert "Supervised hashing BATCH 0.543" in text


def test_results_of_several_engines_are_doubted_on_the_page(tmp_path):
    old = result("scm", 16)
    new = result("batch", 16)
    store = fill(tmp_path, [old, replace(new, environment=dict(new.environment) | {"engine": "2"})])
    text = Reader(build_site(store, SiteOptions()).index).text
    assert "What is wrong with these results" in text
    assert "several versions of the evaluation engine" in text


def test_sound_results_are_not_doubted(index):
    assert "What is wrong with these results" not in index


def test_the_gallery_reads_one_seed_at_the_longest_code(store, monkeypatch):
    read = []
    table = type(store).table

    def counted(self, columns=None, run_keys=None, where=None):
        if columns and "top" in columns:
            read.append(len(set(run_keys)))
        return table(self, columns, run_keys, where)

    monkeypatch.setattr(type(store), "table", counted)
    build_site(store, SiteOptions(resolver=OneDataset()))
    assert sorted(read) == [2, 5]  # two real-valued methods, five of hashing
