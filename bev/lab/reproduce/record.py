"""Record of a reproduction: published and measured figures, and the stages, in one JSON file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bev.evaluation.scores import Scores
from bev.files import replacing
from bev.lab.reproduce.published import PUBLISHED, SAME_WEIGHTS, SEED_NOISE, Published
from bev.lab.reproduce.stages import Stage

FORMAT = 1
RECORD = "reproduction.json"


@dataclass(frozen=True)
class Reproduction:
    """Measured figures beside published ones.

    Attributes:
        config: name of the config.
        published: published rows of it; empty if none is known.
        heads: measured scores by head.
        stages: stages by name, see ``bev.lab.reproduce.stages``.
        trained: whether the weights were trained here, so that seeds matter; otherwise they are
            the published ones.
    """

    config: str
    published: Sequence[Published]
    heads: Mapping[str, Scores]
    stages: Mapping[str, Stage]
    trained: bool

    @property
    def figures(self) -> dict[str, float]:
        """Measured figures by name."""
        return {name: value for one in self.heads.values() for name, value in one.figures.items()}

    def rows(self) -> list[dict[str, Any]]:
        """Each published row with the differences of the measured figures from it."""
        return [
            {
                "what": row.what,
                "published": row.figures,
                "difference": {
                    name: self.figures[name] - value
                    for name, value in row.figures.items()
                    if name in self.figures
                },
            }
            for row in self.published
        ]

    def verdict(self) -> str:
        """One sentence: whether the nearest published row is reproduced, or which stages differ.

        There is no verdict for a config that reproduces no published row, or for trainings where
        the variation of a figure between seeds is not known.
        """
        if not (rows := [row for row in self.rows() if row["difference"]]):
            return f"No published figure of {self.config} is known here, so nothing is compared."
        near = min(rows, key=lambda row: max(map(abs, row["difference"].values())))
        if self.config not in PUBLISHED:
            return f"{self.config} reproduces no published row; the nearest is {near['what']}."
        unknown = [n for n in near["difference"] if self.trained and n not in SEED_NOISE]
        if unknown:
            return (
                f"{near['what']}: how much {', '.join(unknown)} varies between seeds is not known,"
                " so there is no verdict."
            )
        limits = {name: self._limit(name) for name in near["difference"]}
        worst = max(abs(gap) / limits[name] for name, gap in near["difference"].items())
        reason = "of two standard deviations between seeds" if self.trained else "of rounding"
        if worst <= 1:
            return f"{near['what']} is reproduced: no figure is beyond the limit {reason}."
        found = [name for name, stage in self.stages.items() if stage["findings"]]
        where = f"see what differs in {', '.join(found)}" if found else "no stage has a finding"
        return f"{near['what']} is not reproduced within the limit {reason}; {where}."

    def write(self, path: Path) -> None:
        """Write the record; numbers that are not defined are null."""
        content = {
            "format": FORMAT,
            "config": self.config,
            "verdict": self.verdict(),
            "measured": self.figures,
            "rows": self.rows(),
            "classes": {name: one.classes for name, one in self.heads.items() if one.classes},
            "notes": [one.note for one in self.heads.values() if one.note],
            "stages": self.stages,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(_defined(content), indent=2, allow_nan=False))

    def text(self) -> str:
        """Table of published and measured figures, and the findings by stage."""
        names = list(dict.fromkeys(name for row in self.published for name in row.figures))
        names = [name for name in names or self.figures if name in self.figures]
        lines = [f"{'':52}" + "".join(f"{name:>14}" for name in names)]
        for row in self.rows():
            cells = [
                f"{100 * row['published'][name]:6.1f} ({100 * row['difference'][name]:+5.1f})"
                if name in row["difference"]
                else ""
                for name in names
            ]
            lines.append(f"{row['what']:52}" + "".join(f"{cell:>14}" for cell in cells))
        ours = "".join(f"{100 * self.figures[name]:14.2f}" for name in names)
        lines += [f"{'measured here (difference in brackets)':52}{ours}", ""]
        for name, stage in self.stages.items():
            lines.append(f"{name}: {' '.join(stage['findings']) or 'as expected'}")
        return "\n".join([*lines, "", self.verdict()])

    def _limit(self, name: str) -> float:
        return 2 * SEED_NOISE[name] if self.trained else SAME_WEIGHTS


def _defined(value: Any) -> Any:
    """Replace numbers that JSON does not have by None."""
    if isinstance(value, Mapping):
        return {str(key): _defined(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
