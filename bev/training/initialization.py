"""The start of a training: the detector, its weights, and the account of them."""

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
    """The detector that a run begins with, and what became of the weights it was given.

    With ``init.weights`` its weights come from there, and none are fetched for a backbone that the
    file has tensors of. A resumed run takes all from its checkpoint: nothing is read or fetched.

    Raises:
        ConfigError: where the backbone does not take images of this size.
        WeightsError: where weights cannot be had, or nothing of them fits.
    """
    if init.weights is None and not resumed:
        model = config.build()
        reports = [model.backbone.report]
    else:
        model, reports = replace(config, backbone=config.backbone.without_weights()).build(), []
        if not resumed:
            reports.append(load_adapted(model, init.weights, init.only, init.skip))
            if not any(name.startswith("backbone.") for name in reports[0].matched):
                model.backbone = config.backbone.build().to(memory_format=torch.channels_last)
                reports.append(model.backbone.report)
    model.backbone.feature_sizes(image_size)
    return model, [report for report in reports if report is not None]


def write_account(folder: Path, reports: Sequence[WeightsReport]) -> None:
    """Print what became of the weights, and write it in full into the run folder."""
    if not reports:
        return
    print("\n".join(map(str, reports)), flush=True)
    with replacing(folder / ACCOUNT) as partial:
        lines = [line for report in reports for line in report.lines(names=-1)]
        partial.write_text("\n".join(lines) + "\n")
