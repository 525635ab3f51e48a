"""Table of a suite: figures of each condition, and the summary figures."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bev.data.images.corruptions.corruption import KINDS
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.files import replacing
from bev.lab.robustness.conditions import CLEAN, Condition
from bev.lab.robustness.robobev import (
    LEVELS,
    mean_corruption_error,
    mean_resilience_rate,
    resilience_rate,
)
from bev.lab.robustness.suite import Outcome

# Identity of a suite by RoboBEV's protocol.
_ROBOBEV = {"version": "v1.0-trainval", "split": "val", "samples": 6019, "every": 1,
            "image_size": "1600x900", "cameras": list(CAMERAS)}  # fmt: skip
_FIRST = ("NDS", "mAP", "mIoU")  # figures in the first columns, where a model has them


@dataclass(frozen=True)
class Results:
    """Outcomes of a suite.

    Attributes:
        identity: model, data and settings.
        conditions: all conditions of the suite, the clean data first.
        outcomes: outcomes of those that are done, by name; the clean data are.
    """

    identity: Mapping[str, Any]
    conditions: Sequence[Condition]
    outcomes: Mapping[str, Outcome]

    @property
    def clean(self) -> Outcome:
        """Outcome of the clean data."""
        return self.outcomes[CLEAN]

    @property
    def names(self) -> list[str]:
        """Names of all figures, NDS and mAP first."""
        known = self.clean.figures
        return [n for n in _FIRST if n in known] + [n for n in known if n not in _FIRST]

    @property
    def main(self) -> str:
        """Name of the figure that ratios refer to: NDS, or the model's first."""
        return self.names[0]

    @property
    def done(self) -> list[Condition]:
        """Conditions that are done."""
        return [one for one in self.conditions if one.name in self.outcomes]

    @property
    def is_robobev(self) -> bool:
        """Whether the protocol is RoboBEV's: all samples and cameras of nuScenes val."""
        return all(self.identity[name] == value for name, value in _ROBOBEV.items())

    def value(self, condition: Condition, name: str = "") -> float:
        """A figure of a condition; NaN if it has none."""
        return self.outcomes[condition.name].figures.get(name or self.main, math.nan)

    def ratio(self, condition: Condition) -> float:
        """Main figure over that of the clean data; NaN if that is 0."""
        clean = self.clean.figures[self.main]
        return self.value(condition) / clean if clean else math.nan

    def levels(self, kind: str) -> list[float]:
        """Main figures of the conditions of a kind, in the order of their levels."""
        return [self.value(one) for one in self.done if one.kind == kind]

    def summary(self) -> dict[str, float]:
        """Mean ratios by group, and the summary of the corruptions if all of them are done.

        The summary has RoboBEV's names mCE and mRR where the protocol is RoboBEV's. Elsewhere the
        same arithmetic is named a formula, with its base.
        """
        found: dict[str, float] = {}
        nds: dict[str, list[float]] = {kind: self.levels(kind) for kind in KINDS}
        clean = self.clean.figures.get("NDS", 0.0)
        if self.main == "NDS" and clean and all(len(own) == len(LEVELS) for own in nds.values()):
            mce, mrr = mean_corruption_error(nds), mean_resilience_rate(nds, clean)
            names = ("mCE", "mRR") if self.is_robobev else (
                "mCE formula (base: DETR3D on nuScenes val)", "mRR formula"
            )  # fmt: skip
            found |= dict(zip(names, (mce, mrr), strict=True))
            for kind, own in nds.items():
                found[f"RR {kind}"] = resilience_rate(own, clean)
        groups: dict[str, list[float]] = {}
        for one in self.done[1:]:
            groups.setdefault(one.group, []).append(self.ratio(one))
        for group, ratios in groups.items():
            found[f"mean {self.main} ratio, {group}"] = sum(ratios) / len(ratios)
        return found

    def text(self) -> str:
        """Table for a terminal."""
        shown = self.names[:7]
        width = max(len(one.name) for one in self.conditions) + 2
        lines = [f"{'':<{width}}" + "".join(f"{n:>8}" for n in (*shown, "ratio"))]
        for one in self.done:
            cells = [self.value(one, n) for n in shown] + [self.ratio(one)]
            lines.append(f"{one.name:<{width}}" + "".join(f"{cell:8.3f}" for cell in cells))
        lines.append("")
        lines += [f"{name:<48}{100 * value:7.2f} %" for name, value in self.summary().items()]
        missing = len(self.conditions) - len(self.done)
        return "\n".join(lines + ([f"\n{missing} conditions are not done."] if missing else []))

    def write(self, folder: Path) -> None:
        """Write ``robustness.csv`` and ``robustness.json``."""
        sectors = list(self.clean.azimuth)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        header = ["condition", "group", "kind", "level", *self.names, "ratio"]
        writer.writerow(header + [f"mean AP {sector}" for sector in sectors])
        for one in self.done:
            figures = [self.value(one, name) for name in self.names]
            azimuth = [self.outcomes[one.name].azimuth.get(sector) for sector in sectors]
            writer.writerow(
                [one.name, one.group, one.kind, one.level, *figures, self.ratio(one), *azimuth]
            )
        content = {
            "suite": dict(self.identity),
            "protocol": "RoboBEV" if self.is_robobev else "RoboBEV's corruptions on other data",
            "summary": {name: _plain(value) for name, value in self.summary().items()},
            "conditions": [
                {
                    "name": one.name,
                    "group": one.group,
                    "kind": one.kind,
                    "level": one.level,
                    "ratio": _plain(self.ratio(one)),
                    "figures": {name: _plain(self.value(one, name)) for name in self.names},
                    "azimuth": self.outcomes[one.name].azimuth,
                }
                for one in self.done
            ],
        }
        for name, written in (
            ("robustness.csv", text.getvalue()),
            ("robustness.json", json.dumps(content, indent=1) + "\n"),
        ):
            with replacing(folder / name) as partial:
                partial.write_text(written, encoding="utf-8", newline="")


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
