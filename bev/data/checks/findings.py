"""Findings of a data check, grouped by kind and reported together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bev.errors import count_of


@dataclass(frozen=True)
class Kind:
    """A kind of damage.

    Attributes:
        title: description of the damage.
        advice: remedy, and the behaviour of training if that is not obvious.
        is_error: True for an error, which fails the check; False for a warning.
    """

    title: str
    advice: str
    is_error: bool = True


@dataclass(frozen=True)
class Findings:
    """Findings grouped by kind.

    Attributes:
        by_kind: messages of each kind in the order of discovery; each message names the token or
            file, and the value.
    """

    by_kind: dict[Kind, list[str]] = field(default_factory=dict)

    def add(self, kind: Kind, findings: Iterable[str]) -> None:
        """Add the findings of a kind; an empty list adds nothing."""
        messages = list(findings)
        if messages:
            self.by_kind.setdefault(kind, []).extend(messages)

    def extend(self, others: "Findings") -> None:
        """Add other findings."""
        for kind, messages in others.by_kind.items():
            self.add(kind, messages)

    def sentences(self, is_error: bool) -> list[str]:
        """One sentence for each kind of error, or of warning, with the first finding."""
        return [
            f"{kind.title} ({found[0]}{f'; and {len(found) - 1} more' * (len(found) > 1)}):"
            f" {kind.advice[:1].lower()}{kind.advice[1:]}"
            for kind, found in self.by_kind.items()
            if kind.is_error == is_error
        ]

    def count(self, is_error: bool) -> int:
        """Number of errors, or of warnings."""
        return sum(len(found) for kind, found in self.by_kind.items() if kind.is_error == is_error)

    def lines(self, most: int) -> Iterator[str]:
        """Lines of the report, errors first, with at most ``most`` findings per kind (0: all)."""
        for kind, found in sorted(self.by_kind.items(), key=lambda item: not item[0].is_error):
            severity = "error" if kind.is_error else "warning"
            yield f"{severity}: {kind.title}: {len(found)}"
            shown = found[: most or None]
            yield from (f"    {line}" for line in shown)
            if len(shown) < len(found):
                yield f"    ... and {len(found) - len(shown)} more; --all lists them"
            yield f"  {kind.advice}"
        totals = [("error", self.count(True)), ("warning", self.count(False))]
        summary = [count_of(count, name) for name, count in totals if count]
        yield ", ".join(summary) or "nothing wrong"
