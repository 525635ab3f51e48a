"""Text for the viewer: names from data, which may contain anything, and the numbers of a box.

Names are shortened, and characters that are not printed (control characters, marks of direction,
lone surrogates) are replaced by escapes. What becomes HTML is escaped as well.
"""

import math
from collections.abc import Sequence
from html import escape

from bev.visualization.colors import Color
from bev.visualization.viewer.contents import BoxTable, Recording

LONGEST = 60  # characters of a name


def plain(name: str, longest: int = LONGEST) -> str:
    """A name on one line that is shown as it is, whatever characters it has."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name[: longest + 1])
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def distinct(names: Sequence[str]) -> list[str]:
    """Plain names of which no two are the same: later ones get a number."""
    found: list[str] = []
    for name in map(plain, names):
        number, one = 2, name
        while one in found:
            one, number = f"{name} ({number})", number + 1
        found.append(one)
    return found


def box_rows(recording: Recording, layer: int, boxes: BoxTable, row: int) -> list[tuple[str, str]]:
    """Names and values of the numbers of one box, as text.

    Args:
        recording: recording that the box belongs to.
        layer: index of its set of boxes; the first one is the ground truth.
        boxes: the set.
        row: its index.
    """
    x, y, z = boxes.center[row].tolist()
    length, width, height = boxes.size[row].tolist()
    speed = float(math.hypot(*boxes.velocity[row].tolist()))
    known = math.isfinite(speed)
    rows = [
        ("set", plain(recording.layers[layer])),
        ("class", plain(recording.classes[int(boxes.label[row])].name)),
        ("score", f"{float(boxes.score[row]):.3f}" if layer else ""),
        ("length × width × height", f"{length:.2f} × {width:.2f} × {height:.2f} m"),
        ("x, y, z", f"{x:.2f}, {y:.2f}, {z:.2f} m"),
        ("distance", f"{math.hypot(x, y):.1f} m"),
        ("heading", f"{math.degrees(float(boxes.yaw[row])):.0f}°"),
        ("speed", f"{speed:.2f} m/s ({3.6 * speed:.0f} km/h)" if known else "unknown"),
        ("track", str(int(boxes.track[row])) if boxes.track[row] >= 0 else ""),
        ("points in it", str(int(boxes.points[row])) if boxes.points[row] >= 0 else ""),
    ]
    return [(name, value) for name, value in rows if value]


def table(rows: Sequence[tuple[str, str]]) -> str:
    """HTML of a table of two columns."""
    lines = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:normal;opacity:0.75;'
        f'padding:0.1em 0.8em 0.1em 0;vertical-align:top;white-space:nowrap">{escape(name)}</th>'
        f'<td style="overflow-wrap:anywhere"><bdi>{escape(value)}</bdi></td></tr>'
        for name, value in rows
    )
    return f'<table style="font-size:0.8em;margin:0 0.8em 0.6em;width:90%">{lines}</table>'


def legend(entries: Sequence[tuple[str, Color]]) -> str:
    """HTML of names beside their colours."""
    items = "".join(
        '<span style="white-space:nowrap;margin-right:1em;display:inline-block;max-width:100%;'
        'overflow:hidden;text-overflow:ellipsis">'
        f'<span style="display:inline-block;width:0.8em;height:0.8em;margin-right:0.4em;'
        f'background:rgb({red},{green},{blue})"></span><bdi>{escape(plain(name, 30))}</bdi></span>'
        for name, (red, green, blue) in entries
    )
    return f'<div style="font-size:0.8em;margin:0 0.8em 0.6em;line-height:1.6">{items}</div>'


def note(text: str) -> str:
    """HTML of one plain sentence."""
    return f'<div style="font-size:0.8em;margin:0 0.8em 0.6em;opacity:0.75">{escape(text)}</div>'
