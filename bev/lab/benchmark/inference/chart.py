"""Chart of the latency of variants, and of the stages that it consists of."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from bev.lab.benchmark.inference.run import Latency, StageTime

_COLORS = (
    "#4477aa", "#66ccee", "#ee6677", "#aa3377", "#ccbb44", "#228833", "#bbbbbb", "#994455",
    "#004488", "#997700",
)  # fmt: skip  # Paul Tol's, which colour-blind readers tell apart
_ORDER = ("backbone", "neck", "plan", "view", "temporal", "encoder")
_SMALLEST = 0.004  # share of the longest bar below which a stage is not drawn by itself


def draw(latencies: "Sequence[Latency]", stages: "Sequence[StageTime]", path: Path) -> None:
    """Draw medians with 10th and 90th percentiles, and the stages of the smallest batch."""
    batches = sorted({row.batch for row in latencies})
    rows = max(sum(row.batch == batch for row in latencies) for batch in batches)
    figure = Figure(figsize=(11, 1.9 + 0.42 * rows), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(batches) + 1, squeeze=False)[0]
    for panel, batch in zip(panels, batches, strict=False):
        _draw_latencies(panel, [row for row in latencies if row.batch == batch])
    _draw_stages(panels[-1], [s for s in stages if s.batch == batches[0] and s.variant])
    first = latencies[0]
    threads = f", {first.threads} threads" if first.device == "cpu" else ""
    figure.suptitle(f"One prediction, images in memory to boxes ({first.device}{threads})")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_latencies(panel, rows: "Sequence[Latency]") -> None:
    names = [row.variant for row in rows]
    medians = [row.p50_ms for row in rows]
    below = [row.p50_ms - row.p10_ms for row in rows]
    above = [row.p90_ms - row.p50_ms for row in rows]
    panel.barh(names, medians, color=_COLORS[0], height=0.62)
    panel.errorbar(
        medians, range(len(rows)), xerr=[below, above], fmt="none", ecolor="#333333", capsize=3
    )
    longest = max(row.p90_ms for row in rows)
    for number, row in enumerate(rows):
        panel.text(row.p90_ms + 0.02 * longest, number, f"{row.speed:.2f}x", va="center")
    panel.set_xlim(0, 1.16 * longest)
    panel.set_title(f"batch {rows[0].batch}: median, 10th to 90th percentile", fontsize=10)
    _finish(panel)


def _draw_stages(panel, stages: "Sequence[StageTime]") -> None:
    variants = list(dict.fromkeys(stage.variant for stage in stages))
    found = list(dict.fromkeys(stage.stage for stage in stages))
    order = [name for name in _ORDER if name in found]
    order += [name for name in found if name not in order]
    times = {(stage.variant, stage.stage): max(stage.ms, 0.0) for stage in stages}
    longest = max(sum(times.get((v, name), 0.0) for name in order) for v in variants)
    left = dict.fromkeys(variants, 0.0)
    shown = [
        n for n in order if max(times.get((v, n), 0.0) for v in variants) > _SMALLEST * longest
    ]
    for number, name in enumerate(shown):
        widths = [times.get((variant, name), 0.0) for variant in variants]
        panel.barh(
            variants, widths, left=[left[v] for v in variants], label=name, height=0.62,
            color=_COLORS[number % len(_COLORS)], edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        for variant, width in zip(variants, widths, strict=True):
            left[variant] += width
    panel.set_title(f"batch {stages[0].batch}: stages", fontsize=10)
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    _finish(panel)


def _finish(panel) -> None:
    panel.invert_yaxis()
    panel.set_xlabel("milliseconds")
    panel.spines[["top", "right"]].set_visible(False)
