"""Published checkpoints of BEVDet and BEVDepth as this project's: ``bevlab convert FILE``.

Every tensor is used, or named as unused. What a family's config does not reproduce of the published
code (above all the row of points under the grid that is folded into it) stands in its docstring.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bev.config import load_file
from bev.errors import ConfigError


@dataclass(frozen=True)
class Command:
    """Convert a published ResNet-50 checkpoint.

    Attributes:
        source: the published file.
        out: where the result goes; empty for the source's name with .ckpt.
        family: bevdet-first, bevdet-dev2.0, bevdet-dev2.1, bevdepth-1key or bevdepth-2key; empty
            to recognise it by names and shapes.
    """

    source: tyro.conf.Positional[Path]
    out: Path | None = None
    family: str = ""


def main(arguments: list[str], prog: str) -> None:
    command = tyro.cli(Command, args=arguments, prog=prog)

    from bev.lab.convert.published import FAMILIES, convert, read_published

    out = command.out or command.source.with_suffix(".ckpt")
    if out.resolve() == command.source.resolve():
        raise ConfigError(f"--out {out} would overwrite the source; name another file.")
    found = read_published(command.source)
    configs = {name: load_file(family.config) for name, family in FAMILIES.items()}
    conversion = convert(found, configs, command.family)
    out.parent.mkdir(parents=True, exist_ok=True)
    conversion.save(out)
    print(
        f"{command.source} is a {conversion.family}, rebuilt by the config {conversion.config.name}"
        f"\n{conversion.used} tensors used, as {len(conversion.weights)} of ours"
    )
    for name in conversion.unused:
        print(f"unused: {name}, which states what the config states")
    print(f"written to {out}; evaluate with\n  bevlab evaluate {out} --data.root DIR")
