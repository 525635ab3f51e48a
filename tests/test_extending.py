"""What docs/extending.md says of code is so: its own, and that of docs/examples."""

import re
from dataclasses import replace

import pytest
import torch
from commands import ROOT
from shrunken import shrunken

from bev.config import load_file
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.models import ListedDepthBins

EXAMPLES = ROOT / "docs" / "examples"


def step(config, root):
    """One training step of a config on the made world, in an eighth of its size."""
    data = replace(shrunken(config).data, root=root, version="v1.0-synthetic", workers=0)
    frames = KeyFrames(data.source.open(data).training_frames(), data, training=True)
    model = shrunken(config).model.build()
    loss = sum(model.loss(collate([frames[0, 0], frames[0, 5]])).values())
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None for p in model.parameters())
    return model


def test_listed_depth_bins_of_the_page(made_world, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.S)
    (tmp_path / "bins.py").write_text(code)
    config = load_file(tmp_path / "bins.py")
    bins = config.model.view.depth
    assert isinstance(bins, ListedDepthBins) and bins.bins == 8
    assert bins.index_of(torch.tensor([0.5, 1.0, 34.9, 59.0, 60.0])).tolist() == [-1, 0, 6, 7, -1]
    assert bins.centers()[:2].tolist() == [1.5, 3.0]
    assert step(config, made_world).view.depth_net is not None


def test_a_view_transform_in_45_lines(made_world):
    """A cell reads the pixel that its centre at height 0 projects to."""
    path = EXAMPLES / "flat_ground.py"
    assert len(path.read_text().splitlines()) <= 50
    model = step(load_file(path), made_world)
    assert type(model.view).__name__ == "FlatGround"


@pytest.mark.parametrize(("name", "most"), [("occupancy", 80), ("warehouse_source", 100)])
def test_examples_are_as_short_as_the_page_says(name, most):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= most
