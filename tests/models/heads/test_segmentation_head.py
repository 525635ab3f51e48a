"""The segmentation head: ground truth, loss, flips, and the detector with and without boxes."""

import math
from dataclasses import replace

import pytest
import torch
from specs import features, gt_batch, spec
from torch.nn import functional as F

from bev.data.nuscenes.classes import LAYERS, NUSCENES
from bev.data.settings import DataConfig, PolygonConfig
from bev.errors import ConfigError, DataError
from bev.evaluation.segmentation import SegmentationSums
from bev.geometry import BevGrid, Boxes3D, Polygons
from bev.models import CenterHeadConfig, FeatureCache, SegmentationHeadConfig
from bev.models.flip_tta import averaged_logits, flipped

GRID = BevGrid(x=(-2.0, 4.0, 1.0), y=(-5.0, 3.0, 1.0), z=(-4.0, 4.0, 8.0))  # 6 columns, 8 rows
VEHICLE, ROAD = LAYERS.index("vehicle"), LAYERS.index("drivable_area")


def box(x=0.5, y=0.5, visibility=0) -> Boxes3D:
    return Boxes3D.make(
        torch.tensor([[x, y, 0.0]]), torch.tensor([[2.5, 1.5, 1.0]]), torch.zeros(1),
        visibility=torch.tensor([visibility]),
    )  # fmt: skip


def figures(config, found, batch, layers=("vehicle",)) -> dict[str, float]:
    """Metrics of the maps of one batch, with data of these layers."""
    data = DataConfig(polygons=PolygonConfig(layers))
    measured = SegmentationSums(config.segmentation, "segmentation", config, data)
    return measured.figures(measured.measure(found, batch).numpy().sum(0))


@pytest.fixture()
def seen(batch):
    """The batch of two samples, with a vehicle in the first."""
    vehicles = batch.boxes[0][:1]
    return replace(batch, polygons=[Polygons.of_boxes(vehicles, VEHICLE), Polygons.empty()])


@pytest.fixture()
def alone(small):
    """A detector config with segmentation and without boxes."""
    return replace(
        small,
        head=CenterHeadConfig(tasks=()),
        segmentation=SegmentationHeadConfig(("vehicle",), hidden=8),
    )


def test_the_loss_of_worked_cells():
    """One vehicle covers 3 x 1 of 48 cells, the second layer nothing; weights 2 and 0.5."""
    config = SegmentationHeadConfig(
        ("vehicle", "drivable_area"), positive_weight=3.0, weight=(2.0, 0.5)
    )
    head = config.build(spec(4, GRID))
    batch = gt_batch(polygons=[Polygons.of_boxes(box(), VEHICLE)])
    ground_truth = config.ground_truth(batch.polygons, GRID, NUSCENES)
    assert ground_truth.flatten(2).sum(2).tolist() == [[3, 0]]
    logits = torch.full((1, 2, 8, 6), 0.7)
    terms = head.loss(logits, batch)
    on, off = -math.log(1 / (1 + math.exp(-0.7))), -math.log(1 - 1 / (1 + math.exp(-0.7)))
    assert terms["bev_vehicle"].item() == pytest.approx(2 * (3 * 3 * on + 45 * off) / 48, rel=1e-5)
    assert terms["bev_drivable_area"].item() == pytest.approx(0.5 * off, rel=1e-5)
    focal = replace(config, loss="focal").build(spec(4, GRID)).loss(logits, batch)["bev_vehicle"]
    p = math.exp(-on)
    expected = 0.25 * (1 - p) ** 2 * 3 * on + 0.75 * p**2 * 45 * off
    assert focal.item() == pytest.approx(2 * expected / 48, rel=1e-5)


def test_min_visibility_leaves_out_barely_visible_vehicles():
    polygons = [Polygons.of_boxes(box(visibility=level), VEHICLE) for level in (0, 1, 2)]
    logits = torch.zeros(3, 1, 8, 6, requires_grad=True)
    head = SegmentationHeadConfig(("vehicle",), min_visibility=2).build(spec(4, GRID))
    head.loss(logits, gt_batch(polygons=polygons))["bev_vehicle"].backward()
    assert (logits.grad < 0).flatten(1).sum(1).tolist() == [3, 0, 3]
    assert SegmentationHeadConfig(("vehicle",)).ground_truth(polygons, GRID, NUSCENES).sum() == 9


def test_coarse_features_are_resized_to_the_grid():
    head = SegmentationHeadConfig(("vehicle",), hidden=0).build(spec(4, GRID))
    for rows, columns in ((4, 3), (8, 6)):
        assert head(features(torch.randn(2, 4, rows, columns))).shape == (2, 1, 8, 6)


def test_segmentation_alone_has_no_boxes_and_no_unused_parameters(alone, seen):
    model = alone.build()
    terms = model.loss(seen)
    assert set(terms) == {"bev_vehicle"}
    sum(terms.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    found = model.eval().predict(seen)
    assert [len(boxes) for boxes in found.boxes] == [0, 0]
    maps = found.results["segmentation"]
    assert maps.shape == (2, 1, 32, 40)
    assert torch.equal(maps, model.predict(seen, FeatureCache()).results["segmentation"])


def test_detection_and_segmentation_train_together(small, seen):
    config = replace(small, segmentation=SegmentationHeadConfig(("vehicle",), hidden=8))
    both = config.build()
    terms = both.loss(seen)
    assert set(terms) == {"heatmap", "regression", "bev_vehicle"}
    sum(terms.values()).backward()
    assert all(p.grad is not None for p in both.parameters())
    assert "segmentation" not in small.build()(seen).heads
    found = both.eval().predict(seen).results["segmentation"]
    assert figures(config, found, seen) and figures(config, found, seen, layers=()) == {}


def test_a_small_network_overfits_one_batch(alone, batch):
    """An IoU above 0.9 needs correct ground truth, loss, head and metric."""
    vehicles = Boxes3D.make(
        torch.tensor([[8.0, 3.0, 0.8], [15.0, -6.0, 1.0], [-6.0, 8.0, 0.8]]),
        torch.tensor([[6.5, 3.9, 1.6], [8.0, 4.0, 2.5], [5.0, 5.0, 1.5]]),
        torch.tensor([0.3, -2.0, 1.0]),
    )
    ground_truth = [
        Polygons.of_boxes(vehicles[part], VEHICLE) for part in (slice(0, 2), slice(2, 3))
    ]
    data = replace(batch, polygons=ground_truth)
    torch.manual_seed(0)
    backbone = replace(alone.backbone, channels=(8, 16, 16, 16), stem=8)
    head = SegmentationHeadConfig(("vehicle",), positive_weight=1.0)
    config = replace(alone, backbone=backbone, segmentation=head)
    model = config.build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        sum(model.loss(data).values()).backward()
        optimizer.step()
    maps = model.predict(data).results["segmentation"]  # batch statistics
    found = figures(config, maps, data)
    assert found["IoU_vehicle"] > 0.9 and found["mIoU"] == found["IoU_vehicle"]


def test_flip_tta_of_a_flipped_scene_flips_the_maps(alone, seen):
    """The maps predicted for a mirrored scene are the mirrored maps of the scene."""
    symmetric = replace(alone, grid=replace(alone.grid, y=(-16.0, 16.0, 1.0)))
    torch.manual_seed(0)
    model = replace(symmetric, flip_tta=True).build().eval()
    one, other = (model.predict(b).results["segmentation"] for b in (seen, flipped(seen)))
    assert torch.allclose(one, other.flip(2), atol=1e-4) and one.std() > 0
    assert not torch.allclose(one, model.predict(seen).output.heads["segmentation"], atol=1e-3)
    ground_truth, turned = (
        symmetric.segmentation.ground_truth(b.polygons, symmetric.grid, NUSCENES)
        for b in (seen, flipped(seen))
    )
    assert torch.equal(turned, ground_truth.flip(2))
    logits = torch.tensor([-1.0, 2.0]).view(2, 1, 1, 1)
    mean = (F.sigmoid(logits[0]) + F.sigmoid(logits[1])) / 2
    found = averaged_logits(logits[:1], logits[1:])
    assert found.sigmoid().item() == pytest.approx(mean.item())


def test_settings_and_batches_that_do_not_fit_are_refused(alone, batch):
    with pytest.raises(ConfigError, match="'car' is unknown"):
        SegmentationHeadConfig(("car",)).build(spec(4, GRID))
    with pytest.raises(ConfigError, match="'vehicle' is named twice"):
        SegmentationHeadConfig(("vehicle", "vehicle")).build(spec(4, GRID))
    with pytest.raises(ConfigError, match="2 numbers for 1 layers"):
        SegmentationHeadConfig(("vehicle",), weight=(1.0, 2.0))
    with pytest.raises(ConfigError, match="min_visibility is 0; set 1 for all"):
        SegmentationHeadConfig(("vehicle",), min_visibility=0)
    with pytest.raises(ConfigError, match="The model predicts nothing"):
        replace(alone, segmentation=SegmentationHeadConfig())
    with pytest.raises(DataError, match=r"--data\.polygons\.layers vehicle"):
        alone.build().loss(batch)
