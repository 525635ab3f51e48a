"""What a training starts from: the detector, its weights, and the account of them."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bev.config import Experiment
from bev.errors import WeightsError
from bev.files import replacing
from bev.models import Detector
from bev.models.bev.temporal import TemporalConfig
from bev.models.weights.classes import matched_by_classes
from bev.models.weights.loading import CONFIG, load_weights, read_file, weights_of
from bev.models.weights.report import WeightsReport
from bev.models.weights.times import matched_by_times
from bev.training.settings import InitConfig

ACCOUNT = "weights.txt"

_HEADING = re.compile(r"(^|\.)head\.groups\.\d+\.(heading|sector)\.")


def starting_model(
    config: Experiment, resumed: bool = False
) -> tuple[Detector, list[WeightsReport]]:
    """The detector that a run begins with, and what became of the weights it was given.

    With ``train.init`` its weights come from there, and none are fetched for a backbone that the
    file has tensors of. A resumed run takes all from its checkpoint: nothing is read or fetched.

    Raises:
        ConfigError: where the backbone does not take the config's image size.
        WeightsError: where weights cannot be had, or nothing of them fits.
    """
    init, backbone = config.train.init, config.model.backbone
    if init.weights is None and not resumed:
        model = config.model.build()
        reports = [model.backbone.report]
    else:
        bare = dataclasses.replace(config.model, backbone=backbone.without_weights())
        model, reports = bare.build(), []
        if not resumed:
            reports.append(initialise(model, init))
            if not any(name.startswith("backbone.") for name in reports[0].matched):
                model.backbone = backbone.build().to(memory_format=torch.channels_last)
                reports.append(model.backbone.report)
    model.backbone.feature_sizes(config.data.image_size)
    return model, [report for report in reports if report is not None]


def initialise(model: Detector, init: InitConfig) -> WeightsReport:
    """Load a detector's weights, or parts of them, from a file of any origin.

    Where the file carries its experiment's config, the head's groups are matched by their classes,
    and what reads several frames by their order.

    Raises:
        WeightsError: see ``bev.models.weights.loading.load_weights``.
    """
    content = read_file(init.weights)
    state, notes = _adapted(weights_of(content, str(init.weights)), content, model)
    report = load_weights(model, state, str(init.weights), init.only, init.skip)
    said = (
        note
        for about, note in notes
        if any(name.startswith(tuple(about)) for name in report.matched)
    )
    return dataclasses.replace(report, notes=(*report.notes, *said))


def _adapted(
    state: dict[str, Tensor], content: Any, model: Detector
) -> tuple[dict[str, Tensor], list[tuple[list[str], str]]]:
    """The tensors as a detector of another config can use them.

    Tensors of the same name and shape may mean other things: what the file's config says decides.

    Returns:
        The tensors, and notes: each with the beginnings of tensors' names that make it worth
        saying where one of them is loaded.
    """
    notes: list[tuple[list[str], str]] = []
    there, head = _class_groups(content), model.config.head
    if there is not None:
        state, more = matched_by_classes(state, there, head.groups, model.state_dict())
        notes += [(["head."], note) for note in more]
    sectors = _said(content, "head", "sectors") or 1
    if there is not None and sectors != head.sectors:
        kept = {name: value for name, value in state.items() if not _HEADING.search(name)}
        if len(kept) < len(state):
            told = f"{head.sectors} sectors here, {sectors} there: it starts anew"
            notes.append((["head."], f"head.groups.*.heading: {told}"))
        state = kept
    joined = _said(content, "temporal")
    if joined is not None:
        times = TemporalConfig(**{n: joined[n] for n in ("frames", "times") if n in joined})
        channels, own = model.view.channels, model.config.temporal
        state, changed = matched_by_times(state, times, own, channels, model.state_dict())
        if changed:
            told = f"joins {own.described} here, {times.described} there; new inputs begin at zero"
            notes.append((changed, f"encoder.*: {told}"))
    layers, own = _said(content, "segmentation", "layers"), list(model.config.segmentation.layers)
    if layers is not None and layers != own:
        last = f"segmentation.layers.{len(model.segmentation.layers) - 1}." if own else None
        kept = {name: value for name, value in state.items() if not last or last not in name}
        if len(kept) < len(state):
            notes.append(([""], f"{last}* tells {own} here and {layers} there: it starts anew"))
        state = kept
    return state, notes


def write_account(folder: Path, reports: list[WeightsReport]) -> None:
    """Print what became of the weights, and write it in full into the run folder."""
    if not reports:
        return
    print("\n".join(map(str, reports)), flush=True)
    with replacing(folder / ACCOUNT) as partial:
        lines = [line for report in reports for line in report.lines(names=-1)]
        partial.write_text("\n".join(lines) + "\n")


def _said(content: Any, *names: str) -> Any:
    """What a checkpoint's config says of its model; None where it has no config that says it."""
    found = content.get(CONFIG) if isinstance(content, dict) else None
    for name in ("model", *names):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _class_groups(content: Any) -> list[list[str]] | None:
    """The head's class groups of a checkpoint's config; None where it has none that can be read."""
    groups = _said(content, "head", "groups")
    if groups is None:
        return None
    if not all(isinstance(g, list) and all(isinstance(c, str) for c in g) for g in groups):
        raise WeightsError(f"The config in the weights file names no class groups, but {groups}.")
    return groups
