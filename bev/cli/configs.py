"""Lists the shipped configs: ``bevlab configs``."""

import ast
from dataclasses import dataclass

import tyro

from bev.config import CONFIGS, shipped_configs


@dataclass(frozen=True)
class Command:
    """List the shipped configs and studies, each with the first line of its description."""


def main(arguments: list[str], prog: str) -> None:
    tyro.cli(Command, args=arguments, prog=prog)
    names = shipped_configs()
    width = max(map(len, names))
    for name in names:
        text = ast.get_docstring(ast.parse((CONFIGS / f"{name}.py").read_text())) or ""
        print(f"{name:<{width}}  {text.partition(chr(10))[0]}")
    print(f"\nin {CONFIGS}; `bevlab train NAME`, studies by `bevlab ablate ablations/NAME`")
