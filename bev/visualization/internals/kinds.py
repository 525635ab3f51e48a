"""The kinds of pictures of a network's internals, by their names on the command line."""

from collections.abc import Callable

import numpy as np

from bev.visualization.internals.contributions import draw_contributions
from bev.visualization.internals.depth import draw_depth, draw_depth_targets
from bev.visualization.internals.features import draw_features
from bev.visualization.internals.heatmaps import draw_heatmaps
from bev.visualization.internals.maps import draw_maps
from bev.visualization.internals.run import Sample

KINDS: dict[str, Callable[[Sample], np.ndarray]] = {
    "depth": draw_depth,
    "depth-targets": draw_depth_targets,
    "features": draw_features,
    "heatmaps": draw_heatmaps,
    "cameras": draw_contributions,
    "maps": draw_maps,
}
