"""Vertical position of the crop window in the images of a camera, from the camera's horizon.

Images are resized to the network's width, and a window of its height is cropped. In nuScenes the
window stands on the image's last row, and the horizon lies in its upper third. In an image with
more rows below the horizon, such as one of 4:3, that window would show the ground before the car
and no distant object. It is moved up until it shows the horizon.
"""

import math

import numpy as np
import torch

from bev.data.frame import CameraFrame

HORIZON = 0.25
"""Share of the window's height above the horizon, for windows that are moved up.

In nuScenes' cameras the usual window has 0.24 to 0.31."""
_ENOUGH = 0.6  # of this share: a window with more stays on the last row, as all of nuScenes do
_STEEP = 0.1  # cosine of the elevation of an optical axis that is taken for vertical


def window_row(
    rows: int, horizon: float, share: float, raised: float, height: float, usual: float
) -> float:
    """Row of the original image that a crop window stands on, before it is raised at random.

    The window is moved up from the last row, if at the usual scale the horizon would lie too high
    in it; then the horizon has the same place in the window at every scale.

    Args:
        rows: height of the original image.
        horizon: row of the horizon in it, see :func:`horizon_row`; if it is NaN, the window stands
            on the last row.
        share: share of the window's height above the horizon, if the window is moved up.
        raised: share of the window's height by which the middle one of the random windows is raised
            from the row that the windows stand on.
        height: height of the window in rows of the original image.
        usual: its height if the image is resized to the network's width.
    """
    above = horizon - (rows - (1 + raised) * usual)
    if not above < _ENOUGH * share * usual:
        return rows
    first = (1 + raised) * height  # if the window begins with the image's first row
    return min(max(horizon - share * height + first, first), rows)


def horizon_row(camera: CameraFrame) -> float:
    """Row of the original image at which the camera shows the horizon in its viewing direction.

    The horizon is where rays are parallel to the ego frame's ground. Through a fisheye it is a
    curve, whose row below the optical axis' azimuth is meant. NaN if the camera looks straight up
    or down, or if its lens does not show the horizon. The row may lie outside the image.
    """
    axis = camera.ego_from_camera[:3, 2].numpy()
    length = np.hypot(axis[0], axis[1])
    if length < _STEEP:
        return math.nan
    level = torch.from_numpy(np.array([axis[0], axis[1], 0.0]) / length)
    ray = camera.ego_from_camera[:3, :3].T @ level
    plane, depth = camera.lens.project(ray[None])
    column, row, weight = (camera.intrinsics @ plane[0].double()).tolist()
    return row / weight if float(depth) > 0 and weight > 0 else math.nan
