"""The page in a real browser: it works, it loads nothing, and hostile texts do nothing."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest
from site_store import OneDataset, fill, result
from test_site_pages import HOSTILE, hostile_store

from cmrbench.report.site import SiteOptions, build_site, publish

CHROMIUM = os.environ.get("CMRBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no chromium: apt-get install chromium", allow_module_level=True)
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")

PHONE = {"width": 375, "height": 720}
DRAWN = "html[data-charts]"


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def made(tmp_path_factory, store, **options):
    folder = tmp_path_factory.mktemp("out") / "site"
    return publish(build_site(store, SiteOptions(**options)).pages, folder).as_uri()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    store = fill(tmp_path_factory.mktemp("store"))
    return made(tmp_path_factory, store, resolver=OneDataset())


@pytest.fixture(scope="module")
def hostile_address(tmp_path_factory):
    store = hostile_store(tmp_path_factory.mktemp("hostile"))
    return made(tmp_path_factory, store, name=HOSTILE, citation=HOSTILE, resolver=OneDataset(text=HOSTILE))


class Opened:
    """A page, what it asked for and what went wrong in it."""

    def __init__(self, context):
        self.requests, self.problems = [], []
        self.page = context.new_page()
        context.route("**/*", self._route)
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.problems.append("a dialog"), dialog.dismiss()))

    def _route(self, route):
        url = route.request.url
        if not url.startswith("data:"):
            self.requests.append(url)
        if url.startswith(("file:", "data:")):
            route.continue_()
        else:
            route.abort()


@pytest.fixture
def open_page(browser):
    contexts = []

    def opener(url, ready=True, **options):
        context = browser.new_context(**({"viewport": {"width": 1200, "height": 800}} | options))
        contexts.append(context)
        opened = Opened(context)
        opened.page.goto(url)
        if ready:
            opened.page.wait_for_selector("html[data-ready]", state="attached")
        return opened

    yield opener
    for context in contexts:
        context.close()


def until(page, condition, seconds=10):
    """Wait for an expression; the page's policy forbids what playwright's own waiting does."""
    for _ in range(seconds * 20):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {condition}")


def board(page, output="hash", metric="mAP@all"):
    return page.locator(f'.board[data-output="{output}"][data-metric="{metric}"]')


def titles(table):
    return [t.strip() for t in table.locator("tbody tr:not(.group):visible th").all_inner_texts()]


def draw(page):
    page.locator("#charts").scroll_into_view_if_needed()
    page.wait_for_selector(DRAWN, state="attached", timeout=20_000)


def test_nothing_is_asked_for_and_nothing_goes_wrong(open_page, address):
    opened = open_page(address)
    draw(opened.page)
    opened.page.locator("#chart-methods [data-pick=all]").dispatch_event("click")
    until(opened.page, "document.querySelectorAll('#chart-ties .hoverlayer').length === 1")
    opened.page.locator("#gallery").scroll_into_view_if_needed()
    opened.page.wait_for_selector(".tile.hit")
    assert opened.requests == [address]
    assert opened.problems == []


def test_a_column_sorts_by_mouse_both_ways_and_back(open_page, address):
    page = open_page(address).page
    table = board(page)
    before = titles(table)
    head = table.locator("th[data-c='3']")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert titles(table) == ["BATCH", "SCM", "IMH", "CVH", "Random codes", "Chance"]
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert titles(table)[-1] == "BATCH"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert titles(table) == before


def test_a_column_sorts_by_keyboard(open_page, address):
    page = open_page(address).page
    button = board(page).locator("th[data-c='0'] button")
    button.focus()
    page.keyboard.press("Enter")
    found = titles(board(page))
    assert found == sorted(found, key=str.lower)


def test_the_first_tab_reaches_the_skip_link(open_page, address):
    page = open_page(address).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(style) == "solid"


EVERYTHING = {"BATCH", "SCM", "LCM", "CCA", "CVH", "IMH", "Random codes", "Chance"}
FILTERED = {
    ("o", "real"): {"CCA", "LCM", "Chance"},
    ("c", "Supervised hashing"): {"BATCH", "SCM"},
    ("s", "labels"): {"BATCH", "SCM", "LCM"},
    ("d", "emoji"): EVERYTHING,
    ("p", "query-gallery"): EVERYTHING,
}


def test_filters_leave_what_they_say(open_page, address):
    page = open_page(address).page
    for (name, value), shown in FILTERED.items():
        page.select_option(f"#filters [name={name}]", value)
        until(page, f"location.hash.includes('{name}=')")
        assert set(titles(page.locator("#boards"))) == shown, name
        page.locator("#filters button[type=reset]").click()
        until(page, f"!location.hash.includes('{name}=')")
        assert len(titles(page.locator("#boards"))) == 6 + 3


def test_bits_leave_their_columns_and_the_search_its_rows(open_page, address):
    page = open_page(address).page
    page.select_option("#filters [name=b]", "32")
    until(page, "location.hash.includes('b=32')")
    heads = board(page).locator("thead th:visible").all_inner_texts()
    assert [h for h in heads if "bits" in h] == ["32 bits"] * 2
    page.fill("#filters [name=q]", "tkde")
    until(page, "location.hash.includes('q=tkde')")
    assert titles(page.locator("#boards")) == ["BATCH"]
    assert page.locator("#shown").inner_text() == "1 table, 1 row"


def test_a_link_reproduces_the_view(open_page, address):
    page = open_page(address).page
    page.select_option("#filters [name=c]", "Supervised hashing")
    page.select_option("#filters [name=m]", "mAP@50")
    until(page, "location.hash.includes('m=')")
    board(page, metric="mAP@50").locator("th[data-c='3'] button").click()
    expected = titles(page.locator("#boards"))
    again = open_page(page.url).page
    assert titles(again.locator("#boards")) == expected == ["BATCH", "SCM"]
    assert board(again, metric="mAP@50").locator("th[data-c='3']").get_attribute("aria-sort") == "descending"


def test_a_chart_tells_the_number_under_the_pointer(open_page, address):
    page = open_page(address).page
    draw(page)
    chart = page.locator("#chart-time")
    chart.scroll_into_view_if_needed()
    box = chart.locator(".scatterlayer .trace").last.locator("path.point").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tooltip = page.locator("#chart-time .hoverlayer .hovertext")
    tooltip.wait_for(timeout=5000)
    assert "mAP@all" in tooltip.text_content()
    assert "fit" in tooltip.text_content()


def test_every_chart_is_drawn_and_has_its_numbers(open_page, address):
    page = open_page(address).page
    draw(page)
    for name in ("time", "bits", "pr", "k", "class", "ties"):
        assert page.locator(f"#chart-{name} .main-svg").count() > 0, name
        page.locator(f"#chart-{name} summary").click()
        assert page.locator(f"#chart-{name} details tbody tr").count() > 1, name
    page.select_option("#chart-form [name=ct]", "text → image")
    until(page, "document.querySelector('#chart-pr figcaption p').textContent.startsWith('text → image')")


def test_methods_are_chosen_by_boxes(open_page, address):
    page = open_page(address).page
    draw(page)
    page.locator("#chart-methods summary").click()
    page.locator("#chart-methods [data-pick=none]").click()
    page.get_by_label("SCM", exact=True).first.check()
    until(page, "document.querySelectorAll('#chart-bits .legend .traces').length <= 1")
    page.locator("#chart-bits summary").click()
    assert page.locator("#chart-bits details tbody th").all_inner_texts() == ["SCM"]
    assert "cm=SCM" in page.url


def test_a_table_without_curves_says_so_in_its_charts(open_page, address):
    page = open_page(address).page
    draw(page)
    other = board(page, metric="mAP@50").get_attribute("id")
    page.select_option("#chart-form [name=cb]", other)
    page.locator("#chart-pr .none").wait_for()
    assert "first metric" in page.locator("#chart-note").inner_text()


def test_the_gallery_shows_queries_and_marks_hits_by_sign(open_page, address):
    page = open_page(address).page
    page.locator("#gallery").scroll_into_view_if_needed()
    page.locator("#shelf .found").first.wait_for()
    first = page.locator("#shelf .found").first
    assert first.locator("li").count() == 10
    assert first.locator(".sign").all_inner_texts() == ["✓", "✗"] * 5
    assert "5 of the first 10 relevant" in first.locator("h3").inner_text()
    assert first.locator("img").count() == 10
    assert first.locator("img").first.evaluate("image => image.complete && image.naturalWidth > 0")
    page.locator("[data-step='1']").click()
    assert "text of query 5" in page.locator(".query .words").inner_text()
    page.select_option("#gallery-form [name=gd]", label="image → text")
    page.locator(".tile .words").first.wait_for()
    assert "gallery" in page.locator("#shelf .found .words").first.inner_text()


def test_a_phone_never_scrolls_sideways(open_page, address, hostile_address):
    for target in (address, hostile_address):
        opened = open_page(target, viewport=PHONE)
        page = opened.page
        draw(page)
        for part in ("#reproduce", "#gallery", "#charts", "#tables", "#summary"):
            page.locator(part).scroll_into_view_if_needed()
            width = page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
            assert width <= PHONE["width"], part
        page.locator("#shelf .found").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert opened.problems == []


def test_wide_tables_scroll_inside_on_a_phone(open_page, address):
    page = open_page(address, viewport=PHONE).page
    scroller = board(page).locator(".scroll")
    assert scroller.evaluate("e => e.scrollWidth > e.clientWidth")
    scroller.focus()
    page.keyboard.press("ArrowRight")
    until(page, "[...document.querySelectorAll('.board .scroll')].some(e => e.scrollLeft > 0)")


CONTRAST = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = (element) => {
    const color = parse(getComputedStyle(element).backgroundColor);
    return color[3] === 0 ? behind(element.parentElement) : color;
  };
  const poor = [];
  const texts = 'h1,h2,h3,p,a,button,dt,dd,th,td,td i,label,summary,li,small,select,.sort,.sign,.class';
  for (const e of document.querySelectorAll(texts)) {
    if (!e.offsetParent || e.disabled || !e.textContent.trim()) continue;
    const pair = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (pair[0] + .05) / (pair[1] + .05);
    if (ratio < 4.5) poor.push(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2));
  }
  return [...new Set(poor)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast_in_both_themes(open_page, address, scheme):
    page = open_page(address, color_scheme=scheme).page
    page.locator("#gallery").scroll_into_view_if_needed()
    page.locator(".tile.hit").first.wait_for()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(19, 20, 22)") == (scheme == "dark")
    assert page.evaluate(CONTRAST) == []


def test_the_switch_wins_over_the_system(open_page, address):
    page = open_page(address, color_scheme="light").page
    page.locator("#theme").click()
    assert page.locator("#theme").inner_text() == "Theme: dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 20, 22)"
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(252, 252, 251)"


def test_without_scripts_all_tables_are_there(open_page, address):
    page = open_page(address, ready=False, java_script_enabled=False).page
    assert page.locator(".board:visible").count() == 4
    assert "BATCH" in titles(board(page))
    assert not page.locator("#filters").is_visible()
    assert page.locator("#charts noscript .note").count() == 1 or "need JavaScript" in page.content()


def test_a_run_page_opens_from_the_table(open_page, address):
    opened = open_page(address)
    board(opened.page).get_by_role("link", name="BATCH").first.click()
    opened.page.wait_for_url("**/runs/*.html")
    assert opened.page.locator("h1").inner_text().startswith("BATCH")
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.page.get_by_role("link", name="All leaderboards").click()
    opened.page.wait_for_url("**/index.html")
    assert opened.problems == []
    assert all(url.startswith("file:") for url in opened.requests)


def test_the_printed_page_has_tables_and_no_controls(open_page, address):
    page = open_page(address, color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("header.top").is_visible()
    assert not page.locator("#filters").is_visible()
    assert board(page).is_visible()


def test_hostile_texts_do_nothing(open_page, hostile_address):
    opened = open_page(hostile_address)
    page = opened.page
    draw(page)
    page.locator("#chart-methods summary").click()
    page.locator("#chart-methods [data-pick=all]").click()
    until(page, "document.querySelectorAll('#chart-bits .legend .traces').length > 4")
    for name in ("time", "class"):
        page.locator(f"#chart-{name} summary").click()
    page.locator("#gallery").scroll_into_view_if_needed()
    page.locator("#shelf .found").first.wait_for()
    page.locator("#gallery-methods [data-pick=all]").dispatch_event("click")
    assert page.evaluate("window.bad === undefined")
    assert page.locator("img:not([src^='data:image/png'])").count() == 0
    assert page.locator("a[href^='javascript' i]").count() == 0
    targets = page.evaluate("[...document.querySelectorAll('a')].flatMap((a) => [...a.attributes].map((x) => x.value))")
    assert not [target for target in targets if target.lower().lstrip().startswith("javascript:")]
    assert "window.bad=1" in page.locator("#boards").text_content()
    assert "<script>window.bad=1</script>" in page.locator("#chart-bits .plot").text_content()
    # Plotly takes links and line breaks for its own markup unless they are escaped.
    assert "<a href='javascript:window.bad=1'>x</a>" in page.locator("#chart-bits .plot").text_content()
    assert "window.bad=1" in page.locator("#shelf").inner_text()
    assert "{{ 7*7 }}" in page.locator("#boards").text_content()
    assert opened.problems == []
    assert opened.requests == [hostile_address]
    page.locator(".board th a:visible").first.click()
    page.wait_for_url("**/runs/*.html")
    assert page.evaluate("window.bad === undefined")
    assert "window.bad=1" in page.locator("h1").inner_text()


def test_fifty_methods_are_readable_by_default(open_page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    listed = []
    for i in range(50):
        for bits in (16, 32):
            one = result("scm", bits)
            info = dict(one.info) | {"title": f"Method {i}"}
            spec = replace(one.spec, method=f"m{i}")
            records = tuple(replace(r, value=r.value - i / 200) for r in one.records)
            listed.append(replace(one, spec=spec, run_key=spec.spec_key, info=info, records=records))
    page = open_page(made(tmp_path_factory, fill(folder, listed))).page
    draw(page)
    assert page.locator("#chart-methods .count").inner_text() == "3 of 51 chosen"
    assert page.locator("#chart-bits .legend .traces").count() == 3
    assert page.locator("#chart-time path.point").count() == 50
