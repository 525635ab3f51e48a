"""Picture of one sample: all cameras in their places, with boxes, beside the BEV."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bev.data.frame import Frame
from bev.data.labels import UNNAMED, LabelSpace
from bev.geometry import Boxes3D
from bev.visualization.bev_view import REACH, BevView, bev_figure, draw_bev
from bev.visualization.camera_view import draw_boxes, scaled_camera
from bev.visualization.colors import DARK, Theme, class_color, class_name
from bev.visualization.composition import (
    camera_tile,
    draw_header,
    draw_legend,
    place_bev,
    place_tile,
    start_sheet,
)
from bev.visualization.results.styles import LINE_STYLES, LineStyle, NamedBoxes
from bev.visualization.segmentation import SegmentationMaps
from bev.visualization.tracks import Track

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_sheet(
    frame: Frame,
    predictions: Boxes3D | Sequence[NamedBoxes] | None = None,
    images: Sequence[np.ndarray] | None = None,
    lidar: Float[Tensor, "P 3"] | None = None,
    segmentation: Sequence[SegmentationMaps] = (),
    tracks: Sequence[Track] = (),
    *,
    space: LabelSpace = UNNAMED,
    score_threshold: float = 0.3,
    show_ground_truth: bool = True,
    min_points: int = 1,
    scores: bool = False,
    title: str = "",
    camera_width: int = 480,
    reach: float = REACH,
    theme: Theme = DARK,
) -> np.ndarray:
    """Draw a key frame with its ground truth and, if given, predictions.

    Args:
        frame: key frame, with any number of cameras.
        predictions: predicted boxes in the frame's reference ego frame; those of several sources,
            at most four, in different lines. Without predictions, ground truth is drawn in their
            style.
        images: (H, W, 3) uint8 RGB in the order of ``frame.cameras``, showing each camera's whole
            view at any size; read from the image files by default.
        lidar: points in the reference ego frame; read from the frame's lidar file by default, if
            there is one.
        segmentation: maps of the BEV, drawn in this order.
        tracks: past positions of the annotated objects, see ``bev.visualization.tracks``.
        space: names and colours of the classes.
        score_threshold: predictions with a lower score are not drawn.
        show_ground_truth: whether to draw the annotated boxes.
        min_points: minimum number of lidar and radar points of ground-truth boxes (1 in the
            official evaluation).
        scores: whether to write the score at each predicted box, and its class in the images.
        title: title before the scene and token, e.g. the name of the model.
        camera_width: width of each camera image, pixels; 480 makes a sheet of 2086 x 660 (six
            cameras).
        reach: distance from the ego vehicle to each border of the BEV, metres.
        theme: colours of everything but classes, layers and photographs.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: if an image file is missing or damaged, or the lidar file is damaged.
    """
    parts = _parts(frame, predictions, segmentation, score_threshold, show_ground_truth, min_points)
    gt_boxes, predicted, strong, thin, alone = parts
    several = len(strong) > 1
    layout, sheet = start_sheet(frame, camera_width, theme)
    for index, camera in enumerate(frame.cameras):
        tile = camera_tile(frame, index, images, layout.tile)
        entry = scaled_camera(camera, (tile.shape[0], tile.shape[1]))
        pose = frame.global_from_ego
        style: dict[str, Any] = {"global_from_ego": pose, "space": space, "theme": theme}
        draw_boxes(tile, entry, thin, ground_truth=True, **style)
        for boxes, line in zip(strong, LINE_STYLES[: len(strong)], strict=True):
            draw_boxes(tile, entry, boxes, style=line, labels=scores, marks=several, **style)
        place_tile(sheet, layout, index, tile, camera.name, theme)
    view = BevView(layout.bev_pixels, reach)
    bev = draw_bev(
        view,
        gt_boxes=thin,
        predictions=strong,
        lidar=_lidar(frame) if lidar is None else lidar,
        segmentation=segmentation,
        tracks=tracks,
        scores=scores and not alone,
        space=space,
        theme=theme,
    )
    place_bev(sheet, layout, bev)

    notes = [f"{len(gt_boxes)} annotated boxes"] if show_ground_truth or alone else []
    if predicted and not several:
        limit = f" with score ≥ {score_threshold:g}" if np.isfinite(score_threshold) else ""
        notes.insert(0, f"{len(predicted[0].boxes)} predictions{limit}")
    note = " · ".join(notes)
    draw_header(sheet, layout, frame, title or ("Ground truth" if alone else ""), note, theme)
    styles: list[tuple[str, LineStyle | None]] = []
    styles += [("ground truth", LINE_STYLES[0])] if alone else []
    for line, (name, boxes) in zip(LINE_STYLES, predicted, strict=False):
        styles.append((f"{line.mark}  {name} ({len(boxes)})" if several else name, line))
    styles += [("ground truth", None)] if show_ground_truth and not alone else []
    shown = sorted({label for boxes in strong for label in boxes.label.tolist()})
    entries = [(class_name(space, label), class_color(space, label)) for label in shown]
    for maps in segmentation:
        names = (f"layer: {name.replace('_', ' ')}" for name in maps.layers)
        entries += zip(names, maps.colors, strict=True)
    draw_legend(sheet, layout, styles, entries, theme)
    return sheet


def sheet_figure(
    frame: Frame,
    predictions: Boxes3D | Sequence[NamedBoxes] | None = None,
    lidar: Float[Tensor, "P 3"] | None = None,
    segmentation: Sequence[SegmentationMaps] = (),
    tracks: Sequence[Track] = (),
    *,
    space: LabelSpace = UNNAMED,
    score_threshold: float = 0.3,
    show_ground_truth: bool = True,
    min_points: int = 1,
    scores: bool = False,
    pixels: int = 580,
    reach: float = REACH,
    theme: Theme = DARK,
) -> "Figure":
    """Draw the BEV of a sheet as a figure of matplotlib, which can be saved as SVG or PDF.

    Args:
        pixels: side length of the figure; 100 are one inch.

    The other arguments are those of :func:`draw_sheet`.
    """
    parts = _parts(frame, predictions, segmentation, score_threshold, show_ground_truth, min_points)
    return bev_figure(
        BevView(pixels, reach),
        gt_boxes=parts.thin,
        predictions=parts.strong,
        lidar=_lidar(frame) if lidar is None else lidar,
        segmentation=segmentation,
        tracks=tracks,
        scores=scores and not parts.alone,
        space=space,
        theme=theme,
    )


class _Parts(NamedTuple):
    """The boxes of a sheet: all that count, and those in each of the two styles."""

    gt_boxes: Boxes3D
    predicted: list[NamedBoxes]
    strong: list[Boxes3D]
    thin: Boxes3D
    alone: bool


def _parts(
    frame: Frame,
    predictions: Boxes3D | Sequence[NamedBoxes] | None,
    segmentation: Sequence[SegmentationMaps],
    score_threshold: float,
    show_ground_truth: bool,
    min_points: int,
) -> _Parts:
    gt_boxes = frame.boxes[frame.counted(min_points)] if show_ground_truth else Boxes3D.empty()
    if isinstance(predictions, Boxes3D):
        predictions = [NamedBoxes("prediction", predictions)]
    predicted = []
    for name, every in predictions or ():
        boxes = every.to("cpu")
        predicted.append(NamedBoxes(name, boxes[boxes.score >= score_threshold]))
    alone = predictions is None and all(maps.predicted is None for maps in segmentation)
    strong = [gt_boxes] if alone else [boxes for _, boxes in predicted]
    return _Parts(gt_boxes, predicted, strong, Boxes3D.empty() if alone else gt_boxes, alone)


def _lidar(frame: Frame) -> Float[Tensor, "P 3"] | None:
    return frame.load_lidar() if frame.has_lidar else None
