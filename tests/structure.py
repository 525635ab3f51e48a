"""Imports between modules of this package, and counts of files and lines.

``python tests/structure.py`` prints the counts: the files to read to follow ``lss_r50`` from an
image to a metric (the list in docs/architecture.md), the folder with the most files, and all of
``bev/``.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Import(NamedTuple):
    """One imported module or name: ``module`` is absolute, ``name`` empty for a whole module."""

    importer: str
    module: str
    name: str


@lru_cache
def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the package and its file."""
    found = {}
    for path in sorted((root / "bev").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@lru_cache
def imports(root: Path = ROOT, within_functions: bool = True) -> tuple[Import, ...]:
    """Every import of every module."""
    return tuple(_imports(root, within_functions))


def _imports(root: Path, within_functions: bool) -> Iterator[Import]:
    for importer, path in modules(root).items():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree) if within_functions else tree.body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(importer, alias.name, "")
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{importer} has a relative import"
                for alias in node.names:
                    yield Import(importer, node.module, alias.name)


def lines(paths: list[Path]) -> int:
    """Total number of lines of files."""
    return sum(len(path.read_text().splitlines()) for path in paths)


def reading_path(root: Path = ROOT) -> list[Path]:
    """Files that docs/architecture.md lists between an image and a metric."""
    text = (root / "docs" / "architecture.md").read_text()
    section = text.split("## From an image to a metric")[1].split("\n## ")[0]
    return [root / name for name in re.findall(r"^\| `([\w/.]+\.py)`", section, re.MULTILINE)]


def main() -> None:
    every = list(modules().values())
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in every)
    fullest, count = folders.most_common(1)[0]
    path = reading_path()
    print(f"path of lss_r50: {len(path)} files, {lines(path)} lines")
    print(f"fullest folder: {fullest}, {count} files")
    print(f"bev/: {len(every)} files, {lines(every)} lines")


if __name__ == "__main__":
    main()
