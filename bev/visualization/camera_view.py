"""Boxes and points in camera images.

Ground-truth boxes have thin dashed lines and a cross on the front; predicted boxes have
strong lines in the class colour and a filled front. Far boxes are drawn first.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.frame import CameraFrame
from bev.data.labels import UNNAMED, LabelSpace
from bev.geometry import Boxes3D, Cameras, apply_transform, inverse_rigid
from bev.visualization.canvas import draw_dots, draw_segments, draw_text, fill_polygon
from bev.visualization.clipping import NEAR
from bev.visualization.colors import DARK, Theme, class_color, class_name
from bev.visualization.results.styles import LINE_STYLES, LineStyle
from bev.visualization.sight import sight_of

# Edges of a box as pairs of corners (see Boxes3D.corners), and the diagonals of its front face.
EDGES = np.array(
    [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)]
)
FRONT_CROSS = np.array([(0, 2), (1, 3)])
# Minimum extent of a box in the image for the cross of ground truth, and for thick lines; pixels.
_CROSS_FROM, _THICK_FROM = 36, 48
_LINE = 17  # pixels between the labels of several sources


def scaled_camera(camera: CameraFrame, size: tuple[int, int]) -> Cameras:
    """Camera of an image that shows the whole view of ``camera`` at a new (height, width)."""
    rows, columns = size[0] / camera.size[0], size[1] / camera.size[1]
    scale = torch.diag(torch.tensor([columns, rows, 1.0], dtype=torch.float64))
    lens = camera.lens.to(torch.float64)
    return Cameras(camera.intrinsics.double(), camera.ego_from_camera.double(), scale, lens)


def upright_corners(
    boxes: Boxes3D, global_from_ego: Float[Tensor, "4 4"] | None = None
) -> Float[Tensor, "M 8 3"]:
    """Corners, in the ego frame, of boxes that are upright in the global frame; float64.

    nuScenes boxes are level in the global frame, while the ego vehicle pitches and rolls by about a
    degree, which over the length of a truck amounts to several pixels. Without a pose, the boxes
    are level in the ego frame.
    """
    double = boxes.to("cpu").double()
    if global_from_ego is None:
        return double.corners()
    pose = global_from_ego.double()
    return apply_transform(inverse_rigid(pose), double.transform(pose).corners())


def draw_boxes(
    image: np.ndarray,
    camera: Cameras,
    boxes: Boxes3D,
    *,
    ground_truth: bool = False,
    style: LineStyle = LINE_STYLES[0],
    labels: bool = False,
    marks: bool = False,
    thickness: int = 2,
    space: LabelSpace = UNNAMED,
    global_from_ego: Float[Tensor, "4 4"] | None = None,
    theme: Theme = DARK,
) -> None:
    """Draw boxes in place; edges are clipped to the field of view and to the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        camera: camera of the image (no batch dimensions).
        boxes: boxes in the ego frame.
        ground_truth: whether to draw in the style of ground truth (thin, dashed, crossed front).
        style: line style of predictions.
        labels: whether to write class and score above each box, on a dark plate in every theme.
        marks: whether to write the mark of the style before them.
        thickness: line width of predictions, pixels; small boxes have lines of one pixel.
        space: names and colours of the classes.
        global_from_ego: reference ego pose, see ``upright_corners``.
        theme: colours of ground truth and of the borders of lines.
    """
    corners = upright_corners(boxes, global_from_ego)
    in_camera = apply_transform(inverse_rigid(camera.ego_from_camera.double()), corners).numpy()
    height, width = image.shape[:2]
    sight = sight_of(camera, (height, width))
    order = np.argsort(-sight.depth(in_camera).mean(axis=1))
    for index in order[sight.may_show(in_camera)[order]]:
        box, color = in_camera[index], class_color(space, int(boxes.label[index]))
        edges = sight.lines(box[EDGES])
        if not len(edges):
            continue
        extent = np.ptp(edges.reshape(-1, 2), axis=0).max()
        if ground_truth:
            lines = sight.dashed(box[EDGES], dash=4.0, gap=3.0)
            if extent >= _CROSS_FROM:
                lines = np.concatenate([lines, sight.lines(box[FRONT_CROSS])])
            draw_segments(image, edges, theme.halo, 1)
            draw_segments(image, lines, theme.ground_truth, 1)
        else:
            line_width, lines = thickness if extent >= _THICK_FROM else 1, edges
            if style.filled:
                fill_polygon(image, sight.face(box[:4]), color, 0.42, convex=sight.convex)
            elif style.dash:
                lines = sight.dashed(box[EDGES], style.dash, style.gap)
            draw_segments(image, lines, theme.halo, line_width + 1)
            draw_segments(image, lines, color, line_width)
        if labels:
            name = class_name(space, int(boxes.label[index]))
            text = name if ground_truth else f"{name} {float(boxes.score[index]):.2f}"
            text = f"{style.mark} {text}" if marks else text
            top = edges.reshape(-1, 2)[edges.reshape(-1, 2)[:, 1].argmin()]
            at = (top[0], top[1] - 6 - _LINE * style.row)
            draw_text(image, text, at, 10, color, anchor="ms", plate=DARK.halo)


def draw_points(
    image: np.ndarray, camera: Cameras, points: Float[Tensor, "P 3"], farthest: float = 60.0
) -> None:
    """Draw points in place, coloured by depth, near points on top.

    Args:
        image: (H, W, 3) uint8 RGB.
        camera: camera of the image (no batch dimensions).
        points: points in the ego frame, metres.
        farthest: depth at the end of the colour scale, metres.
    """
    pixels, depth = camera.project(points.to(camera.intrinsics))
    height, width = image.shape[:2]
    visible = (depth > max(NEAR, 1.0)) & (pixels >= 0).all(dim=-1)
    visible &= (pixels[:, 0] < width) & (pixels[:, 1] < height)
    places, distances = pixels[visible].numpy(), depth[visible].numpy()
    order = np.argsort(-distances)
    draw_dots(image, places[order], depth_colors(distances[order], farthest), radius=0.9)


def depth_colors(depth: np.ndarray, farthest: float) -> np.ndarray:
    """Colours (P, 3), uint8 RGB, of depths (P,) in metres: near is warm, far is blue."""
    # The square root gives more of the scale to small depths, where most points are.
    near = 1 - np.sqrt(np.clip(depth / farthest, 0, 1))
    values = np.round(255 * (0.06 + 0.88 * near)).astype(np.uint8)
    scale = np.arange(256, dtype=np.uint8)[:, None]
    table = cv2.applyColorMap(scale, cv2.COLORMAP_TURBO)
    return table[values, 0, ::-1]
