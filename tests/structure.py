"""Imports of this package as its files state them, and counts of files and lines.

``python tests/structure.py`` prints the counts: the path that one reads to follow ``lss_r50`` from
an image to a metric (the list in docs/architecture.md), the fullest folder, and all of ``bev/``.
``python tests/structure.py --run DIR`` also trains ``lss_r50`` for a step on v1.0-mini in a
nuScenes data root, and counts what that imports.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
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


def imports(root: Path = ROOT, within_functions: bool = True) -> Iterator[Import]:
    """Every import of every module."""
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
    """Lines of some files."""
    return sum(len(path.read_text().splitlines()) for path in paths)


def reading_path(root: Path = ROOT) -> list[Path]:
    """The files that docs/architecture.md lists as the way from an image to a metric."""
    text = (root / "docs" / "architecture.md").read_text()
    section = text.split("## From an image to a metric")[1].split("\n## ")[0]
    return [root / name for name in re.findall(r"^\| `([\w/.]+\.py)`", section, re.MULTILINE)]


def imported_by_training(data_root: str, version: str, splits: list[str]) -> list[Path]:
    """Files of the package that one training run of ``lss_r50`` has imported at its end."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "train.py", "configs/lss_r50.py", "--data.root", data_root, "--data.version", version,
            "--data.train-split", splits[0], "--data.val-split", splits[1],
            "--model.backbone.no-pretrained", "--data.image-size", "64", "176",
            "--data.batch-size", "1", "--train.max-steps", "1", "--train.runs", folder,
        ]  # fmt: skip
        code = (
            "import json, runpy, sys\n"
            f"sys.argv = {arguments!r}\n"
            "runpy.run_path('tools/train.py', run_name='__main__')\n"
            "files = [getattr(m, '__file__', None) for n, m in sys.modules.items()"
            " if n.split('.')[0] == 'bev']\n"
            f"open({folder + '/files.json'!r}, 'w').write(json.dumps(files))\n"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
        return [Path(name) for name in json.loads(Path(folder, "files.json").read_text()) if name]


def main() -> None:
    every = list(modules().values())
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in every)
    fullest, count = folders.most_common(1)[0]
    path = reading_path()
    print(f"path of lss_r50: {len(path)} files, {lines(path)} lines")
    print(f"fullest folder: {fullest}, {count} files")
    print(f"bev/: {len(every)} files, {lines(every)} lines")
    if "--run" in sys.argv:
        root = sys.argv[sys.argv.index("--run") + 1]
        found = imported_by_training(root, "v1.0-mini", ["mini_train", "mini_train"])
        print(f"imported by train.py configs/lss_r50.py: {len(found)} files, {lines(found)} lines")


if __name__ == "__main__":
    main()
