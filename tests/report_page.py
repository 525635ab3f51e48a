"""Content of a report page, read as a browser reads it: no script runs."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


@dataclass
class ReadPage:
    """Elements of a page.

    Attributes:
        summary, samples, pictures: content of its blocks of JSON.
        scripts: texts of the scripts that run.
        policy: its Content-Security-Policy.
        tags: names and attributes of all elements.
    """

    summary: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    library: str = ""
    scripts: list[str] = field(default_factory=list)
    policy: str = ""
    tags: list[tuple[str, dict]] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, float]:
        """Headline figures by name."""
        return {one["name"]: one["value"] for one in self.summary["headline"]}


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self.texts, self.script = ReadPage(), {}, None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.page.tags.append((tag, attributes))
        if tag == "script":
            self.script = attributes.get("id", f"script {len(self.texts)}")
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.page.policy = attributes["content"]

    def handle_endtag(self, tag):
        self.script = None if tag == "script" else self.script

    def handle_data(self, data):
        if self.script is not None:
            self.texts[self.script] = self.texts.get(self.script, "") + data


def read_page(path: Path) -> ReadPage:
    """Parse a report."""
    parser = _Parser()
    parser.feed(path.read_text(encoding="utf-8"))
    page, texts = parser.page, parser.texts
    page.summary = json.loads(texts.pop("summary"))
    page.samples = json.loads(texts.pop("samples-data"))
    page.pictures = json.loads(texts.pop("pictures-data"))
    page.library = texts.pop("library", "")
    page.scripts = list(texts.values())
    return page
