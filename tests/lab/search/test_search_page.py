"""The page of a search in headless Chromium: its charts, and tables whose rows stay one line."""

import pytest
from chromium import drawn

pytest.importorskip("optuna")

from bev.config import Experiment
from bev.lab.search import Choice, Float, Search
from bev.lab.search.ledger import Ledger
from bev.lab.search.page import write_search_page
from bev.lab.search.storage import open_search, open_storage

KILLED = "its process was killed (exit status -9) after: " + "epoch 1, loss 4.5, box loss 2.1, " * 5
SEARCH = Search(
    Experiment(),
    {"train.ema": Choice((0, 0.9)), "train.lr": Float(1e-4, 1, log=True)},
    trials=6,
    name="s",
)


@pytest.mark.slow
def test_the_page_draws_trials_and_gives_reasons_in_a_table_of_their_own(tmp_path):
    storage = open_storage(str(tmp_path / "search.db"))
    ledger = Ledger(storage, open_search(SEARCH, storage, "search.db", tmp_path), SEARCH)
    while entry := ledger.claim():
        if entry.place == 2:
            ledger.fail(entry, "Backbone 'nonesuch' is unknown")
        elif entry.place == 3 and entry.attempts == 1:
            ledger.put_back(entry, KILLED)
        else:
            ledger.complete(entry, entry.values["train.lr"])
    page = write_search_page(SEARCH, ledger, tmp_path)
    with drawn(page, "history", "importance", "slice-0", "slice-1") as tab:
        trials, reasons = tab.locator("#table table").all()
        heights = [row.bounding_box()["height"] for row in trials.locator("tbody tr").all()]
        assert len(heights) == 6 and max(heights) - min(heights) < 2
        told = [row.inner_text().split("\t") for row in reasons.locator("tbody tr").all()]
        assert [one[0] for one in told] == ["trial_002", "trial_003"]
        assert told[0][1] == "Backbone 'nonesuch' is unknown" and told[1][1].startswith(KILLED[:99])
