"""Parts of a model, given by a prefix of the names of their tensors, such as ``view.depth_net``.

The words between dots are matched one by one and may contain wildcards: ``backbone.body.layer*``,
``head.tasks.*.heatmap``.
"""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase


def within(name: str, part: str) -> bool:
    """Return True if a tensor or module of this name is in a part; ``""`` contains all."""
    words, wanted = name.split("."), part.rstrip(".").split(".") if part else []
    return len(words) >= len(wanted) and all(map(fnmatchcase, words, wanted))


def within_any(name: str, parts: Iterable[str]) -> bool:
    """Return True if a tensor or module of this name is in one of the parts."""
    return any(within(name, part) for part in parts)


def unknown_part(names: Iterable[str], parts: Iterable[str], what: str = "part") -> str:
    """Error message for the first part that contains none of the names; empty without any.

    The message lists similar parts and all parts of the model.

    Args:
        names: names of the tensors or modules of the model.
        parts: parts to check.
        what: word for a part in the message.
    """
    names = list(names)
    for part in parts:
        if not any(within(name, part) for name in names):
            known: dict[str, None] = {}
            for name in names:
                words = name.split(".")
                known |= dict.fromkeys(".".join(words[:n]) for n in range(1, len(words) + 1))
            near = ", ".join(difflib.get_close_matches(part, known, 3, 0.6))
            top_level = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
            like = f", but {near}" if near else ""
            return f"The model has no {what} {part!r}{like}; it has: {top_level or 'none'}."
    return ""
