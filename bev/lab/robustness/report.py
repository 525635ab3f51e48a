"""Page of a suite: its table, curves and map in one HTML file."""

import base64
import math
from pathlib import Path
from typing import Any

from bev.data.frame import CameraFrame
from bev.lab.robustness.conditions import GROUPS
from bev.lab.robustness.figures import draw_suite
from bev.lab.robustness.pictures import draw_corruptions
from bev.lab.robustness.table import Results
from bev.visualization.report.page import write_html
from bev.visualization.report.plain import number
from bev.visualization.report.provenance import provenance

FIGURE, PICTURE = "robustness.png", "corruptions.jpg"


def write_report(
    folder: Path, results: Results, source: str, camera: CameraFrame, root: Path
) -> Path:
    """Write ``report.html``, ``robustness.png`` and, with corruptions, ``corruptions.jpg``.

    Args:
        folder: folder of the files.
        results: outcomes of the suite.
        source: the checkpoint.
        camera: camera whose image shows the corruptions.
        root: folder of the data set.

    Returns:
        Path of the page.
    """
    draw_suite(results, folder / FIGURE)
    pictures: list[list[str]] = []
    if any(one.group == "corruptions" for one in results.conditions):
        shown = draw_corruptions(camera, root, results.identity["seed"], folder / PICTURE)
        text = base64.b64encode(shown.read_bytes()).decode()
        caption = f"{camera.name} of the first sample under the corruptions, at the three levels"
        pictures = [[caption, f"data:image/jpeg;base64,{text}"]]
    own = results.identity
    missing = len(results.conditions) - len(results.done)
    title = f"Robustness on {own['split']}"
    summary = {
        "title": title,
        "subtitle": source,
        "notices": _notices(results) + ([f"{missing} conditions are not done."] if missing else []),
        "robustness": _content(results),
        "provenance": [
            [name, value]
            for name, value in [
                ("Suite", ", ".join(f"{name} {value}" for name, value in own.items())),
                *provenance(),
            ]
            if value
        ],
    }
    return write_html(folder, title, summary, {}, {"mosaics": {}, "others": pictures})


def _notices(results: Results) -> list[str]:
    own, found = results.identity, []
    if own["every"] > 1:
        found.append(
            f"{own['samples']} samples, one of every {own['every']}, were evaluated; on so few, a"
            " difference between two conditions has a wide interval."
        )
    if not results.is_robobev and any(one.group == "corruptions" for one in results.done):
        found.append(
            "The corruptions are RoboBEV's, their data are not (nuScenes val, images of 1600x900):"
            f" here the images are {own['image_size']}, and lengths such as that of a blur are in"
            " pixels of the image. The summary figures are not comparable with published ones."
        )
    return found


def _content(results: Results) -> dict[str, Any]:
    """Content of the page as plain data, see ``web/robustness.js``."""
    shown = results.names[:7]
    clean = results.done[0]
    kinds: dict[str, dict[str, Any]] = {}
    for one in results.done[1:]:
        if one.level:
            own = kinds.setdefault(one.kind, {"name": one.kind, "group": one.group, "points": []})
            own["points"].append([one.level, number(results.value(one))])
    return {
        "main": results.main,
        "clean": number(results.value(clean)),
        "columns": shown,
        "groups": [
            [name, title] for name, title in GROUPS.items()
            if any(one.group == name for one in results.done)
        ],
        "rows": [
            {
                "name": one.name,
                "group": one.group,
                "level": one.level,
                "values": [number(results.value(one, name)) for name in shown],
                "ratio": None if math.isnan(results.ratio(one)) else number(results.ratio(one)),
                "azimuth": [
                    None if value is None else number(value)
                    for value in results.outcomes[one.name].azimuth.values()
                ],
            }
            for one in results.done
        ],
        "sectors": list(results.clean.azimuth),
        "curves": list(kinds.values()),
        "summary": [[name, number(value)] for name, value in results.summary().items()],
    }  # fmt: skip
