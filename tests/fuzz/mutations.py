"""Mutations of valid inputs: of plain data, of text and bytes, and of command lines."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

# Text that becomes a list nested beyond what a parser can follow; it is not built as an object.
DEEP = "<deep>"
_NESTED = "[" * 20_000 + "]" * 20_000

NUMBERS = [0, -1, 1, 7, 255, 2**31, 2**63, 2**70, -(10**18), 10**400, 0.5, -0.0, 1e-320, 1e308]
NUMBERS += [float("nan"), float("inf"), float("-inf")]
TEXTS = [
    "",
    "x",
    " ",
    "0",
    "-1",
    "nan",
    "\0",
    "\ud800",
    "é\u202e\n\x1b[2J",
    "../../x",
    "/etc/passwd",
]
TEXTS += ["a" * 100_000, "9" * 5000, "{}", "[", "../" * 200, "~", "$HOME", "%s%n", DEEP]
OTHERS = [
    None,
    True,
    False,
    [],
    {},
    [None],
    [[[]]],
    {"a": 1},
    [0] * 300,
    ["x"] * 300,
    [[1e300] * 3] * 3,
]

_EDITS = ("replace", "replace", "replace", "other", "turn", "remove", "rename", "repeat", "move")


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value in nested mappings and lists, as (container, key)."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from places(tree[key])


@st.composite
def changed(draw: st.DrawFn, tree: Any, most: int = 3) -> Any:
    """Plain data with one to ``most`` changes; the given tree is not modified."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, most))):
        found = list(places(tree))
        if not found:
            break
        container, key = found[draw(st.integers(0, len(found) - 1))]
        value, how = container[key], draw(st.sampled_from(_EDITS))
        if how == "replace":
            # A copy: a later change may put something into it.
            container[key] = copy.deepcopy(draw(st.sampled_from([*NUMBERS, *TEXTS, *OTHERS])))
        elif how == "other":  # a value of another place, such as the token of another table
            holder, name = found[draw(st.integers(0, len(found) - 1))]
            container[key] = copy.deepcopy(holder[name])
        elif how == "turn":
            container[key] = _turned(value)
        elif how == "remove":
            del container[key]
        elif how == "rename" and isinstance(container, dict):
            container[draw(st.sampled_from([f"{key}s", "", "token", "type", "x" * 5000]))] = (
                container.pop(key)
            )
        elif how == "repeat" and isinstance(container, list):
            container += [copy.deepcopy(value)] * draw(st.sampled_from([1, 2, 700]))
        elif how == "move" and isinstance(container, list):
            container.insert(draw(st.integers(0, len(container))), container.pop(key))
    return tree


def _turned(value: Any) -> Any:
    """A value of another type with the same content."""
    if isinstance(value, dict):
        return [*value.values()]
    if isinstance(value, list):
        return {str(number): one for number, one in enumerate(value)}
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return [value] if isinstance(value, str) else str(value)


def as_json(tree: Any) -> bytes:
    return json.dumps(tree).replace(json.dumps(DEEP), _NESTED).encode()


@st.composite
def damaged(draw: st.DrawFn, content: bytes, most: int = 4) -> bytes:
    """Bytes with one to ``most`` changes: flipped, cut, inserted, removed, repeated."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, most))):
        if not data:
            break
        # Half of the changes near the beginning, where headers are.
        reach = draw(st.sampled_from([min(64, len(data)), len(data)]))
        at = draw(st.integers(0, reach - 1))
        length = draw(st.sampled_from([1, 2, 4, 16, 500]))
        how = draw(st.sampled_from(("flip", "set", "cut", "insert", "remove", "repeat")))
        if how == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "set":
            data[at : at + 4] = draw(st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"]))
        elif how == "cut":
            del data[at:]
        elif how == "insert":
            data[at:at] = draw(st.binary(max_size=8)) * length
        elif how == "remove":
            del data[at : at + length]
        else:
            data[at:at] = data[at : at + length]
    return bytes(data)


# Words of a command line: no absolute paths, because a command may write to the path it is given.
WORDS = [
    "",
    "-",
    "--",
    "-h",
    "--help",
    "nan",
    "-1",
    "0",
    "1e400",
    "9" * 5000,
    "x",
    "None",
    "é\u202e",
]
WORDS += ["\ud800", "a" * 5000, "../x", ".", "[", "{}", "--data.root", "--out", "--import", "a=b"]
WORDS += [
    "--data.cameras",
    "--train.lr",
    "--model.view.channels",
    "=",
    "--x=",
    "True",
    "@file",
    "*",
]


@st.composite
def retyped(draw: st.DrawFn, lines: list[list[str]], most: int = 3) -> list[str]:
    """One of some command lines, with one to ``most`` changes of its words."""
    words = list(draw(st.sampled_from(lines)))
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(words)))
        how = draw(
            st.sampled_from(("replace", "insert", "remove", "swap", "join", "cut", "letter"))
        )
        if how == "insert" or at == len(words):
            words.insert(at, draw(st.sampled_from(WORDS)))
        elif how == "replace":
            words[at] = draw(st.sampled_from(WORDS))
        elif how == "remove":
            del words[at]
        elif how == "swap":
            words.insert(draw(st.integers(0, len(words) - 1)), words.pop(at))
        elif how == "join" and at + 1 < len(words):
            words[at : at + 2] = [f"{words[at]}={words[at + 1]}"]
        elif how == "cut":
            words[at] = words[at][: len(words[at]) // 2]
        elif how == "letter" and words[at] and not words[at].startswith("/"):
            place = draw(st.integers(0, len(words[at]) - 1))
            letter = draw(st.sampled_from("-._=0x é"))
            words[at] = words[at][:place] + letter + words[at][place + 1 :]
    return words
