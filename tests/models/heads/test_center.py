"""Targets, loss and decoding of the center head: worked cases, and decoded targets."""

import math
import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from perfect import perfect_output
from specs import features, gt_batch, spec

from bev.data.nuscenes.classes import ATTRIBUTES, NUSCENES
from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D
from bev.models.heads.center.decode import DecodeConfig, decode
from bev.models.heads.center.head import CenterHeadConfig
from bev.models.heads.center.loss import center_loss, normalizers
from bev.models.heads.center.targets import (
    REGRESSION,
    CenterTargets,
    TaskOutput,
    center_targets,
    gaussian_radius,
)
from bev.models.heads.losses import HeatmapLoss

# Neither square nor centred, so that a swap of x and y fails.
GRID = BevGrid(x=(-10.0, 54.0, 0.8), y=(-24.0, 16.0, 0.8), z=(-5.0, 3.0, 8.0))
LABELS = [0, 8]
TASK = ("car", "pedestrian")


def boxes_at(*rows):
    """Boxes from rows (x, y, z, length, width, height, yaw, vx, vy, label)."""
    values = torch.tensor(rows, dtype=torch.float32)
    return Boxes3D.make(
        values[:, :3], values[:, 3:6], values[:, 6], values[:, 7:9], label=values[:, 9].long()
    )


def found_in(output: TaskOutput, config: DecodeConfig) -> Boxes3D:
    """Boxes decoded from an output with one sample."""
    (found,) = decode(output, TASK, NUSCENES, GRID, config.resolved(NUSCENES))
    return found


def map_of(name: str) -> torch.Tensor:
    """A map of a box parameter, filled with zeros."""
    return torch.zeros(1, REGRESSION[name], 50, 80)


def targets_of(gt_boxes, **settings) -> CenterTargets:
    """Targets of a task of two classes."""
    (targets,) = center_targets(gt_boxes, [LABELS], GRID, **settings)
    return targets


def output_of(heatmap: torch.Tensor, **maps) -> TaskOutput:
    """A task output, with zeros for the maps that are not given."""
    maps = {name: map_of(name) for name in REGRESSION} | maps
    none = heatmap[:, :0]
    return TaskOutput(heatmap, **maps, attribute=none, direction=none)


def test_targets_of_a_worked_box():
    gt_boxes = boxes_at((10.5, -3.1, 0.5, 4.0, 2.0, 1.5, 0.3, 1.0, -2.0, 0))
    targets = targets_of([gt_boxes])
    # (10.5 + 10) / 0.8 = 25.625 and (-3.1 + 24) / 0.8 = 26.125.
    assert targets.cell.tolist() == [[0, 26, 25]]
    expected = {
        "offset": [0.625, 0.125], "height": [0.5],
        "size": [math.log(4), math.log(2), math.log(1.5)],
        "heading": [math.sin(0.3), math.cos(0.3)], "velocity": [1.0, -2.0],
    }  # fmt: skip
    assert targets.regression.keys() == expected.keys()
    for name, values in expected.items():
        found = targets.regression[name]
        torch.testing.assert_close(found, torch.tensor([values]), rtol=0, atol=1e-4)
    assert targets.heatmap[0, 0, 26, 25] == 1
    assert (targets.heatmap == 1).sum() == 1
    # Radius 2 (the minimum), sigma 5/6: one cell away exp(-1 / (2 * 25/36)) = 0.4868.
    assert targets.heatmap[0, 0, 26, 26] == pytest.approx(0.4868, abs=1e-4)
    assert targets.heatmap[0, 0, 27, 25] == pytest.approx(0.4868, abs=1e-4)
    assert targets.heatmap[0, 0, 29, 25] == 0
    assert not targets.heatmap[0, 1].any()


def test_the_published_radius_of_a_worked_case():
    # 12 x 4 cells, overlap 0.7; the least case is the box grown on all sides: b = -2 o (l + w) =
    # -22.4, disc = b^2 + 16 o (1 - o) l w = 663.04, (-22.4 + 25.7496) / 2.
    radius = gaussian_radius(torch.tensor([12.0]), torch.tensor([4.0]), 0.7)
    assert radius.item() == pytest.approx(1.6748, abs=1e-4)
    # The radius grows with the box, and with a lower overlap.
    larger = gaussian_radius(torch.tensor([24.0]), torch.tensor([8.0]), 0.7)
    assert larger.item() == pytest.approx(2 * radius.item(), rel=1e-5)
    assert gaussian_radius(torch.tensor([12.0]), torch.tensor([4.0]), 0.1) > radius


def test_overlapping_objects_keep_the_greater_value():
    gt_boxes = boxes_at(
        (10.4, 0.4, 0, 4, 2, 1.5, 0, 0, 0, 0), (12.0, 0.4, 0, 4, 2, 1.5, 0, 0, 0, 0)
    )
    together = targets_of([gt_boxes]).heatmap
    alone = [targets_of([gt_boxes[i : i + 1]]).heatmap for i in range(2)]
    torch.testing.assert_close(together, torch.maximum(*alone))


def test_boxes_outside_the_grid_are_left_out():
    gt_boxes = boxes_at((53.9, 0, 0, 4, 2, 1.5, 0, 0, 0, 0), (54.5, 0, 0, 4, 2, 1.5, 0, 0, 0, 0))
    targets = targets_of([gt_boxes, Boxes3D.empty()])
    assert len(targets.cell) == 1
    assert targets.heatmap.shape == (2, 2, 50, 80)


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 12),
    nms=st.sampled_from(["rotated", "circle", "none"]),
    direction_bins=st.sampled_from([1, 2, 8, 12]),
)
@settings(max_examples=40, deadline=None)
def test_ground_truth_survives_targets_and_decoding(seed, count, nms, direction_bins):
    generator = torch.Generator().manual_seed(seed)

    def uniform(low, high):
        return low + (high - low) * torch.rand(count, generator=generator)

    # On a coarse raster, too far apart for suppression.
    places = torch.randperm(15, generator=generator)[:count]
    gt_boxes = Boxes3D.make(
        center=torch.stack(
            [places % 5 * 12.5 - 8 + uniform(0, 2), places // 5 * 12.5 - 21 + uniform(0, 2),
             uniform(-2, 2)], dim=1,
        ),
        size=torch.stack([uniform(0.5, 5), uniform(0.5, 2.5), uniform(0.5, 3)], dim=1),
        yaw=uniform(-3.1, 3.1),
        velocity=torch.stack([uniform(-9, 9), uniform(-9, 9)], dim=1),
        label=torch.randint(0, 2, (count,), generator=generator) * 8,
    )  # fmt: skip
    targets = targets_of([gt_boxes], direction_bins=direction_bins)
    output = perfect_output(targets, direction_bins)
    config = DecodeConfig(nms=nms, score=0.5)
    found = found_in(output, config)
    assert len(found) == count
    if count == 0:
        return
    found = found[torch.cdist(gt_boxes.center, found.center).argmin(dim=1)]
    for name in ("center", "size", "velocity"):
        torch.testing.assert_close(
            getattr(found, name), getattr(gt_boxes, name), atol=1e-3, rtol=1e-4
        )
    assert (found.label == gt_boxes.label).all()
    assert torch.sin((found.yaw - gt_boxes.yaw) / 2).abs().max() < 1e-4


def test_circle_suppression_measures_squared_distances_as_published():
    """The published 4 for cars means 2 m: cars side by side, 2.5 m apart, are both kept."""
    gt_boxes = boxes_at(
        (10.4, 0.4, 0, 4, 2, 1.5, 0, 0, 0, 0),
        (10.4, 2.9, 0, 4, 2, 1.5, 0, 0, 0, 0),
        (10.4, 4.7, 0, 4, 2, 1.5, 0, 0, 0, 0),
    )
    output = perfect_output(targets_of([gt_boxes]))
    found = found_in(output, DecodeConfig(nms="circle", score=0.5))
    assert len(found) == 2  # the third is 1.8 m from the second


def test_a_task_with_a_named_class_is_suppressed_by_distance():
    """Two boxes 3 m apart overlap by half and are farther apart than the radius of a car."""
    gt_boxes = boxes_at(
        (10.4, 0.4, 0, 9, 4, 1.5, 0, 0, 0, 0), (13.4, 0.4, 0, 9, 4, 1.5, 0, 0, 0, 0)
    )
    output = perfect_output(targets_of([gt_boxes]))
    counts = [
        len(found_in(output, DecodeConfig(score=0.5, distance=names)))
        for names in ((), ("barrier",), ("car",))
    ]
    assert counts == [1, 1, 2]


def test_suppression_uses_the_configured_scales_and_overlaps():
    gt_boxes = boxes_at(
        (10.4, 0.4, 0, 4, 2, 1.5, 0, 0, 0, 0), (12.4, 0.4, 0, 4, 2, 1.5, 0, 0, 0, 0)
    )
    output = perfect_output(targets_of([gt_boxes]))

    def count(**options):
        return len(found_in(output, DecodeConfig(score=0.5, **options)))

    # Each box lies half in the other: an overlap of 4 / 12.
    assert count() == 1
    assert count(nms_overlap=(0.34, *(0.2,) * 9)) == 2
    assert count(nms_rescale_factor=(0.4, *(1.0,) * 9)) == 2
    with pytest.raises(
        ConfigError, match="decode.nms_rescale_factor needs 10 numbers, one per class"
    ):
        DecodeConfig(nms_rescale_factor=(1.0,)).resolved(NUSCENES)


def test_without_a_window_every_cell_is_a_peak():
    """Two cone-shaped heatmaps, one per class: with a window, only their tips are peaks."""
    row, column = torch.meshgrid(torch.arange(50.0), torch.arange(80.0), indexing="ij")
    tips = torch.tensor([[10.0, 20.0], [33.0, 61.0]]).view(2, 2, 1, 1)
    heatmap = -0.1 * torch.hypot(row - tips[:, 0], column - tips[:, 1]).unsqueeze(0)
    output = output_of(heatmap)
    every = DecodeConfig(pre_max_size=30, window=1, score=0.0, nms="none", post_max_size=30)
    found = found_in(output, every)
    torch.testing.assert_close(found.score, heatmap.sigmoid().flatten().topk(30).values)
    peaks = found_in(output, replace(every, window=3, score=0.01))
    assert peaks.score.tolist() == [0.5, 0.5] and sorted(peaks.label.tolist()) == sorted(LABELS)
    with pytest.raises(ConfigError, match="decode.window = 2 must be an odd number of cells"):
        DecodeConfig(window=2)


def loss_of(output: TaskOutput, targets: CenterTargets, beta: float = 0.0):
    """Loss of a task on its own."""
    return center_loss(output, targets, normalizers([targets])[0], HeatmapLoss(), 1.0, beta)


def test_unknown_velocity_adds_no_loss():
    gt_boxes = boxes_at((10.4, 0.4, 0, 4, 2, 1.5, 0, torch.nan, torch.nan, 0))
    targets = targets_of([gt_boxes])
    maps = {name: torch.randn_like(map_of(name)).requires_grad_() for name in REGRESSION}
    output = output_of(torch.zeros(1, 2, 50, 80), **maps)
    _, loss = loss_of(output, targets)
    loss.backward()
    assert loss.isfinite()
    learnt = {name: bool(own.grad.any()) for name, own in maps.items()}
    assert learnt == {name: name != "velocity" for name in REGRESSION}


def velocity_loss(gt_boxes, predicted, beta):
    """Loss of boxes that move at these speeds along x, all with the same predicted speed."""
    rows = [(2.4 + 2.4 * i, 0.4, 0, 4, 2, 1.5, 0, v, 0.0, 0) for i, v in enumerate(gt_boxes)]
    targets = targets_of([boxes_at(*rows)])
    along = predicted.expand(1, 1, 50, 80)
    velocity = torch.cat([along, torch.zeros(1, 1, 50, 80)], dim=1)
    output = perfect_output(targets)._replace(velocity=velocity)
    return loss_of(output, targets, beta)[1]


@pytest.mark.parametrize(("speed", "value"), [(3.0, 9 / 8), (-3.0, 9 / 8), (6.0, 4.0)])
def test_small_velocity_errors_count_by_their_square(speed, value):
    zero = torch.tensor(0.0)
    assert velocity_loss([speed], zero, 4.0).item() == pytest.approx(value, abs=1e-5)
    assert velocity_loss([speed], zero, 0.0).item() == pytest.approx(abs(speed), abs=1e-5)


@pytest.mark.parametrize(("beta", "pull"), [(0.0, 0.4), (10.0, -0.12)])
def test_few_moving_boxes_pull_the_mean_but_not_the_median(beta, pull):
    """Three of ten boxes move at 4 m/s: L1 keeps the prediction at 0, smooth L1 does not."""
    predicted = torch.tensor(1e-4, requires_grad=True)
    velocity_loss([4.0] * 3 + [0.0] * 7, predicted, beta).backward()
    assert predicted.grad.item() == pytest.approx(pull, abs=1e-3)


def test_no_boxes_at_all_still_trains_the_heatmap():
    targets = targets_of([Boxes3D.empty()])
    heatmap = torch.zeros(1, 2, 50, 80, requires_grad=True)
    focal, l1 = loss_of(output_of(heatmap), targets)
    (focal + l1).backward()
    assert l1 == 0 and (heatmap.grad > 0).all()


def test_loss_terms_use_the_configured_weights_and_kind_of_loss():
    car = boxes_at((10.4, 0.4, 0, 4, 2, 1.5, 0, 1, 0, 0))
    car = replace(car, attribute=torch.tensor([ATTRIBUTES.index("vehicle.moving")]))
    gt_boxes = gt_batch([car])
    torch.manual_seed(0)
    config = CenterHeadConfig(shared=4, branch=0, direction_bins=4, attribute_weight=0.1)
    head = config.build(spec(3, GRID))
    outputs = head(features(torch.randn(1, 3, 50, 80)))
    plain = head.loss(outputs, gt_boxes)
    head.config = replace(
        head.config, heatmap_weight=3.0, regression_weight=0.5, attribute_weight=0.4,
        direction_weight=1.0,
    )  # fmt: skip
    weighted = head.loss(outputs, gt_boxes)
    assert plain["attribute"] > 0 and plain["direction"] > 0
    torch.testing.assert_close(weighted["attribute"], 4 * plain["attribute"])
    torch.testing.assert_close(weighted["direction"], 5 * plain["direction"])
    torch.testing.assert_close(weighted["heatmap"], 3 * plain["heatmap"])
    torch.testing.assert_close(weighted["regression"], 2 * plain["regression"])
    kinds = {plain["heatmap"].item()}
    for kind in ("focal", "bce"):
        head.config = replace(head.config, heatmap_weight=1.0, heatmap_loss=HeatmapLoss(kind))
        kinds.add(head.loss(outputs, gt_boxes)["heatmap"].item())
    assert len(kinds) == 3


def test_joined_convolutions_equal_the_separate_branches():
    """One convolution with the weights of all branches gives the same values and gradients."""
    torch.manual_seed(0)
    config = CenterHeadConfig(
        tasks=(("car", "bus"), ("pedestrian",)), shared=4, branch=0, attribute_weight=1.0,
        direction_bins=3,
    )  # fmt: skip
    head = config.build(spec(3, GRID))
    bev = torch.randn(1, 3, 50, 80)
    for group, output in zip(head.tasks, head(features(bev)), strict=True):
        shared = head.shared(bev)
        apart = TaskOutput(**{name: branch(shared) for name, branch in group.items()})
        branches = list(group.parameters())
        given = [torch.randn_like(maps) for maps in apart]
        gradients = []
        for maps in (output, apart):
            total = sum((m * g).sum() for m, g in zip(maps, given, strict=True))
            gradients.append(torch.autograd.grad(total, branches, retain_graph=True))
        torch.testing.assert_close(tuple(output), tuple(apart))
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_loss_waits_for_the_gpu_once():
    rows = [(2.4 * i, 0.4, 0, 4, 2, 1.5, 0, 1, 0, (0, 8)[i % 2]) for i in range(6)]
    batch = gt_batch([boxes_at(*rows), Boxes3D.empty(), boxes_at(*rows)]).to("cuda")
    head = CenterHeadConfig(shared=8).build(spec(4, GRID)).cuda()
    output = head(features(torch.randn(3, 4, 50, 80, device="cuda")))
    head.loss(output, batch)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            terms = head.loss(output, batch)
            sum(terms.values()).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [w for w in caught if "called a synchronizing" in str(w.message)]
    assert len(waits) == 1, [f"{w.filename}:{w.lineno}" for w in waits]
