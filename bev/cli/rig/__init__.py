"""Camera rigs of one's own (``rig.yaml``): check a calibration, convert from and to nuScenes.

bevlab rig check rig.yaml --images DIR --out check.png   # the calibration, made visible
bevlab rig from-nuscenes ROOT SAMPLE --out rig.yaml      # the rig of a sample
bevlab rig export-nuscenes rig.yaml --images DIR --out ROOT   # nuScenes tables for other tools
"""

from collections.abc import Callable
from typing import Any

from bev.cli.rig.check import KINDS as CHECKS
from bev.cli.rig.convert import KINDS as CONVERSIONS
from bev.options import parse_subcommand


def main(arguments: list[str], prog: str) -> None:
    kinds = CHECKS | CONVERSIONS
    classes: dict[str, Callable[..., Any]] = {name: kind for name, (kind, _) in kinds.items()}
    command = parse_subcommand(classes, arguments, prog)
    dict(kinds.values())[type(command)](command)
