"""Convert published checkpoints of BEVDet and BEVDepth: ``bevlab convert FILE``.

Every tensor is either used or reported as unused. The docstring of a family's config lists what the
config does not reproduce of the published code (above all the row of points below the grid, which
the published code folds into it).
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bev.config import load_file
from bev.errors import ConfigError
from bev.options import parse


@dataclass(frozen=True)
class Command:
    """Convert a published ResNet-50 checkpoint.

    Attributes:
        source: published checkpoint file.
        out: output file; defaults to the name of the source with the suffix .ckpt.
        family: bevdet-first, bevdet-dev2.0, bevdet-dev2.1, bevdepth-1key or bevdepth-2key; empty
            detects it from the names and shapes of the tensors.
    """

    source: tyro.conf.Positional[Path]
    out: Path | None = None
    family: str = ""


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)

    from bev.lab.convert.published import FAMILIES, convert, read_published

    out = command.out or command.source.with_suffix(".ckpt")
    if out.resolve() == command.source.resolve():
        raise ConfigError(f"--out {out} would overwrite the source; name another file.")
    published = read_published(command.source)
    configs = {name: load_file(family.config) for name, family in FAMILIES.items()}
    conversion = convert(published, configs, command.family)
    out.parent.mkdir(parents=True, exist_ok=True)
    conversion.save(out)
    print(
        f"{command.source} is a {conversion.family}, rebuilt by the config {conversion.config.name}"
        f"\n{conversion.used} tensors used, converted to {len(conversion.weights)}"
    )
    for name in conversion.unused:
        print(f"unused: {name}, which only repeats settings of the config")
    print(f"written to {out}; evaluate with\n  bevlab evaluate {out} --data.root DIR")
