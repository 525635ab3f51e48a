"""Activations of any layer of a detector, by its name."""

import difflib

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from bev.data.batch import Batch
from bev.errors import ConfigError
from bev.models import Detector
from bev.visualization.internals.features import component_colors, energy, energy_scale
from bev.visualization.internals.panels import (
    Panel,
    bev_panel,
    camera_rows,
    camera_title,
    draw_panels,
    network_image,
    over_image,
)
from bev.visualization.internals.run import Sample, first_call

_IMAGE_PARTS = ("backbone", "neck")


def activation(model: Detector, batch: Batch, layer: str) -> Float[Tensor, "K C h w"]:
    """Output of a layer for one sample, at its first call: a map for each camera, or one BEV map.

    Args:
        model: detector.
        batch: batch of one sample.
        layer: name of the layer, as in ``model.named_modules()``. Parts of it may be left out if
            only one layer then fits: ``backbone.layer2`` is ``backbone.body.layer2``.

    Raises:
        ConfigError: if there is no such layer, it is not used, or its output is no feature map.
    """
    _, _, output = first_call(model, _module(model, layer), batch)
    if output is None:
        raise ConfigError(f"Layer {layer!r} does not run for this sample; choose another one.")
    value = _first_map(output)
    if value is None:
        raise ConfigError(f"The output of layer {layer!r} is no feature map; choose another one.")
    return value.flatten(0, -4).float() if value.ndim > 3 else value.float()[None]


def draw_layer(sample: Sample, layer: str) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the activations of a layer: energy and first three principal components.

    Args:
        sample: detector and sample.
        layer: name of the layer, as in ``model.named_modules()``, such as ``backbone.layer2``.

    Raises:
        ConfigError: see :func:`activation`; also if the maps are neither one for each camera nor
            one of the BEV.
    """
    model, frame, batch = sample.model, sample.frame, sample.batch
    maps = activation(model, batch, layer)
    strength = torch.stack([energy(one) for one in maps])
    scale = energy_scale(strength)
    _, channels, height, width = maps.shape
    title = f"Layer {layer}"
    note = f"{channels} channels of {height} x {width} cells"
    rows_of_grid, columns_of_grid = model.config.grid.shape[1:]
    of_images = layer.split(".")[0] in _IMAGE_PARTS or len(maps) > 1
    if of_images and len(maps) == len(frame.cameras):
        # All images share the colours of the components.
        side_by_side = torch.cat(list(maps), dim=2)
        components = np.split(component_colors(side_by_side), len(maps), axis=1)
        stride = min(batch.image_size[0] / height, batch.image_size[1] / width)
        panels = []
        for index in range(len(maps)):
            image = network_image(batch, index, sample.camera_width)
            parts = [
                over_image(image, colors, batch.image_size, stride, opacity)
                for colors, opacity in (
                    (scale.colors(strength[index]), 0.65),
                    (components[index], 1.0),
                )
            ]
            panels.append(Panel(camera_title(frame, index), np.concatenate(parts)))
        rows = camera_rows(frame, panels)
        note += "; below, the first three principal components"
    elif len(maps) == 1 and height * columns_of_grid == width * rows_of_grid:
        grid, pixels, theme = model.config.grid, sample.camera_width, sample.theme
        rows = [
            [
                bev_panel("energy", scale.colors(strength[0]), grid, pixels, theme),
                bev_panel(
                    "first three principal components", component_colors(maps[0]), grid, pixels,
                    theme,
                ),
            ]
        ]  # fmt: skip
    else:
        raise ConfigError(
            f"The output of layer {layer!r} has the shape {tuple(maps.shape)}, neither one map for"
            " each camera nor one of the BEV; choose another one."
        )
    return draw_panels(sample, rows, [scale], title=title, note=note)


def _module(model: Detector, layer: str) -> nn.Module:
    """Layer of a name, in which parts may be left out if only one layer then fits."""
    modules = {name: module for name, module in model.named_modules() if name}
    if layer in modules:
        return modules[layer]
    parts = layer.split(".")
    fitting = [name for name in modules if _leaves_out(name.split("."), parts)]
    if len(fitting) == 1:
        return modules[fitting[0]]
    nearest = fitting[:3] or difflib.get_close_matches(layer, modules, 3, 0.0)
    raise ConfigError(f"The model has no layer {layer!r}; the nearest are {', '.join(nearest)}.")


def _leaves_out(name: list[str], parts: list[str]) -> bool:
    """Return whether ``parts`` are a name of which some, but not its ends, are left out."""
    rest = iter(name)
    return name[0] == parts[0] and name[-1] == parts[-1] and all(part in rest for part in parts)


def _first_map(output: object) -> Tensor | None:
    """First tensor of an output that can be a feature map (…, C, h, w)."""
    if isinstance(output, Tensor):
        return output if output.ndim >= 3 and min(output.shape[-2:]) > 1 else None
    parts: list = []
    if isinstance(output, dict):
        parts = list(output.values())
    elif isinstance(output, list | tuple):
        parts = list(output)
    return next((found for part in parts if (found := _first_map(part)) is not None), None)
