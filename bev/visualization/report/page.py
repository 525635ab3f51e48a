"""HTML page of an evaluation: figures, curves, pictures and the config.

The page needs only the files in its folder. Pictures are linked by relative paths, so a run folder
can be zipped, copied and opened anywhere.
"""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from bev.evaluation.table import Result, class_columns, class_rows

_STYLE = """
:root { color-scheme: light dark; }
body {
  font: 15px/1.5 system-ui, sans-serif;
  margin: 2.5rem auto;
  max-width: 1280px;
  padding: 0 1.5rem;
}
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .7rem; }
.where { opacity: .6; margin: 0; }
.notice { border-left: 4px solid #d9822b; background: #d9822b22; padding: .6rem 1rem; }
.headline { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.5rem 0; }
.headline div { border: 1px solid #8884; border-radius: 8px; padding: .5rem 1.1rem; }
.headline b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem 1.1rem .25rem 0; text-align: right; border-bottom: 1px solid #8883; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; border-radius: 6px; display: block; margin: .4rem 0 1.2rem; }
figcaption { opacity: .6; font-size: .85rem; }
figure { margin: 0; }
pre { overflow: auto; background: #8881; padding: 1rem; border-radius: 8px; font-size: .85rem; }
"""


def write_page(
    folder: Path | str,
    *,
    title: str = "Evaluation",
    subtitle: str = "",
    notice: str = "",
    result: Result | None = None,
    curves: Path | str | None = None,
    pictures: Sequence[Path | str] = (),
    config_text: str = "",
) -> Path:
    """Write ``report.html`` to a folder and return its path.

    Args:
        folder: folder of an evaluation or a run; created if needed.
        title: heading.
        subtitle: line below the heading, e.g. the checkpoint and the split.
        notice: text in a box below, e.g. that the run was a rehearsal and its figures mean little.
        result: scores of an evaluation.
        curves: PNG of the precision-recall curves.
        pictures: image files to show, in order, linked by paths relative to the folder.
        config_text: text of the config, shown unchanged.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"<h1>{escape(title)}</h1>"]
    if subtitle:
        parts.append(f'<p class="where">{escape(subtitle)}</p>')
    if notice:
        parts.append(f'<p class="notice">{escape(notice)}</p>')
    if result is not None and result.missing:
        parts.append(f'<p class="notice">{escape(result.missing)}</p>')
    if result is not None and result.scalars():
        parts.append(_headline(result.scalars()))
    if result is not None and result.note:
        parts.append(f'<p class="where">{escape(result.note)}</p>')
    if result is not None and result.classes:
        parts += ["<h2>By class</h2>", _class_table(result.classes)]
    if curves is not None:
        parts += ["<h2>Precision and recall</h2>", _picture(folder, Path(curves), "")]
    if pictures:
        parts.append("<h2>Pictures</h2>")
        parts += [_picture(folder, Path(p), Path(p).stem) for p in pictures]
    if config_text:
        parts.append(f"<h2>Configuration</h2>\n<pre>{escape(config_text)}</pre>")
    body = "\n".join(parts)
    page = folder / "report.html"
    page.write_text(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n",
        encoding="utf-8",
    )
    return page


def _headline(figures: Mapping[str, float]) -> str:
    tiles = "".join(f"<div>{escape(k)}<b>{v:.3f}</b></div>" for k, v in figures.items())
    return f'<div class="headline">{tiles}</div>'


def _class_table(classes: Mapping[str, Mapping[str, float]]) -> str:
    columns = ("class", *class_columns(classes))
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = (
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in (escape(name), *cells)) + "</tr>"
        for name, cells in class_rows(classes)
    )
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(rows) + "\n</table>"


def _picture(folder: Path, picture: Path, caption: str) -> str:
    link = quote(Path(os.path.relpath(picture.resolve(), folder.resolve())).as_posix())
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="{link}" alt="{escape(caption)}" loading="lazy">{below}</figure>'
