"""List the shipped configs: ``bevlab configs``."""

import ast
from dataclasses import dataclass

from bev.config import CONFIGS, shipped_configs
from bev.options import parse


@dataclass(frozen=True)
class Command:
    """List the shipped configs, studies and searches with the first lines of their descriptions."""


def main(arguments: list[str], prog: str) -> None:
    parse(Command, arguments, prog)
    names = shipped_configs()
    width = max(map(len, names))
    for name in names:
        text = ast.get_docstring(ast.parse((CONFIGS / f"{name}.py").read_text())) or ""
        print(f"{name:<{width}}  {text.partition(chr(10))[0]}")
    print(
        f"\nin {CONFIGS}; train with `bevlab train NAME`, studies with `bevlab ablate NAME`,"
        " searches with `bevlab search NAME`"
    )
