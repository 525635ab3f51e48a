"""The report page in headless Chromium, offline: tables, filters, links, keyboard, print, names."""

import importlib.util
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from chromium import launched
from made_boxes import crowded, matched
from report_page import read_page
from required import lacking

from bev.data.labels import LabelSpace, ObjectClass
from bev.evaluation.bootstrap import draws
from bev.evaluation.breakdown.breakdown import break_down
from bev.evaluation.breakdown.comparison import box_figures, drawn
from bev.evaluation.scores import Scores
from bev.evaluation.table import Result
from bev.visualization.report.comparison import Compared, write_comparison
from bev.visualization.report.page import Page, write_page
from bev.visualization.report.pictures import data_uri, extremes

HOSTILE = (
    "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>"
    "<a href=javascript:harmed=3>\u202e\"quoted\" & 'marked'</a>\u2028" + "long " * 2000
)


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


class Opened:
    """A page in the browser, with what it complained of and what it asked a network for."""

    def __init__(self, browser, path: Path, fragment: str = "", **options) -> None:
        self.context = browser.new_context(**options)
        self.tab = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda one: self.faults.append(f"{one.type}: {one.text}"))
        self.tab.on("pageerror", lambda one: self.faults.append(str(one)))
        self.tab.on("request", lambda one: self.requests.append(one.url))
        self.tab.goto(path.as_uri() + fragment)
        self.tab.wait_for_selector("html[data-ready=yes]")

    def drawn(self, chart: str) -> bool:
        """Whether a chart has been drawn, once it is shown."""
        self.tab.goto(self.tab.url.partition("#")[0] + f"#chart={chart}")
        self.tab.wait_for_selector(f"#chart-{chart} .main-svg")
        return self.tab.evaluate("document.activeElement.dataset.chart") == chart

    def outside(self) -> list[str]:
        """Requests for anything but the file and data in it."""
        return [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    breakdown = break_down(crowded(1))
    tokens = breakdown.boxes.matches.tokens
    picture = data_uri(np.full((30, 90, 3), 120, np.uint8))
    names = [kind.name for kind in breakdown.boxes.kinds]
    classes = {name: {"AP": ap} for name, ap in zip(names, (0.5, 0.25, 0.75), strict=True)}
    chosen = extremes(breakdown.samples, 1)
    curves = [{"name": "train/loss", "steps": [1, 2, 3], "values": [3.0, None, 1.0]}]
    page = Page(
        title="Crowd on val",
        notices=["A rehearsal"],
        result=Result({"head": Scores({"mAP": 0.5}, classes)}),
        breakdown=breakdown,
        extremes=chosen,
        mosaics={tokens[row]: picture for row in (*chosen.best, *chosen.worst)},
        pictures=[("first", picture)],
        training=[{"name": "training-losses", "title": "Losses", "curves": curves}],
        config_text="lr: 1",
        config={"lr": 1},
        base=("the defaults", {"lr": 2}),
        provenance=[("Command", "bevlab evaluate")],
    )
    return write_page(tmp_path_factory.mktemp("report"), page)


@pytest.fixture(scope="module")
def opened(browser, report) -> Opened:
    return Opened(browser, report)


def test_the_page_opens_without_a_fault_or_a_request(opened):
    for chart in ("curves", "range", "confusion", "radial", "calibration", "training-losses"):
        assert opened.drawn(chart), chart
    assert opened.faults == [] and opened.outside() == []
    assert opened.tab.title() == "Crowd on val"
    assert opened.tab.evaluate("fetch('https://example.org').catch(() => 'refused')") == "refused"
    opened.faults.clear()  # the refusal is reported


class Slow(BaseHTTPRequestHandler):
    """Sends the end of a page, with samples, pictures and chart library, later than the rest."""

    def do_GET(self) -> None:
        first, mark, rest = self.server.page.partition(b'<script type="application/json" id="samp')
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(first)
        self.wfile.flush()
        time.sleep(0.5)
        self.wfile.write(mark + rest)

    def log_message(self, *arguments) -> None:
        pass


@pytest.mark.slow
def test_charts_in_view_wait_for_the_end_of_a_slow_page(browser, report):
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.page = report.read_bytes()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab = browser.new_page(viewport={"width": 1280, "height": 3000})
        tab.goto(f"http://127.0.0.1:{server.server_port}/")
        tab.wait_for_selector("html[data-ready=yes]")
        tab.wait_for_selector("#chart-curves .main-svg", timeout=10_000)
        assert tab.get_by_text("not part of this page").count() == 0
        tab.close()
        server.shutdown()


def test_tables_sort_by_their_titles(opened):
    table = opened.tab.locator("#metrics table")
    table.get_by_role("button", name="AP").press("Enter")
    first = table.locator("tbody th")
    assert first.all_inner_texts() == ["post", "van", "gate"]
    assert table.locator("th[aria-sort=descending]").inner_text() == "AP"
    table.get_by_role("button", name="AP").press("Enter")
    assert first.all_inner_texts() == ["gate", "van", "post"]


def test_samples_are_filtered_and_opened_by_the_keyboard(opened, report):
    tab = opened.tab
    rows = tab.locator("#samples .list tbody tr")
    assert rows.count() == 8
    errors = [float(text) for text in rows.locator("td:nth-child(3)").all_inner_texts()]
    assert errors == sorted(errors, reverse=True)
    tab.get_by_label("Token or scene").fill("sample 3")
    assert (
        rows.count() == 1 and "1 of 8 samples" in tab.locator("#samples [role=status]").inner_text()
    )
    tab.get_by_label("Token or scene").press("Tab")
    rows.get_by_role("button").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#opened h3:has-text('sample 3')")
    assert tab.evaluate("document.activeElement.id") == "opened"
    hits, misses, false = rows.locator("td").all_inner_texts()[2:]
    counts = f"{hits} hits, {misses} misses, {false} false positives"
    assert counts in tab.locator("#opened").inner_text()
    titles = tab.locator("#opened svg g title")
    texts = [titles.nth(n).text_content() for n in range(titles.count())]
    assert sum("prediction, hit" in one for one in texts) == int(hits)
    assert sum("missed" in one for one in texts) == int(misses)
    assert sum("false positive" in one for one in texts) == int(false)
    tab.get_by_label("Token or scene").fill("")
    tab.get_by_label("with pictures").check()
    assert rows.count() == 2
    tab.get_by_label("with pictures").uncheck()
    assert opened.faults == []


@pytest.mark.long
def test_a_comparison_opens_without_a_fault(opened, tmp_path):
    runs = []
    for seed, name in ((1, "first"), (2, "second <b>")):
        breakdown = break_down(crowded(seed))
        matches = breakdown.boxes.matches
        weights = draws(np.arange(len(matches.tokens)), 5)
        scored = drawn(matches.tokens, [box_figures(matches)], weights)
        figures = {"mAP": float(scored.values[0])}
        curve = {"name": "train/loss", "steps": [1, 2], "values": [2.0, 1.0]}
        training = [{"name": "training-losses", "title": "Losses", "curves": [curve]}]
        runs.append(Compared(name, figures, scored, breakdown, training, {"seed": seed}))
    path = write_comparison(tmp_path, runs, "A note")
    opened.tab.goto(path.as_uri() + "#chart=range")
    opened.tab.wait_for_selector("#chart-range .main-svg")
    text = opened.tab.locator("#metrics tbody tr").inner_text()
    (row,) = read_page(path).summary["comparison"]["figures"]
    assert text.split()[:2] == ["mAP", f"{row['values'][0]:.3f}"] and "[" in text
    assert opened.tab.locator("#settings tbody tr").inner_text().split() == ["seed", "1", "2"]
    assert opened.faults == [] and opened.outside() == []


@pytest.mark.long
def test_links_open_a_sample(opened, report):
    opened.tab.goto("about:blank")  # so that the link loads the page
    opened.tab.goto(report.as_uri() + "#sample=sample%205")
    opened.tab.wait_for_selector("#opened h3:has-text('sample 5')")
    assert opened.tab.locator("#samples tr[aria-current]").inner_text().startswith("sample 5")
    assert opened.faults == []


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, report, scheme):
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None:
        lacking("axe-playwright-python")
    (code,) = Path(found.submodule_search_locations[0]).rglob("axe.min.js")
    page = Opened(browser, report, color_scheme=scheme, bypass_csp=True)
    assert page.drawn("curves")
    page.tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    page.tab.evaluate(code.read_text(encoding="utf-8"))
    violations = page.tab.evaluate("axe.run().then((result) => result.violations)")
    serious = [
        f"{one['id']}: {node['html'][:200]}"
        for one in violations
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    assert serious == []
    page.context.close()


@pytest.mark.slow
def test_it_fits_a_narrow_screen_and_is_printed(browser, report, tmp_path):
    page = Opened(browser, report, viewport={"width": 390, "height": 800})
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390
    content = page.tab.pdf(path=tmp_path / "page.pdf")
    assert content.startswith(b"%PDF") and content.count(b"/Type /Page\n") >= 2
    page.tab.set_viewport_size({"width": 700, "height": 900})
    for chart in ("range", "confusion"):  # their tables of numbers, too
        assert page.drawn(chart)
        page.tab.locator(f"#chart-{chart} summary").click()
    page.tab.emulate_media(media="print")
    cut = page.tab.evaluate(
        "[...document.querySelectorAll('table')].map((one) => [one.innerText.slice(0, 40),"
        " one.getBoundingClientRect().right - one.parentElement.getBoundingClientRect().right])"
        ".filter(([_, over]) => over > 1)"
    )
    assert cut == [] and page.faults == []
    page.context.close()


@pytest.mark.slow
def test_printed_charts_fit_their_columns(browser, report):
    """Drawn for a wide screen, and printed on A4 less its margins; afterwards as wide as before."""
    page = Opened(browser, report, viewport={"width": 1400, "height": 900})
    assert page.drawn("range")
    page.tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.tab.emulate_media(media="print")
    page.tab.set_viewport_size({"width": 794 - 2 * 45, "height": 1000})
    over = page.tab.evaluate(
        "[...document.querySelectorAll('.plot .main-svg')].map((one) =>"
        " one.getBoundingClientRect().right - one.closest('.plot').getBoundingClientRect().right)"
    )
    assert len(over) > 10 and max(over) <= 1
    page.tab.emulate_media(media="screen")
    page.tab.set_viewport_size({"width": 1400, "height": 900})
    page.tab.evaluate("dispatchEvent(new Event('afterprint'))")
    page.tab.wait_for_function(
        "[...document.querySelectorAll('.plot .main-svg')].every((one) =>"
        " Math.abs(one.clientWidth - one.closest('.plot').clientWidth) <= 1)"
    )
    page.context.close()


@pytest.mark.long
def test_hostile_names_run_nothing_and_break_nothing(browser, tmp_path):
    labels = LabelSpace((ObjectClass(HOSTILE), ObjectClass(f"{HOSTILE}:")))
    rows = [(HOSTILE, name, 5, 5) for name in labels.names]
    told = {HOSTILE: HOSTILE}
    breakdown = break_down(matched(rows, rows, (HOSTILE,), (HOSTILE,), told, labels))
    page = Page(
        HOSTILE,
        HOSTILE,
        [HOSTILE],
        result=Result({"head": Scores({HOSTILE: 0.5}, {HOSTILE: {"AP": 0.5}}, HOSTILE)}),
        breakdown=breakdown,
        pictures=[(HOSTILE, "data:,")],
        training=[{"name": "training-losses", "title": "Losses",
                   "curves": [{"name": HOSTILE, "steps": [1, 2], "values": [3.0, 1.0]}]}],
        config_text=HOSTILE, config={HOSTILE: HOSTILE}, base=(HOSTILE, {}),
        provenance=[(HOSTILE, HOSTILE)],
    )  # fmt: skip
    opened = Opened(browser, write_page(tmp_path, page), viewport={"width": 390, "height": 800})
    assert opened.drawn("training-losses") and opened.drawn("confusion")
    assert opened.tab.evaluate("window.harmed") is None
    assert opened.tab.locator("main script, main a[href^=javascript]").count() == 0
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.outside() == [] and opened.faults == []
    opened.context.close()
