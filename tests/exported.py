"""Weights of shrunken models as files."""

from dataclasses import replace
from pathlib import Path

import torch
from commands import ROOT
from shrunken import shrunken

from bev.config import load_file


def exported(name: str, root: Path, folder: Path) -> Path:
    """Write random weights of a shrunken config, with its settings.

    Args:
        name: config in ``configs/``.
        root: data set in the settings, a synthetic world.
        folder: folder of the file.
    """
    from bev.models.weights import write_weights
    from bev.serialization import to_plain

    config = shrunken(load_file(ROOT / "configs" / f"{name}.py"))
    data = replace(config.data, root=root, version="v1.0-synthetic", workers=0)
    config = replace(config, data=data)
    path = folder / f"{name}.safetensors"
    torch.manual_seed(0)
    write_weights(path, config.model.build().state_dict(), to_plain(config))
    return path
