"""Measure speed, as ratios within one run on one machine.

bevlab benchmark pooling          # voxel pooling against published formulations
bevlab benchmark model synthetic  # latency of inference: eager, compiled, by other runtimes
bevlab benchmark step lss_r50     # time and memory of the parts of a training step
bevlab benchmark gpu lss_r50      # a GPU: pooling, training steps, data loading; one JSON
bevlab benchmark data lss_r50     # samples per second, against the published steps in PIL
bevlab benchmark backbones        # one model of each backbone family
bevlab benchmark tensorboard      # its share of a training step
bevlab benchmark optimizer        # an update by AdamW and by Muon
bevlab benchmark data-index       # opening trainval, against the devkit
bevlab benchmark corruptions      # corrupting an image, against imagecorruptions
bevlab benchmark pictures         # time of a mosaic on one core
bevlab benchmark scoring          # scoring a results file, against the devkit
bevlab benchmark report           # time and size of the report of as many samples as val has
"""

from collections.abc import Callable
from typing import Any

from bev.cli.benchmark import data, model, networks
from bev.options import parse_subcommand


def main(arguments: list[str], prog: str) -> None:
    kinds = networks.KINDS | model.KINDS | data.KINDS
    classes: dict[str, Callable[..., Any]] = {name: kind for name, (kind, _) in kinds.items()}
    command = parse_subcommand(classes, arguments, prog)
    dict(kinds.values())[type(command)](command)
