"""Plans are kept for calibrations that come again, and for those alone."""

from dataclasses import replace

import torch

from bev.geometry import BevGrid
from bev.models.view.depth_bins import DepthBins
from bev.models.view.lift_splat import LiftSplat, LiftSplatConfig
from bev.models.view.plan_cache import PlanCache
from bev.ops import VoxelPlan

GRID = BevGrid(x=(-16.0, 24.0, 1.0), y=(-12.0, 20.0, 1.0), z=(-4.0, 4.0, 8.0))


def test_a_plan_is_made_once_and_the_oldest_goes_first():
    made, cache = [], PlanCache(2)

    def plan(value, rest=""):
        def make():
            made.append(value)
            return VoxelPlan.from_points(torch.full((1, 1, 1, 1, 1, 3), value), GRID)

        return cache.get([torch.tensor([value])], rest, make)

    first = plan(1.0)
    plan(2.0)
    assert plan(1.0) is first
    assert made == [1.0, 2.0]
    plan(3.0)  # drops 2, which was used longest ago
    assert plan(1.0) is first
    plan(2.0)
    assert made == [1.0, 2.0, 3.0, 2.0] and len(cache) == 2
    plan(2.0, "another size")
    assert made[-1] == 2.0 and len(made) == 5


def test_the_view_transform_keeps_plans_in_evaluation_only(cameras):
    config = LiftSplatConfig(depth=DepthBins(1.0, 25.0, 1.0), channels=2, plan_cache=1)
    view = LiftSplat(config, 1, 8, GRID)
    features, bev_from_ego = torch.randn(2, 3, 1, 8, 20), torch.eye(4).expand(2, 4, 4)
    view.train()(features, (64, 160), cameras, bev_from_ego)
    assert len(view.plans) == 0
    view.eval()
    first = view(features, (64, 160), cameras, bev_from_ego).bev
    assert len(view.plans) == 1
    assert torch.equal(view(features, (64, 160), cameras, bev_from_ego).bev, first)
    with torch.inference_mode():
        view.plans = PlanCache(1)
        view(features, (64, 160), cameras, bev_from_ego)
    view(features.requires_grad_(), (64, 160), cameras, bev_from_ego).bev.sum().backward()
    assert len(view.plans) == 1 and features.grad is not None
    moved = replace(cameras, ego_from_camera=cameras.ego_from_camera.clone())
    moved.ego_from_camera[..., 0, 3] += 3.0
    other = view(features, (64, 160), moved, bev_from_ego).bev
    assert not torch.equal(other, first) and len(view.plans) == 1
