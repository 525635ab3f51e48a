"""Reading of a JSON file member by member, so that a large one is never in memory as a whole."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

_CHUNK = 1 << 20  # characters


class JsonMembers:
    """Reader of a file that contains a JSON object.

    The caller reads the value of each member that :meth:`members` yields: by :meth:`value`, or, if
    it is an object, by :meth:`members` again.

    Args:
        file: file opened as text.

    Raises:
        ValueError: by every method, if the text is not JSON.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text, self._at, self._before = "", 0, 0
        self._decode = json.JSONDecoder().raw_decode

    def members(self) -> Iterator[str]:
        """Iterate over the keys of the object that follows."""
        self._take("{")
        if self.next() == "}":
            self._take("}")
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise ValueError(f"a key is expected before character {self._place(self._at)}")
            self._take(":")
            yield key
            if self.next() != ",":
                break
            self._take(",")
        self._take("}")

    def value(self) -> Any:
        """Read the value that follows."""
        self.next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    place = self._place(error.pos)
                    raise ValueError(f"{error.msg} at character {place}") from None
                continue
            except RecursionError:
                raise ValueError(
                    f"nested too deeply at character {self._place(self._at)}"
                ) from None
            # A number may go on in the next chunk: 12 as 123, 1.5e as 1.5e-3.
            behind = self._text[end : end + 1]
            is_whole = behind and (behind in ",]} \t\r\n" or not isinstance(value, int | float))
            if is_whole or not self._more():
                self._at = end
                return value

    def next(self) -> str:
        """The next character that is not white space, without reading it; empty at the end."""
        while True:
            rest = self._text[self._at : self._at + 1]
            if rest and not rest.isspace():
                return rest
            if rest:
                self._at += 1
            elif not self._more():
                return ""

    def _take(self, character: str) -> None:
        found = self.next()
        if found != character:
            place = f"at character {self._place(self._at)}"
            raise ValueError(f"{character!r} is expected, not {found or 'the end'!r}, {place}")
        self._at += 1

    def _more(self) -> bool:
        """Read on; as much again as is waiting, so that a long value is decoded few times."""
        waiting = self._text[self._at :]
        read = self._file.read(max(_CHUNK, len(waiting)))
        self._before += self._at
        self._text, self._at = waiting + read, 0
        return bool(read)

    def _place(self, position: int) -> int:
        return self._before + position
