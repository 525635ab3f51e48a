"""Pages in the system's headless Chromium."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from required import lacking, need


@contextmanager
def launched() -> Iterator[Any]:
    """Yield the browser; the test is skipped, or fails in CI, without it."""
    need("playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        lacking("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def drawn(page: Path, *charts: str) -> Iterator[Any]:
    """Yield the tab of a page whose charts have been drawn; afterwards, it has no complaint."""
    faults: list[str] = []
    with launched() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("pageerror", lambda one: faults.append(str(one)))
        tab.on("console", lambda one: faults.append(one.text))
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready=yes]")
        for chart in charts:
            tab.evaluate(f"location.hash = '#chart={chart}'")
            tab.wait_for_selector(f"#chart-{chart} .main-svg")
        yield tab
    assert faults == []
