"""Code blocks and commands of the pages for users: README.md, CONTRIBUTING.md and docs/*.md."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from commands import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


class Shell(NamedTuple):
    """A command on a page: its words, without comments."""

    page: str
    words: tuple[str, ...]

    @property
    def tool(self) -> str:
        """The script in ``tools/`` that the command calls; empty for other programs."""
        for number, word in enumerate(self.words):
            if word.startswith("tools/"):
                return word.removeprefix("tools/")
            if word == "bevlab" and number == 0:
                name = self.words[1].replace("-", "_")
                return {"convert": "convert_checkpoint"}.get(name, name) + ".py"
        return ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words after the script."""
        start = 2 if self.words[0] == "bevlab" else self.words.index(f"tools/{self.tool}") + 1
        return self.words[start:]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


def shell_commands() -> list[Shell]:
    """All commands of the ``bash`` blocks of all pages, in order, each once."""
    found = {}
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                for words in _split(line):
                    found.setdefault(words, page.name)
    return [Shell(page, words) for words, page in found.items()]


def inline_commands() -> list[Shell]:
    """Calls of this project's commands in running text, with all of their arguments."""
    found = {}
    for page in PAGES:
        for span in re.findall(
            r"`((?:\w+=\S+ )?(?:python\s+tools/|bevlab )[^`]+)`", page.read_text()
        ):
            for words in _split(" ".join(span.split())) if "…" not in span else ():
                if len(words) > 2 and not {"NAME", "FILE", "CHECKPOINT"} & {words[1], words[2]}:
                    found.setdefault(words, page.name)
    return [Shell(page, words) for words, page in found.items()]


def _split(line: str) -> list[tuple[str, ...]]:
    """Commands of a line, split at ``&&``, without the variables set before them."""
    commands: list[tuple[str, ...]] = []
    words: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word == "&&":
            commands += [tuple(words)] if words else []
            words = []
        elif words or not re.match(r"[A-Z_]+=", word):
            words.append(word)
    return commands
