"""Sphinx: the pages of this folder, and a page for every module of ``bev``, from its docstrings.

``python -m sphinx -W --keep-going -b html docs build/docs`` builds the site; a warning is an error.
It needs the package and its ``docs`` extra, and no network, no data and no GPU. The pages of the
modules are written into ``docs/api`` at each build; git ignores them.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils.nodes import document
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a checkout's own modules

from bev import __version__  # noqa: E402

project = "bevlab"
author = "The bevlab authors"
release = version = __version__

extensions = [
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # Google's sections: Args, Returns, Raises
    "myst_parser",
]
exclude_patterns = ["examples"]
html_theme = "furo"
html_title = f"bevlab {release}"

myst_heading_anchors = 3  # a link may name a heading, as on GitHub

# A name is documented where it is defined; ``exports`` lists what packages export. The variable is
# for packages, which do not heed the setting.
members = ["members", "show-inheritance", "ignore-module-all"]
os.environ["SPHINX_APIDOC_OPTIONS"] = ",".join(members)
not_pages = ["../bev/cli/__main__.py"]
if find_spec("triton") is None:  # it has no wheels for macOS and Windows
    not_pages.append("../bev/ops/triton_pool.py")
apidoc_modules = [
    {
        "path": "../bev",
        "destination": "api",
        "separate_modules": True,
        "module_first": True,
        "exclude_patterns": not_pages,
        "automodule_options": members,
    }
]
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # those of Lightning and torch are written for other builds
# Attributes are a list of names and texts; the signature of a dataclass has types and defaults.
napoleon_use_ivar = True
napoleon_attr_annotations = False


# Files outside this folder that a page of the site includes.
INCLUDED = {
    ROOT / "README.md": "index",
    ROOT / "CONTRIBUTING.md": "contributing",
    ROOT / "CHANGELOG.md": "changelog",
}


class NotebookParser(MystParser):
    """Parser of notebooks: their text, their code, and the outputs that they store."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: document) -> None:
        super().parse(markdown_of(json.loads(inputstring)), document)


def markdown_of(notebook: dict[str, Any]) -> str:
    """Convert a notebook to Markdown; pictures are named after the heading above them."""
    parts, heading = [], "Figure"
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            heading = next((s.lstrip("# ") for s in source.split("\n") if s[:1] == "#"), heading)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            picture = output.get("data", {}).get("image/jpeg", "")
            if output["output_type"] == "stream":
                parts.append(f"```text\n{''.join(output['text'])}```")
            elif picture:
                data = "".join("".join(picture).split())
                parts.append(f"![{heading}](data:image/jpeg;base64,{data})")
    return "\n\n".join(parts)


def exports(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let the page of a package list the names that it exports, linked to their definitions."""
    if not isinstance(thing, ModuleType) or not hasattr(thing, "__path__"):
        return
    for public in getattr(thing, "__all__", []):
        home = getattr(getattr(thing, public), "__module__", name)
        lines.append(f"* :py:obj:`{public} <{home}.{public}>`")
    lines.append("")


def skipped(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, whose docstrings are "Alias for field number 0"."""
    return True if "Alias for field number" in (getattr(thing, "__doc__", "") or "") else None


def links(app: Sphinx, doctree: document) -> None:
    """Follow links as they are in the repository, so that the same text can be read there.

    A link to a file that has a page leads to the page; one to another file or folder of the
    repository is plain text here. What is not in the repository remains a warning.
    """
    for node in list(doctree.findall(pending_xref)):
        if node["reftype"] != "myst":
            continue
        target, _, heading = node["reftarget"].partition("#")
        if node["refdomain"] == "doc":  # taken for a page; without its ending
            target, heading = f"{target}.md", node["reftargetid"]
        if not target:
            continue
        path = (ROOT / "docs" / str(node.source)).parent.joinpath(target).resolve()
        page = INCLUDED.get(path, app.env.path2doc(path))
        if page in app.env.found_docs:
            node["refdomain"], node["reftarget"] = "doc", page
            node["reftargetid"] = heading or None
        elif path.exists() and path.is_relative_to(ROOT):
            node.replace_self(node.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the functions above; reading and writing may run in parallel (``-j 2``)."""
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    app.connect("autodoc-process-docstring", exports)
    app.connect("autodoc-skip-member", skipped)
    app.connect("doctree-read", links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
