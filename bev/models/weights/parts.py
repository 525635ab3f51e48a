"""Parts of a model by name: the beginning of its tensors' names, ``view.depth_net``.

Words between dots are matched one by one and may hold wildcards: ``backbone.body.layer*``,
``head.tasks.*.heatmap``.
"""

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase


def within(name: str, part: str) -> bool:
    """Whether a tensor or module of this name lies in a part; all lie in ``""``."""
    words, wanted = name.split("."), part.rstrip(".").split(".") if part else []
    return len(words) >= len(wanted) and all(map(fnmatchcase, words, wanted))


def within_any(name: str, parts: Iterable[str]) -> bool:
    """Whether a tensor or module of this name lies in one of the parts."""
    return any(within(name, part) for part in parts)


def unknown_part(names: Iterable[str], parts: Iterable[str], what: str = "part") -> str:
    """A sentence about the first part that holds none of these names; empty where all hold some.

    It says which parts have a name like it, and which there are; ``what`` is what it calls a part.
    """
    names = list(names)
    for part in parts:
        if not any(within(name, part) for name in names):
            known: dict[str, None] = {}
            for name in names:
                words = name.split(".")
                known |= dict.fromkeys(".".join(words[:n]) for n in range(1, len(words) + 1))
            near = ", ".join(difflib.get_close_matches(part, known, 3, 0.6))
            there = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
            like = f", but {near}" if near else ""
            return f"The model has no {what} {part!r}{like}; it has: {there or 'none'}."
    return ""
