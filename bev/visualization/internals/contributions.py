"""Contribution of each camera to the BEV features of lift-splat."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.errors import ConfigError
from bev.models import Detector
from bev.visualization.colors import PALETTE, Theme
from bev.visualization.internals.features import energy, energy_scale
from bev.visualization.internals.panels import (
    Panel,
    bev_panel,
    camera_rows,
    camera_title,
    draw_panels,
)
from bev.visualization.internals.run import Internals, Sample, evaluating, lift_of


def camera_contributions(model: Detector, internals: Internals) -> Float[Tensor, "N C Y X"]:
    """BEV features pooled from the depth points of each camera alone.

    Pooling is linear, so their sum is the BEV of all cameras. Of a dual view transform it is the
    part of the forward projection.

    Args:
        model: detector.
        internals: intermediate results of the detector for one sample.

    Raises:
        ConfigError: if the view transform is not lift-splat; voxel sampling averages over cameras
            and is not additive.
    """
    lift = lift_of(model.view)
    if lift is None:
        raise ConfigError(
            f"The BEV of {type(model.config.view).__name__} is no sum over cameras, so their shares"
            " cannot be drawn; choose a model of lift-splat."
        )
    features, size, cameras, bev_from_ego, mask = internals.view_inputs
    count = features.shape[1]
    valid = torch.ones(1, count, dtype=torch.bool) if mask is None else mask.cpu()
    parts = []
    with evaluating(model):
        for number in range(count):
            # A camera whose pose is NaN is absent: no point is lifted from it.
            alone = (torch.arange(count) == number) & valid[0]
            pose = cameras.ego_from_camera.clone()
            pose[0, ~alone.to(pose.device)] = torch.nan
            only = alone.unsqueeze(0).to(features.device)
            shown = replace(cameras, ego_from_camera=pose)
            if alone.any():
                parts.append(lift(features, size, shown, bev_from_ego, only).bev[0])
            else:
                parts.append(features.new_zeros(lift.channels, *lift.grid.shape[1:]))
    return torch.stack(parts)


def draw_contributions(sample: Sample) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the energy of the BEV from each camera alone, from all, and the strongest camera.

    Raises:
        ConfigError: if the view transform is not lift-splat.
    """
    model, frame, theme = sample.model, sample.frame, sample.theme
    parts = camera_contributions(model, sample.internals)
    grid, pixels = model.config.grid, 3 * sample.camera_width // 4
    each = torch.stack([energy(part) for part in parts])
    whole = energy(parts.sum(dim=0))
    scale = energy_scale(torch.cat([each, whole[None]]))
    panels = [
        bev_panel(camera_title(frame, number), scale.colors(part), grid, pixels, theme)
        for number, part in enumerate(each)
    ]
    for number, panel in enumerate(panels):
        panel.image[8:22, 8:22] = PALETTE[number % len(PALETTE)]
    rows = camera_rows(frame, panels)
    rows[0].append(bev_panel("all cameras", scale.colors(whole), grid, pixels, theme))
    strongest = np.array(PALETTE, np.uint8)[each.argmax(dim=0).cpu().numpy() % len(PALETTE)]
    empty = (each.max(dim=0).values == 0).cpu().numpy()
    strongest[empty] = theme.panel
    rows[-1].append(_strongest(strongest, model, pixels, theme))
    title = "BEV features by camera"
    note = "of the forward projection" if lift_of(model.view) is not model.view else ""
    return draw_panels(sample, rows, [scale], title=title, note=note)


def _strongest(
    colors: UInt8[np.ndarray, "Y X 3"], model: Detector, pixels: int, theme: Theme
) -> Panel:
    return bev_panel("camera with the most energy", colors, model.config.grid, pixels, theme)
