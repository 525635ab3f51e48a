"""Report page: one HTML file that holds everything it shows, and reaches no network.

The text, style and code of the page are the files in ``web/``; its content is JSON, from which the
code in the page builds tables and charts. The charts are drawn by plotly.js, from the package
``plotly``: it is maintained, comes as one file by pip, draws all the kinds that a report has, reads
values under the pointer and writes SVG. It is compressed in the page and is started after the first
paint. The page's Content-Security-Policy allows these two scripts by their hashes and nothing else.
"""

import base64
import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from bev.evaluation.breakdown.breakdown import Breakdown
from bev.evaluation.table import Result, class_columns
from bev.files import replacing
from bev.visualization.report.analysis import analysis, sample_list
from bev.visualization.report.meaning import meaning
from bev.visualization.report.packing import compressed, pack
from bev.visualization.report.pictures import Extremes
from bev.visualization.report.plain import named, number, script_json
from bev.visualization.report.provenance import differences

PAGE = "report.html"
WEB = Path(__file__).parent / "web"
_CODE = (
    "text.js",
    "tables.js",
    "figures.js",
    "charts.js",
    "bev.js",
    "samples.js",
    "comparison.js",
    "robustness.js",
    "search.js",
    "page.js",
)


@dataclass(frozen=True)
class Page:
    """Content of a report.

    Attributes:
        title: heading.
        subtitle: line below the heading, e.g. the checkpoint.
        notices: sentences in boxes below, e.g. that the run was a rehearsal and its figures mean
            little.
        result: scores of an evaluation.
        breakdown: breakdown of an evaluation of boxes.
        colors: colours (red, green, blue) of the classes of its boxes.
        extremes: rows of the best and the worst samples.
        mosaics: pictures of samples as data URIs, by token.
        pictures: further pictures, captions and data URIs.
        pictures_first: show these pictures before everything else.
        training: charts of the training, see ``training_curves``.
        config_text: text of the config, shown unchanged.
        config: the config as plain data.
        base: name of the config that it is compared with, and that config as plain data.
        provenance: names and values of code, machine, time and command.
    """

    title: str = "Evaluation"
    subtitle: str = ""
    notices: Sequence[str] = ()
    result: Result | None = None
    breakdown: Breakdown | None = None
    colors: Sequence[tuple[int, int, int]] = ()
    extremes: Extremes = Extremes((), ())
    mosaics: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[tuple[str, str]] = ()
    pictures_first: bool = False
    training: Sequence[Mapping[str, Any]] = ()
    config_text: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    base: tuple[str, Mapping[str, Any]] | None = None
    provenance: Sequence[tuple[str, str]] = ()


def write_page(folder: Path | str, page: Page) -> Path:
    """Write ``report.html`` to a folder, which is created if needed, and return its path."""
    boxes: dict[str, Any] = {}
    if page.breakdown is not None:
        boxes = {"list": sample_list(page.breakdown), "boxes": pack(page.breakdown)}
    pictures = {"mosaics": dict(page.mosaics), "others": [list(one) for one in page.pictures]}
    return write_html(folder, page.title, _summary(page), boxes, pictures)


def write_html(
    folder: Path | str,
    title: str,
    summary: Mapping[str, Any],
    samples: Mapping[str, Any],
    pictures: Mapping[str, Any],
) -> Path:
    """Assemble a page.

    Args:
        folder: folder of the page.
        title: title of the page.
        summary: content that is shown at once.
        samples: content of single samples, read when the page is complete.
        pictures: pictures, read likewise.
    """
    code, library = _code(), _library()
    hashes = " ".join(f"'sha256-{_hash(text)}'" for text in (code, library) if text)
    path = Path(folder) / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {
        "policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
        f" form-action 'none'; script-src {hashes}",
        "title": escape(title[:200]),
        "style": (WEB / "style.css").read_text(encoding="utf-8"),
        "summary": script_json(summary),
        "code": code,
        "samples": script_json(samples),
        "pictures": script_json(pictures),
        "library": _packed_library(),
    }
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for number_, text in enumerate((WEB / "page.html").read_text("utf-8").split("@@")):
            file.write(parts[text] if number_ % 2 else text)
    return path


def _summary(page: Page) -> dict[str, Any]:
    result = page.result or Result({})
    notices = [*page.notices, result.missing]
    return {
        "title": page.title,
        "subtitle": page.subtitle,
        "notices": [text for text in notices if text],
        "note": result.note,
        "headline": [
            {"name": name, "value": number(value, 12), **meaning(name)._asdict()}
            for name, value in result.scalars().items()
        ],
        "classes": {
            "columns": class_columns(result.classes),
            "rows": [[name, named(values)] for name, values in result.classes.items()],
        },
        "analysis": None if page.breakdown is None else analysis(page.breakdown),
        "colors": [list(color) for color in page.colors],
        "best": list(page.extremes.best),
        "worst": list(page.extremes.worst),
        "training": list(page.training),
        "pictures_first": page.pictures_first,
        "config": page.config_text,
        "base": "" if page.base is None else page.base[0],
        "differences": [] if page.base is None else differences(page.config, page.base[1]),
        "provenance": [[name, value] for name, value in page.provenance if value],
    }


@cache
def _code() -> str:
    """The page's code, as one script."""
    parts = [(WEB / name).read_text(encoding="utf-8") for name in _CODE]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"


@cache
def _library() -> str:
    """Code of plotly.js; empty if the package is not installed."""
    found = importlib.util.find_spec("plotly")
    for folder in found.submodule_search_locations or () if found else ():
        path = Path(folder) / "package_data" / "plotly.min.js"
        if path.is_file():
            return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    return ""


@cache
def _packed_library() -> str:
    return compressed(_library().encode()) if _library() else ""


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
