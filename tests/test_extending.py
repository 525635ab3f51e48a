"""The code of docs/extending.md and docs/examples works as the page states."""

import re
from dataclasses import replace

import pytest
import torch
from commands import ROOT
from shrunken import shrunken

from bev.config import load_file
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.errors import ConfigError
from bev.geometry import BevGrid, Cameras, feature_pixels
from bev.models import ListedDepthBins

EXAMPLES = ROOT / "docs" / "examples"


def step(config, root):
    """Make one training step of a shrunken config on the synthetic world."""
    data = replace(shrunken(config).data, root=root, version="v1.0-synthetic", workers=0)
    frames = KeyFrames(data.source.open(data).training_frames(), data, training=True)
    model = shrunken(config).model.build()
    loss = sum(model.loss(collate([frames[0, 0], frames[0, 5]])).values())
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in model.parameters())
    return model


def test_listed_depth_bins_of_the_page(synthetic_world, tmp_path):
    codes = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.S)
    for name, code in zip(("bins", "squares"), codes, strict=True):
        (tmp_path / f"{name}.py").write_text(code)
    squares = load_file(tmp_path / "squares.py")
    assert squares.model.view.depth.edges().tolist() == [1, 4, 9, 16, 25, 36, 49, 64]
    step(squares, synthetic_world)
    small = shrunken(squares).model
    broken = replace(small.view, depth=replace(small.view.depth, last=1))
    with pytest.raises(ConfigError, match="SquareBins.edges returns .* two or more depths"):
        replace(small, view=broken).build()
    config = load_file(tmp_path / "bins.py")
    bins = config.model.view.depth
    assert isinstance(bins, ListedDepthBins) and bins.bins == 8
    assert bins.index_of(torch.tensor([0.5, 1.0, 34.9, 59.0, 60.0])).tolist() == [-1, 0, 6, 7, -1]
    assert bins.centers()[:2].tolist() == [1.5, 3.0]
    assert step(config, synthetic_world).view.depth_net is not None


def test_the_flat_ground_view_transform(synthetic_world):
    """A cell reads the pixel to which its centre at height 0 projects."""
    path = EXAMPLES / "flat_ground.py"
    assert len(path.read_text().splitlines()) <= 50
    step(load_file(path), synthetic_world)
    # A camera 2 m above the ground looks straight down, f = 8, principal point (16, 16): the ground
    # at (x, y) projects to (16 - 4 y, 16 - 4 x). Features are the pixel's x and y.
    grid = BevGrid(x=(0.0, 4.0, 2.0), y=(-1.0, 1.0, 2.0), z=(-1.0, 1.0, 2.0))
    view = load_file(path).model.view.build(2, 8, grid)
    view.context = torch.nn.Identity()
    ego_from_camera = torch.tensor([[0.0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, -1, 2], [0, 0, 0, 1]])
    matrix = torch.tensor([[8.0, 0, 16], [0, 8, 16], [0, 0, 1]])
    cameras = Cameras(*(m[None, None] for m in (matrix, ego_from_camera, torch.eye(3))))
    features = feature_pixels((32, 32), (4, 4), 8).permute(2, 0, 1)[None, None]
    bev = view(features, (32, 32), cameras, torch.eye(4)[None]).bev
    # Cells centred at (1, 0) and (3, 0): pixels (16, 12) and (16, 4).
    torch.testing.assert_close(bev[0, :, 0], torch.tensor([[16.0, 16.0], [12.0, 4.0]]))


@pytest.mark.parametrize(("name", "most"), [("occupancy", 85), ("warehouse_source", 100)])
def test_examples_are_as_short_as_the_page_states(name, most):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= most
