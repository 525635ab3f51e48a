"""The viewer in headless Chromium: layers, time, a click on a box, hostile names, no network."""

import shutil
import threading

import cv2
import numpy as np
import pytest
from made_scene import made_recording
from required import lacking, need

from bev.visualization.viewer.contents import Recording
from bev.visualization.viewer.recording import read_recording, write_recording
from bev.visualization.viewer.server import Viewer

HOSTILE = (
    "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>"
    "[link](javascript:harmed=3)\u202e\"quoted\" & 'marked'\u2028{1+1}\x00/../" + "long " * 2000
)


@pytest.fixture(scope="module")
def browser():
    need("playwright")
    need("viser")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        lacking("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        drawn = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]
        chromium = playwright.chromium.launch(executable_path=program, args=drawn)
        yield chromium
        chromium.close()


class Shown:
    """A recording that is shown in a tab, with what the tab complained of and asked for."""

    def __init__(self, browser, recording: Recording) -> None:
        self.viewer = Viewer(recording, port=0)
        self.thread = threading.Thread(target=self.viewer.run)
        self.thread.start()
        self.tab = browser.new_page(viewport={"width": 900, "height": 600})
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.tab.on("pageerror", lambda one: self.faults.append(str(one)))
        self.tab.on("console", lambda one: self.faults.append(f"{one.type}: {one.text}"))
        self.tab.on("request", lambda one: self.requests.append(one.url))
        self.tab.goto(self.viewer.url)
        self.tab.get_by_text("Click on a box.").wait_for(timeout=60_000)

    def close(self) -> None:
        self.tab.close()
        self.viewer.stop()
        self.thread.join(timeout=20)
        assert not self.thread.is_alive()

    def picture(self) -> np.ndarray:
        """The tab as it looks once its picture has not changed for a while."""
        last = None
        for _ in range(40):
            shot = np.frombuffer(self.tab.screenshot(), np.uint8)
            if last is not None and np.array_equal(last, shot):
                break
            last = shot
            self.tab.wait_for_timeout(400)
        return cv2.imdecode(shot, cv2.IMREAD_COLOR)

    def text(self) -> str:
        return self.tab.locator("body").inner_text()

    def outside(self) -> list[str]:
        own = (self.viewer.url, "data:", "blob:")
        return [url for url in self.requests if not url.startswith(own)]

    def real_faults(self) -> list[str]:
        """Complaints, without those of the software renderer and of performance."""
        return [one for one in self.faults if one.startswith("error") or ":" not in one]

    def click_on_the_box(self) -> None:
        """Look along the road from behind, and click where the first box stands."""
        self.tab.get_by_role("button", name="ahead").click()
        self.picture()
        # The eye looks from the bonnet; the box stands 20 m ahead, and the
        # middle of the picture is what it looks at, 1 m above the ground.
        self.tab.mouse.click(450, 300)


@pytest.mark.slow
def test_a_box_is_clicked_and_stays_selected_in_the_next_frame(browser, tmp_path):
    """From a recording that another process could have written."""
    path = write_recording(made_recording(layers=("ground truth",)), tmp_path / "a.bevrec")
    shown = Shown(browser, read_recording(path))
    try:
        before = shown.picture()
        assert len(np.unique(before.reshape(-1, 3), axis=0)) > 100  # something is drawn
        for layer in ("images", "van"):  # what stands before the box
            shown.tab.get_by_label(layer, exact=True).uncheck()
        assert not np.array_equal(shown.picture(), before)
        shown.click_on_the_box()
        shown.tab.get_by_text("20.00, 0.00, 0.75 m").wait_for()
        text = shown.text()
        for number in ("van", "4.00 × 2.00 × 1.50 m", "0.00 m/s (0 km/h)", "1 of 3, 0.0 s"):
            assert number in text, number
        shown.tab.get_by_role("button", name="▶").click()
        shown.tab.get_by_text("19.00, 0.00, 0.75 m").wait_for()
        assert "2 of 3, 0.5 s" in shown.text()
        shown.tab.keyboard.press("n")
        shown.tab.get_by_text("3 of 3, 1.0 s").wait_for()
        shown.tab.keyboard.press("b")
        shown.tab.get_by_text("19.00, 0.00, 0.75 m").wait_for()
        assert shown.real_faults() == [] and shown.outside() == []
    finally:
        shown.close()


@pytest.mark.slow
def test_hostile_names_run_nothing_and_break_nothing(browser):
    recording = made_recording(HOSTILE, (HOSTILE, HOSTILE, "\ud800"))
    shown = Shown(browser, recording)
    try:
        shown.picture()
        for box in shown.tab.get_by_role("checkbox").all()[:2]:
            box.uncheck()
        shown.click_on_the_box()
        shown.tab.get_by_text("length × width × height").wait_for()
        shown.tab.get_by_role("button", name="▶").click()
        shown.tab.get_by_text("2 of 3, 0.5 s").wait_for()
        assert shown.tab.evaluate("window.harmed") is None
        assert shown.tab.locator("img[src=x], a[href^=javascript]").count() == 0
        assert "long long long long long long long long long" not in shown.text()
        assert shown.tab.evaluate("document.documentElement.scrollWidth") <= 900
        assert shown.real_faults() == [] and shown.outside() == []
    finally:
        shown.close()
