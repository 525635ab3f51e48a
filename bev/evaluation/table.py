"""Scores of an evaluated split, and their text table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bev.evaluation.scores import Scores

Classes = Mapping[str, Mapping[str, float]]


def class_columns(classes: Classes) -> list[str]:
    """Names of the columns of all classes."""
    return list(dict.fromkeys(name for values in classes.values() for name in values))


def class_rows(classes: Classes) -> list[tuple[str, list[str]]]:
    """Rows of the table: the name of each class, and its values as text ('-' if not defined)."""
    columns = class_columns(classes)
    rows = []
    for name, values in classes.items():
        cells = [values.get(column, math.nan) for column in columns]
        rows.append((name, ["-" if math.isnan(v) else f"{v:.3f}" for v in cells]))
    return rows


def scores_table(heads: Mapping[str, Scores]) -> str:
    """Format figures and one line per class, aligned, without a trailing line break.

    The figures of the first head with classes are placed side by side, those of other heads one per
    line below.
    """
    main = next((one for one in heads.values() if one.classes), Scores())
    others = [
        f"{name:<22}{value:8.4f}"
        for one in heads.values()
        if one is not main
        for name, value in one.figures.items()
    ]
    if not main.classes:
        return "\n".join(others)
    lines = [
        "".join(f"{name:>8}" for name in main.figures),
        "".join(f"{value:8.4f}" for value in main.figures.values()),
        *others,
        "",
        f"{'class':<22}" + "".join(f"{name:>8}" for name in class_columns(main.classes)),
    ]
    for name, cells in class_rows(main.classes):
        lines.append(f"{name:<22}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)


@dataclass(frozen=True)
class Result:
    """Scores of an evaluated split.

    Attributes:
        heads: scores of each head, by name.
        unscored: reason for each head that has no scores, by name.
    """

    heads: Mapping[str, Scores]
    unscored: Mapping[str, str] = field(default_factory=dict)

    def scalars(self) -> dict[str, float]:
        """All figures by name, for a logger."""
        return {n: value for one in self.heads.values() for n, value in one.figures.items()}

    @property
    def classes(self) -> Mapping[str, Mapping[str, float]]:
        """Value of each column, by class; empty if no head has classes."""
        return next((one.classes for one in self.heads.values() if one.classes), {})

    @property
    def note(self) -> str:
        """Definition of figures, if it is needed to compare them; otherwise empty."""
        return " ".join(one.note for one in self.heads.values() if one.note)

    @property
    def missing(self) -> str:
        """Sentence about heads that have no scores; empty if all have."""
        names = [*self.unscored]
        if not names:
            return ""
        others = f"; not scored either: {', '.join(names[1:])}." if names[1:] else "."
        return self.unscored[names[0]].rstrip(".") + others

    def text(self) -> str:
        """Text table for a terminal, without a trailing line break."""
        return "\n".join(filter(None, [scores_table(self.heads), self.missing]))
