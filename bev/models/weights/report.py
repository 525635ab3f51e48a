"""Report on loaded weights: a record, and a few lines to print."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple


class Mismatch(NamedTuple):
    """Tensor with different shapes in the file and in the model."""

    name: str
    file_shape: tuple[int, ...]
    model_shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.file_shape} in the file, {self.model_shape} in the model"


@dataclass(frozen=True)
class WeightsReport:
    """Result of loading weights, for every tensor of the model and of the file.

    Attributes:
        source: source of the weights.
        matched: names (in the model) of the loaded tensors.
        missing: names of tensors that are only in the model; these keep their values.
        mismatched: tensors whose shapes differ; these keep their values.
        unused: names of tensors that are only in the file.
        skipped: names of tensors of the model that were excluded on request.
        notes: further notes.
    """

    source: str
    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    mismatched: tuple[Mismatch, ...] = ()
    unused: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def below(self, prefix: str) -> "WeightsReport":
        """Prepend ``prefix`` to the names in the model, for a model that is part of another."""
        return replace(
            self,
            matched=tuple(prefix + name for name in self.matched),
            missing=tuple(prefix + name for name in self.missing),
            mismatched=tuple(m._replace(name=prefix + m.name) for m in self.mismatched),
            skipped=tuple(prefix + name for name in self.skipped),
        )

    def lines(self, names: int = 3) -> list[str]:
        """One line for each part of the model (first word of a name), and one for unused tensors.

        Args:
            names: maximum number of tensors to name of those that were not loaded; -1 for all.
        """
        loaded = Counter(map(part_of, self.matched))
        lines = [f"weights of {self.source}"]
        every = [*self.matched, *self.missing, *(m.name for m in self.mismatched), *self.skipped]
        for part, total in Counter(map(part_of, every)).items():
            texts = [f"{loaded[part]} of {total} tensors"]
            mismatched = [str(m) for m in self.mismatched if part_of(m.name) == part]
            missing = [name for name in self.missing if part_of(name) == part]
            skipped = [name for name in self.skipped if part_of(name) == part]
            for group, reason in ((mismatched, "shape differs"), (missing, "not in the file")):
                if group:
                    texts.append(f"{len(group)} not loaded ({reason}): {_some(group, names)}")
            if skipped:
                texts.append(f"{len(skipped)} skipped on request")
            lines.append(f"  {part}: {'; '.join(texts)}")
        if self.unused:
            lines.append(
                f"  not used from the file: {len(self.unused)}: {_some(self.unused, names)}"
            )
        return lines + [f"  {note}" for note in self.notes]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def part_of(name: str) -> str:
    """Part of the model that a tensor belongs to: the first word of its name."""
    return name.split(".")[0]


def _some(texts: Sequence[str], count: int) -> str:
    shown = list(texts) if count < 0 else list(texts[:count])
    return ", ".join(shown) + (", …" if len(shown) < len(texts) else "")
