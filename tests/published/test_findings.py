"""What is said of the papers follows from their numbers, wherever it can be computed."""

import re
from collections import defaultdict
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import combinations

import pytest

from cmrbench.data import load_catalogue
from cmrbench.published import (
    cells,
    contradicting,
    contradictions,
    datasets,
    elsewhere,
    findings,
    findings_of,
    missing,
    query_times,
    select,
    splits,
    timings,
)
from cmrbench.published.contradictions import agree, repeated, same_source
from cmrbench.published.findings import KINDS

ALL = {f.id: f for f in findings()}


def of(finding):
    return [c for c in cells() if ALL[finding].concerns(c)]


def value(**where):
    (cell,) = select(cells(), **where)
    return cell.value


def averages_with_parts():
    """Printed averages, each with the printed parts that it is over; some have none."""
    parts = {(c.paper, c.table, c.method, c.variant, c.dataset, c.task): Decimal(c.printed) for c in cells()}
    found = {}
    for c in cells():
        keys = [(c.paper, c.table, c.method, c.variant, c.dataset, d) for d in c.directions]
        if c.is_average and all(key in parts for key in keys):
            found[c] = [parts[key] for key in keys]
    return found


def average_misses():
    """Averages that are not the mean of their printed parts, rounded half up."""
    means = {cell: sum(parts) / len(parts) for cell, parts in averages_with_parts().items()}
    return [(c, m) for c, m in means.items() if m.quantize(Decimal(c.printed), ROUND_HALF_UP) != Decimal(c.printed)]


def test_one_average_is_wrong_and_another_is_a_matter_of_rounding():
    assert len(averages_with_parts()) == 228
    wrong = dict(average_misses())
    (odd,) = of("P1")
    assert wrong.pop(odd) == Decimal("0.36")
    assert odd.printed == "0.37"
    ((other, mean),) = wrong.items()  # rounding of its 20 parts can explain it
    assert (other.method, other.dataset, other.task) == ("mrl", "xmedia", "all")
    assert abs(mean - Decimal(other.printed)) < Decimal("0.001")


def test_two_rows_are_identical():
    rows = defaultdict(list)
    for c in select(cells(), table="VIII"):
        rows[c.method, c.task].append((c.dataset, c.bits, c.printed))
    same = [(a, b) for a, b in combinations(rows, 2) if a[1] == b[1] and rows[a] == rows[b]]
    assert same == [(("dcmh", "text->image"), ("dchuc", "text->image"))]
    assert len(of("P2")) == 32
    assert {c for c in cells() if "suspect:row_identical_DCHUC_DCMH" in c.flags} == set(of("P2"))


def test_relabelled_columns():
    assert set(of("P3")) == {c for c in cells() if "dataset_label_resolved" in c.flags}
    assert len(of("P3")) == 84
    assert {(c.dataset_printed, c.dataset) for c in of("P3")} == {("NUS-WIDE", "nuswide10k"), ("Xmedia", "xmedianet")}


def common_cells():
    ours = {(c.method, c.dataset, c.task): c for c in select(cells(), paper="lcm", table="2", setting="plain")}
    theirs = {(c.method, c.dataset, c.task): c for c in select(cells(), paper="survey", table="VI")}
    return [(ours[key], theirs[key]) for key in ours.keys() & theirs.keys()]


def test_the_survey_and_lcm_quote_one_paper_and_agree_in_48_of_64_cells():
    common = common_cells()
    differ = {mine for mine, theirs in common if not agree(mine, theirs)}
    assert (len(common), len(common) - len(differ)) == (64, 48)
    assert {c for c in differ if c.method != "clip4cmr"} == set(of("P5"))
    assert len([c for c in of("P5") if c.method == "dscmr"]) == 6
    assert len([c for c in differ if c.method == "clip4cmr"]) == 8


def test_the_clip4cmr_rows_are_lcms_own_run():
    own = {(c.dataset, c.task): c.printed for c in select(cells(), table="5", method="clip4cmr", setting="plain")}
    assert len(of("P4")) == 18
    assert all(own[c.dataset, c.task] == c.printed for c in of("P4"))
    gaps = [
        theirs.value - mine.value
        for mine, theirs in common_cells()
        if mine.method == "clip4cmr" and mine.dataset == "xmedianet"
    ]
    assert [round(g, 2) for g in sorted(gaps)] == [0.05, 0.07]


def test_lcm_differs_between_its_own_tables():
    own = {c for c in of("P6a")}
    computed = {c for one in contradictions() if one.same_source for c in one.cells if c.method == "lcm"}
    assert own == computed
    table2 = {(c.dataset, c.task): c for c in select(cells(), table="2", method="lcm", setting="2sknn")}
    table4 = select(cells(), table="4", variant="img=clip;txt=clip", dataset=["wiki", "pascal", "xmedianet"])
    assert {c for c in table4 if c.value != table2[c.dataset, c.task].value} == set(of("P6b"))


def test_dscmr_as_quoted_and_as_run():
    quoted = {(c.dataset, c.task): c.value for c in of("P6c") if c.table != "5"}
    run = {(c.dataset, c.task): c.value for c in of("P6c") if c.table == "5"}
    assert quoted.keys() == run.keys()
    gaps = {key: abs(quoted[key] - run[key]) for key in run}
    assert round(max(gaps.values()), 2) == 0.11
    assert all(gap > 0.001 for (dataset, _), gap in gaps.items() if dataset == "mscoco")


def averages(table, **where):
    return {(c.method, c.dataset): c for c in select(cells(), paper="lcm", table=table, task="image<->text", **where)}


def test_what_lcm_claims():
    gains = {}
    for table in ("2", "3"):
        for dataset in {d for _, d in averages(table)}:
            own = averages(table, method="lcm", setting="2sknn")["lcm", dataset].value
            others = [c.value for (m, d), c in averages(table, setting="plain").items() if d == dataset]
            gains[dataset] = 100 * (own / max(others) - 1)
    text = ALL["P7"].text
    assert f"{min(gains.values()):.1f} % (MIRFlickr)" in text
    assert min(gains, key=gains.get) == "mirflickr"
    assert f"{max(gains.values()):.1f} %\n".strip() in text
    assert max(gains, key=gains.get) == "wiki"
    for method, (low, high) in {"clip": (16, 47), "lcm": (15, 28)}.items():
        plain, two = (averages("5", setting=s, method=method) for s in ("plain", "2sknn"))
        points = [round(100 * (two[key].value - plain[key].value)) for key in plain]
        assert (min(points), max(points)) == (low, high)
        assert f"{low} to {high} points" in text
    ratios = [f"{a.seconds / b.seconds:.1f}" for a, b in zip(query_times()[:4], query_times()[4:], strict=True)]
    assert ", ".join(ratios[:3]) + " and " + ratios[3] in text


def test_sdml_has_two_values_and_nothing_else_of_table_vi():
    repeats = [
        (c, other)
        for c in select(cells(), paper="drcl", table="VI", setting=["plain", "random prior"])
        for other in elsewhere(c)
        if other.paper == "drcl"
    ]
    assert len(repeats) > 20
    assert {x for pair in repeats if not agree(*pair) for x in pair} == set(of("P8a"))


def test_the_cut_value_is_as_printed():
    assert {c.printed for c in of("P8b")} == {"0.537"}
    assert "0.53759" in ALL["P8b"].text


def sizes(paper, dataset):
    return next(s for s in splits() if (s.paper, s.dataset) == (paper, dataset))


@pytest.mark.parametrize(("finding", "dataset"), [("P10a", "wiki"), ("P10b", "nuswide10k"), ("P10c", "xmedianet")])
def test_splits_differ_as_said(finding, dataset):
    one, other = sizes("lcm", dataset), sizes("drcl", dataset)
    for s in (one, other):
        assert f"{s.train:,}/{s.val:,}/{s.query:,}" in ALL[finding].text
    assert (one.train, one.val, one.query) != (other.train, other.val, other.query)
    assert {c.paper for c in of(finding)} == {"lcm", "drcl"}


@pytest.mark.parametrize(("finding", "dataset"), [("P10d", "mscoco"), ("P10e", "mirflickr")])
def test_lcms_parts_do_not_sum_to_the_surveys_count(finding, dataset):
    s = sizes("lcm", dataset)
    text, count = ALL[finding].text, datasets()[dataset].instances
    assert f"{s.train + s.val + s.query:,} or {s.train + s.val + s.query + s.retrieval:,}" in text
    assert count in text
    assert int(count.replace(",", "")) not in (s.train + s.val + s.query, s.train + s.val + s.query + s.retrieval)


def test_drcl_takes_a_part_of_inria_websearch():
    s = sizes("drcl", "inria_websearch")
    assert f"{s.train + s.val + s.query:,} pairs of {s.classes} classes" in ALL["P10f"].text
    assert (
        f"{datasets()['inria_websearch'].instances} pairs of {datasets()['inria_websearch'].classes}"
        in ALL["P10f"].text
    )


def test_every_cell_of_the_survey_lacks_a_split():
    assert "survey" not in {s.paper for s in splits()}
    assert set(of("P10g")) == set(select(cells(), paper="survey"))


def test_suspects_are_found_again():
    assert set(of("N1")) == {c for c in cells() if "suspect:drop_at_64bits" in c.flags}
    assert {c for c in cells() if "suspect:avg_not_mean" in c.flags} == set(of("P1"))
    flagged = {c for c in cells() if any(f.startswith("suspect:differs_from_Table") for f in c.flags)}
    assert flagged == set(of("P8a"))
    assert {c for c in cells() if "suspect_origin:equals_Table5_own_run" in c.flags} == set(of("P4"))


def test_longer_codes_that_are_worse():
    found = set()
    for c in select(cells(), table="VIII", dataset="iaprtc12"):
        row = [
            o.value
            for o in select(cells(), table="VIII", dataset="iaprtc12", method=c.method, task=c.task)
            if o.bits < c.bits
        ]
        if row and max(row) - c.value > 0.0399:
            found.add(c)
    assert found == set(of("N2"))


def test_claims_about_who_is_best():
    losses = []
    for dataset in ("xmedia", "xmedianet"):
        for task in {c.task for c in select(cells(), paper="drcl", table="II")}:
            column = select(cells(), paper="drcl", table="II", dataset=dataset, task=task)
            best = max(column, key=lambda c: (c.value, c.method == "drcl"))  # a tie is no loss
            if best.method != "drcl":
                losses.append((dataset, task, best.method))
    assert sorted(losses) == [
        ("xmedia", "3d->video", "sdml"),
        ("xmedia", "text->image", "sdml"),
        ("xmedianet", "image->text", "coxi"),
    ]
    columns = defaultdict(list)
    for c in select(cells(), table="V", paper="survey", dataset="coco5k"):
        columns[c.task, c.metric].append(c)
    assert {max(column, key=lambda c: c.value).method for column in columns.values()} == {"vista"}


def test_claims_about_times():
    for dataset in ("mirflickr", "nuswide", "mscoco"):
        train = {t.method: t.train for t in timings() if t.dataset == dataset}
        graphs = [train[m] for m in ("cirh", "agch", "djsrh")]
        assert max(graphs) < train["dbrc"] < min(train["dcmh"], train["ssah"])
    (odd,) = [t for t in timings() if ALL["N8"].concerns(t)]
    assert f"{odd.train_printed[0]},{odd.train_printed[1:]} s and {odd.test_printed} s" in ALL["N8"].text


def test_findings_have_cells_unless_they_are_claims():
    every = [*cells(), *missing(), *timings()]
    assert len(ALL) == len(findings())
    for finding in findings():
        assert finding.kind in KINDS
        if finding.kind == "claim":
            assert finding.papers
            assert not finding.cells
        else:
            assert all(any(one.fits(c) for c in every) for one in finding.cells), finding.id
        assert re.fullmatch(r"[PN]\d+[a-g]?", finding.id)
        assert finding.text.endswith(".")


def test_every_value_in_a_text_is_printed_somewhere():
    """Two-digit and three-digit values that a text names as those of its cells stand in them."""
    for name in ("P1", "P6a", "P6b", "P8a"):
        said = set(re.findall(r"\b0\.\d{2,3}\b", ALL[name].text))
        places = [c for c in cells() if ALL[name].concerns(c)]
        near = {
            o.printed
            for c in places
            for o in cells()
            if (o.paper, o.method, o.dataset) == (c.paper, c.method, c.dataset)
        }
        assert said - near == ({"0.36"} if name == "P1" else set())


def test_the_catalogue_of_datasets_quotes_what_is_printed():
    """Pairs such as .65/.84 in what datasets.yaml tells of the papers' tables."""
    quoted = 0
    for name in {c.dataset for c in cells()}:
        printed = {c.printed.removeprefix("0") for c in select(cells(), dataset=name)}
        for problem in load_catalogue().entry(name).problems:
            said = re.findall(r"\.\d{2,3}(?=/)|(?<=/)\.\d{2,3}", problem)
            assert set(said) <= printed, (name, problem)
            quoted += len(said)
    assert quoted > 20


def test_findings_of_a_cell():
    (cell,) = select(cells(), paper="lcm", table="3", method="cfa", dataset="mscoco", task="image<->text")
    assert [f.id for f in findings_of(cell)] == ["P1", "P10d"]
    (time,) = [t for t in timings() if (t.method, t.dataset) == ("mtfh", "iaprtc12")]
    assert [f.id for f in findings_of(time)] == ["P10g", "N8"]


def test_contradictions_are_complete_and_exact():
    assert len(repeated()) == 143
    for one in contradictions():
        assert len({(c.method, c.dataset, c.task, c.metric, c.bits, c.setting) for c in one.cells}) == 1
        assert len({c.table for c in one.cells}) == len(one.cells) > 1
    told = {c for one in contradictions() for c in one.cells}
    quiet = [same for same in repeated().values() if same[0] not in told]
    assert all(agree(a, b) for same in quiet for a, b in combinations(same, 2))


def test_contradictions_of_one_source_are_those_of_the_findings():
    """P4 and P5 against the survey, P6a, P8a."""
    one_source = [one for one in contradictions() if one.same_source]
    found = {c for one in one_source for c in one.cells if contradicting(c)}
    said = {c for name in ("P4", "P5", "P6a", "P8a") for c in of(name) if c.table != "3"}
    quoted = {c for c in said if c.table == "2" and c.method in ("dscmr", "ccl", "clip4cmr") and not c.is_average}
    partners = {t for c in quoted for t in elsewhere(c) if t.paper == "survey"}
    assert found == {c for c in said if c.method in ("lcm", "sdml")} | quoted | partners
    assert len(one_source) == 22


def test_runs_on_other_features_are_no_contradiction():
    (cell,) = select(cells(), table="2", method="lcm", setting="2sknn", dataset="wiki", task="image->text")
    (other,) = select(cells(), table="5", method="lcm", setting="2sknn", dataset="wiki", task="image->text")
    (quoted,) = select(cells(), table="2", method="dscmr", dataset="wiki", task="image->text")
    assert same_source(cell, other)
    assert not same_source(cell, replace(other, features="image=gist; text=lda"))
    assert not same_source(cell, replace(other, paper="drcl"))
    assert not same_source(cell, quoted)


def test_a_contradiction_says_who_prints_what():
    (cell,) = select(cells(), table="2", method="lcm", setting="2sknn", dataset="wiki", task="image->text")
    (other,) = contradicting(cell)
    assert (cell.printed, other.printed, other.table) == ("0.65", "0.64", "5")
    texts = [one.text for one in contradictions()]
    assert "0.65 in LCM Table 2, 0.64 in LCM Table 5" in texts


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [("0.468", "0.47", True), ("0.478", "0.49", False), ("0.60", "0.61", False), ("0.5", "0.50", True)],
)
def test_agreement_is_up_to_rounding(a, b, same):
    cell = cells()[0]
    assert agree(replace(cell, printed=a), replace(cell, printed=b)) is same
