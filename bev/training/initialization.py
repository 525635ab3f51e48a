"""Initial detector of a training run: its weights, and the report of loaded weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from bev.files import replacing
from bev.models import Detector, DetectorConfig
from bev.models.weights.adaptation import load_adapted
from bev.models.weights.report import WeightsReport
from bev.training.settings import InitConfig

ACCOUNT = "weights.txt"


def starting_model(
    config: DetectorConfig, init: InitConfig, image_size: tuple[int, int], resumed: bool = False
) -> tuple[Detector, list[WeightsReport]]:
    """Build the detector with its initial weights, and report the weights that were loaded.

    With ``init.weights`` the weights are loaded from that file, and pretrained backbone weights are
    not downloaded if the file contains tensors of the backbone. A resumed run takes all weights
    from its checkpoint, so nothing is read or downloaded.

    Args:
        config: settings of the detector.
        init: weights to start from.
        image_size: (height, width) of the network input, pixels.
        resumed: whether a checkpoint will be loaded.

    Raises:
        ConfigError: if the backbone does not accept images of this size.
        WeightsError: if weights cannot be loaded or downloaded, or none of them fits.
    """
    reports: list[WeightsReport | None] = []
    if init.weights is None and not resumed:
        model = config.build()
        reports.append(model.backbone.report)
    else:
        model = replace(config, backbone=config.backbone.without_weights()).build()
        if init.weights is not None and not resumed:
            loaded = load_adapted(model, init.weights, init.only, init.skip)
            reports.append(loaded)
            if not any(name.startswith("backbone.") for name in loaded.matched):
                model.backbone = config.backbone.build().to(memory_format=torch.channels_last)
                reports.append(model.backbone.report)
    model.backbone.feature_sizes(image_size)
    return model, [report for report in reports if report is not None]


def write_account(folder: Path, reports: Sequence[WeightsReport]) -> None:
    """Print a summary of the loaded weights, and write the full report to the run folder."""
    if not reports:
        return
    print("\n".join(map(str, reports)), flush=True)
    with replacing(folder / ACCOUNT) as partial:
        lines = [line for report in reports for line in report.lines(names=-1)]
        partial.write_text("\n".join(lines) + "\n")
