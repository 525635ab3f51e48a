"""Report of a nuScenes results file. Only its pictures need torch, which they import last."""

from collections.abc import Sequence
from dataclasses import replace

from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.storage.remote import present
from bev.evaluation.breakdown.breakdown import Breakdown, break_down
from bev.evaluation.nuscenes.matched import matched_boxes
from bev.evaluation.nuscenes.official import CountedBoxes
from bev.visualization.colors import class_color
from bev.visualization.report.page import Page
from bev.visualization.report.pictures import extremes


def page_of_results(
    page: Page, boxes: CountedBoxes, index: Index, split: str, pictures: int
) -> Page:
    """Add the breakdown of scored boxes to a page; see ``with_boxes`` for the pictures."""
    breakdown = break_down(matched_boxes(boxes, index))
    chosen = extremes(breakdown.samples, pictures)
    page = replace(
        page,
        breakdown=breakdown,
        extremes=chosen,
        colors=[class_color(NUSCENES, label) for label in range(len(NUSCENES.classes))],
    )
    if not chosen.worst:
        return page
    from bev.data.nuscenes.frames import read_frames
    from bev.data.nuscenes.sensor_data import cameras_of
    from bev.visualization.report.mosaics import by_token, sample_mosaics

    cameras = cameras_of(index)
    if not _has_images(index, breakdown, chosen.worst[0], cameras):
        return page
    frames = read_frames(index, split, cameras, missing="skip")
    rows = (*chosen.worst, *chosen.best)
    return replace(page, mosaics=sample_mosaics(breakdown, rows, by_token(frames), NUSCENES))


def _has_images(index: Index, breakdown: Breakdown, row: int, cameras: Sequence[str]) -> bool:
    """Whether the images of a sample are there, so that pictures of samples can be drawn."""
    (sample,) = index.rows_of(breakdown.boxes.matches.tokens[row : row + 1])
    rows = [index.sample.data[sample, index.channels[name]] for name in cameras]
    files = [index.sample_data.filename[row].decode() for row in rows if row != NO_ROW]
    return bool(files) and all(present(index.root / name).is_file() for name in files)
