"""The vector graphic of a BEV has the geometry of its pixels."""

import io

import cv2
import numpy as np
import pytest
import torch
from matplotlib.patches import Polygon

from bev.geometry import BevGrid, Boxes3D
from bev.visualization.bev_view import BevView, bev_figure, draw_bev
from bev.visualization.colors import LIGHT
from bev.visualization.segmentation import SegmentationMaps, outline
from bev.visualization.tracks import Track

VIEW = BevView(pixels=300, reach=40.0)
GRID = BevGrid(x=(-20.0, 30.0, 2.5), y=(-15.0, 25.0, 4.0), z=(-1.0, 1.0, 2.0))


def boxes() -> Boxes3D:
    return Boxes3D.make(
        torch.tensor([[12.0, -7.0, 0.5], [-20.0, 15.0, 0.5]]),
        torch.tensor([[6.0, 3.0, 1.5], [9.0, 2.5, 2.0]]),
        torch.tensor([0.4, -2.0]),
        velocity=torch.tensor([[8.0, 3.0], [0.0, 0.0]]),
    )


def rendered(figure) -> np.ndarray:
    file = io.BytesIO()
    figure.savefig(file, dpi=100, format="png")
    return cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_corners_are_at_the_same_positions():
    figure = bev_figure(VIEW, predictions=boxes())
    (axes,) = figure.axes
    found = [patch.get_xy()[:4] for patch in axes.patches if isinstance(patch, Polygon)]
    inches = figure.get_size_inches() * 100
    for outline_of_box in VIEW.locate(boxes().footprint().numpy()):
        match = [xy for xy in found if np.allclose(xy, outline_of_box)]
        assert len(match) == 1
        display = axes.transData.transform(match[0])
        assert display[:, 0] == pytest.approx(outline_of_box[:, 0])
        assert inches[1] - display[:, 1] == pytest.approx(outline_of_box[:, 1])


@pytest.mark.parametrize("kind", ["gt_boxes", "predictions", "lidar", "tracks", "segmentation"])
def test_every_element_covers_the_same_pixels(kind):
    mask = torch.zeros(1, *GRID.shape[1:], dtype=torch.bool)
    mask[0, 2:4, 3:9] = True
    maps = SegmentationMaps(GRID, ["a"], [(250, 100, 20)], mask, mask.roll(2, 2))
    drawn = {
        "gt_boxes": boxes(),
        "predictions": boxes(),
        "lidar": torch.rand(400, 3) * torch.tensor([20.0, 10.0, 1.0]),
        "tracks": [Track(torch.tensor([[-9.0, 4.0], [3.0, 8.0], [12.0, 9.0]]).double(), 0)],
        "segmentation": [maps],
    }[kind]
    centers = []
    for draw in (draw_bev, lambda *a, **k: rendered(bev_figure(*a, **k))):
        empty = draw(VIEW, theme=LIGHT).astype(int)
        difference = np.abs(draw(VIEW, theme=LIGHT, **{kind: drawn}) - empty).sum(axis=2)
        # Without the note on arrows at the bottom, whose letters differ.
        ink = np.argwhere(difference[:270] > 60)
        centers.append([*ink.mean(axis=0), *ink.min(axis=0), *ink.max(axis=0)])
    assert centers[0] == pytest.approx(centers[1], abs=1.6)


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_vector_files_contain_lines_and_letters(suffix, tmp_path):
    figure = bev_figure(VIEW, predictions=boxes(), scores=True)
    figure.savefig(tmp_path / f"bev.{suffix}")
    content = (tmp_path / f"bev.{suffix}").read_bytes()
    assert content.startswith({"svg": b"<?xml", "pdf": b"%PDF"}[suffix])
    assert b"<image" not in content and len(content) < 60_000


def test_the_outline_of_cells_is_made_of_straight_runs():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    assert sorted(outline(mask).tolist()) == [
        [[2, 1], [2, 3]], [[2, 1], [5, 1]], [[2, 3], [5, 3]], [[5, 1], [5, 3]],
    ]  # fmt: skip
    assert outline(~mask).shape == (8, 2, 2)
