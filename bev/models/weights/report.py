"""Report of weights that were loaded: a record, and a few lines to print."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple


class Mismatch(NamedTuple):
    """A tensor whose shape in the file is not that in the model."""

    name: str
    there: tuple[int, ...]
    here: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.there} there, {self.here} here"


@dataclass(frozen=True)
class WeightsReport:
    """The fate of every tensor of a model and of a file.

    Attributes:
        source: where the weights come from.
        matched: loaded, names in the model.
        missing: in the model, not in the file; they keep what they had.
        mismatched: in both, of different shapes; they keep what they had.
        unused: in the file, not in the model; names in the file.
        skipped: in the model, left out as asked.
        notes: further sentences.
    """

    source: str
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    unused: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def below(self, prefix: str) -> "WeightsReport":
        """The same, of a model that stands within another: names begin with ``prefix``."""
        return replace(
            self,
            matched=tuple(prefix + name for name in self.matched),
            missing=tuple(prefix + name for name in self.missing),
            mismatched=tuple(m._replace(name=prefix + m.name) for m in self.mismatched),
            skipped=tuple(prefix + name for name in self.skipped),
        )

    def lines(self, names: int = 3) -> list[str]:
        """A line for each part of the model (the first word of a name), and one for the rest.

        Args:
            names: how many tensors to name of those that were not loaded; -1 for all.
        """
        loaded = Counter(map(part_of, self.matched))
        lines = [f"weights of {self.source}"]
        here = [*self.matched, *self.missing, *(m.name for m in self.mismatched), *self.skipped]
        for part, total in Counter(map(part_of, here)).items():
            texts = [f"{loaded[part]} of {total} tensors"]
            misfits = [str(m) for m in self.mismatched if part_of(m.name) == part]
            missing = [name for name in self.missing if part_of(name) == part]
            skipped = [name for name in self.skipped if part_of(name) == part]
            for group, why in ((misfits, "shape differs"), (missing, "not in the file")):
                if group:
                    texts.append(f"{len(group)} start anew ({why}): {_some(group, names)}")
            if skipped:
                texts.append(f"{len(skipped)} left out as asked")
            lines.append(f"  {part}: {'; '.join(texts)}")
        if self.unused:
            lines.append(f"  of the file not used: {len(self.unused)}: {_some(self.unused, names)}")
        return lines + [f"  {note}" for note in self.notes]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def part_of(name: str) -> str:
    """The first word of a tensor's name: the part of the model that it belongs to."""
    return name.split(".")[0]


def _some(texts: Sequence[str], count: int) -> str:
    shown = list(texts) if count < 0 else list(texts[:count])
    return ", ".join(shown) + (", …" if len(shown) < len(texts) else "")
