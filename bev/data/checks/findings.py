"""What a check finds, by kind: all of it is kept, and told at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """A kind of damage.

    Attributes:
        title: what is wrong.
        advice: what to do, and what training does where that is not obvious.
        is_error: whether it makes the check fail; else it is a warning.
    """

    title: str
    advice: str
    is_error: bool = True


@dataclass(frozen=True)
class Findings:
    """Findings by kind, in the order found; each names the token or file, and the value."""

    by_kind: dict[Kind, list[str]] = field(default_factory=dict)

    def add(self, kind: Kind, findings: Iterable[str]) -> None:
        """Add findings of a kind; none adds nothing."""
        found = list(findings)
        if found:
            self.by_kind.setdefault(kind, []).extend(found)

    def count(self, is_error: bool) -> int:
        """How many errors, or else warnings, there are."""
        return sum(len(found) for kind, found in self.by_kind.items() if kind.is_error == is_error)

    def lines(self, most: int) -> Iterator[str]:
        """The report: errors first; of each kind at most so many findings (0: all)."""
        for kind, found in sorted(self.by_kind.items(), key=lambda item: not item[0].is_error):
            severity = "error" if kind.is_error else "warning"
            yield f"{severity}: {kind.title}: {len(found)}"
            shown = found[: most or None]
            yield from (f"    {line}" for line in shown)
            if len(shown) < len(found):
                yield f"    ... and {len(found) - len(shown)} more; --all lists them"
            yield f"  {kind.advice}"
        totals = [("error", self.count(True)), ("warning", self.count(False))]
        told = [f"{count} {name}{'s' * (count > 1)}" for name, count in totals if count]
        yield ", ".join(told) or "nothing wrong"
