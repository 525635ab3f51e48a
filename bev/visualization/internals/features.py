"""BEV features: their energy, and their first three principal components as colours."""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.visualization.internals.panels import Scale, bev_panel, draw_panels
from bev.visualization.internals.run import Sample

_TAIL = 0.01  # share of the cells whose components lie beyond each end of the colour range


def energy(features: Float[Tensor, "C h w"]) -> Float[Tensor, "h w"]:
    """Root mean square of the channels of each cell."""
    return features.float().square().mean(dim=0).sqrt()


def energy_scale(strengths: Float[Tensor, "*shape"], title: str = "energy (RMS)") -> Scale:
    """Colour scale of energies, from 0 to that which few cells exceed."""
    return Scale(0.0, float(torch.quantile(strengths.flatten(), 1 - _TAIL / 4)), title)


def principal_components(
    features: Float[Tensor, "C h w"], count: int = 3
) -> Float[Tensor, "count h w"]:
    """Projections of the cells on the first principal components of their channels, float64.

    The sign of a component is such that its loading with the largest magnitude is positive, so that
    the colours of a picture are reproducible. Components beyond the number of channels are zero.
    """
    channels, height, _ = features.shape
    cells = rearrange(features.double(), "c h w -> (h w) c")
    centered = cells - cells.mean(dim=0)
    _, vectors = torch.linalg.eigh(centered.T @ centered)  # ascending eigenvalues
    loadings = vectors.flip(1)[:, :count]
    largest = loadings.gather(0, loadings.abs().argmax(dim=0, keepdim=True))
    projected = centered @ (loadings * largest.sign())
    missing = projected.new_zeros(len(projected), max(count - channels, 0))
    return rearrange(torch.cat([projected, missing], dim=1), "(h w) k -> k h w", h=height)


def component_colors(features: Float[Tensor, "C h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """First three principal components as red, green and blue."""
    components = principal_components(features)
    flat = components.flatten(1)
    low, high = (torch.quantile(flat, q, dim=1)[:, None, None] for q in (_TAIL, 1 - _TAIL))
    share = ((components - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return np.round(255 * share.permute(1, 2, 0).cpu().numpy()).astype(np.uint8)


def draw_features(sample: Sample) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the BEV features after the view transform and after the BEV encoder."""
    internals, theme = sample.internals, sample.theme
    encoded = internals.prediction.output.features.bev[0]
    grid, pixels, rows = sample.model.config.grid, sample.camera_width, []
    gt_boxes = sample.frame.boxes[sample.frame.counted(1)]
    scales = []
    for name, features in (
        ("after the view transform", internals.view.bev[0]),
        ("after the BEV encoder", encoded),
    ):
        strength = energy(features)
        scale = energy_scale(strength, f"energy (RMS) {name}")
        scales.append(scale)
        rows.append(
            [
                bev_panel(f"energy {name}", scale.colors(strength), grid, pixels, theme),
                bev_panel(
                    f"first three principal components {name}",
                    component_colors(features), grid, pixels, theme,
                ),
                bev_panel(
                    "the same, with ground truth",
                    component_colors(features), grid, pixels, theme, gt_boxes=gt_boxes,
                ),
            ]
        )  # fmt: skip
    return draw_panels(sample, rows, scales, title="BEV features")
