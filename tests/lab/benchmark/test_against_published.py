"""The network that Lift-Splat-Shoot's speed is compared with has the published layers and rays."""

from dataclasses import replace

import pytest
import torch
from shrunken import large_cells

from bev.config import load_config
from bev.errors import ConfigError
from bev.geometry import feature_pixels
from bev.lab.benchmark.step import random_batch
from bev.lab.benchmark.training import against_published
from bev.lab.benchmark.training.published_lss import PublishedLss
from bev.models import DepthBins
from bev.models.view.lift_splat import frustum_points

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small():
    config = load_config("lss_seg_effb0", ["--data.batch-size", "1"])
    view = replace(config.model.view, depth=DepthBins(4.0, 45.0, 8.2))
    model = replace(config.model, view=view, grid=large_cells(config.model.grid))
    return replace(config, model=model, data=replace(config.data, image_size=(64, 96)))


def test_the_paper_counts_as_many_parameters():
    found = sum(p.numel() for p in PublishedLss(load_config("lss_seg_effb0", [])).parameters())
    classifier = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000  # in the count, but not in use
    assert (found + classifier) / 1e6 == pytest.approx(14.3, abs=0.05)


def test_rays_are_those_of_the_corners(small):
    batch, published = random_batch(small, CPU), PublishedLss(small)
    pixels = feature_pixels(batch.image_size, (4, 6), 16, corners=True)
    expected = frustum_points(pixels, published.depths, batch.views.cameras, batch.bev_from_ego)
    torch.testing.assert_close(published._points(batch, (4, 6)), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_both_are_timed(small, capsys):
    rows = against_published.run(small, CPU, seconds=0.01)
    assert [row.name for row in rows] == ["training step", "inference"]
    assert all(row.ours > 0 and row.published > 0 and row.speed > 0 for row in rows)
    assert "times as fast" in capsys.readouterr().out


def test_other_tasks_are_refused():
    with pytest.raises(ConfigError, match="needs a LiftSplatConfig"):
        PublishedLss(load_config("simplebev_r50", []))
