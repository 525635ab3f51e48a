"""What networks compute: exact small cases, and every picture of every kind of view transform."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shrunken import shrunken

from bev.config import load_file
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.errors import BevError, ConfigError, DataError
from bev.geometry import Boxes3D
from bev.visualization.colors import DARK, LIGHT
from bev.visualization.internals.contributions import camera_contributions
from bev.visualization.internals.depth import depth_entropy, expected_depth
from bev.visualization.internals.features import component_colors, energy, principal_components
from bev.visualization.internals.heatmaps import class_heatmaps, marks
from bev.visualization.internals.kinds import KINDS
from bev.visualization.internals.layers import activation, draw_layer
from bev.visualization.internals.panels import Scale, over_image
from bev.visualization.internals.run import Sample, internals_of

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture(scope="module")
def sample(synthetic_world):
    """Function from the name of a config to its shrunken model, a frame and its batch."""
    made = {}

    def make(name: str):
        if name not in made:
            config = shrunken(load_file(CONFIGS / f"{name}.py"))
            data = replace(config.data, root=synthetic_world, lidar=True)
            frames = data.source.open(data).frames(data.splits[1])
            torch.manual_seed(3)
            model = config.model.build()
            made[name] = model, frames[2], KeyFrames(frames, data, training=False)[2]
        return made[name]

    return make


def test_expected_depth_and_entropy_of_worked_distributions():
    depths = torch.tensor([10.0, 20.0, 40.0, 50.0])
    certain = torch.tensor([0.0, 0.0, 200.0, 0.0])
    even = torch.zeros(4)
    half = torch.tensor([math.log(3), -200.0, -200.0, 0.0])
    logits = torch.stack([certain, even, half])
    assert expected_depth(logits, depths).tolist() == pytest.approx([40, 30, 20])
    quarter = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert depth_entropy(logits).tolist() == pytest.approx([0, 2, quarter], abs=1e-5)


def test_principal_components_are_those_of_the_data_with_a_fixed_sign():
    torch.manual_seed(0)
    hidden = torch.randn(2, 8, 9, dtype=torch.float64) * torch.tensor([5.0, 1.0]).view(2, 1, 1)
    hidden -= hidden.mean(dim=(1, 2), keepdim=True)
    basis = torch.linalg.qr(torch.randn(6, 2, dtype=torch.float64))[0]
    features = torch.einsum("ck,kyx->cyx", basis, hidden) + 3.0
    components = principal_components(features)
    # Two directions carry everything; the projections keep all distances between cells.
    assert components[2].abs().max() < 1e-9
    flat, cells = components[:2].flatten(1).T, features.flatten(1).T
    assert torch.allclose(torch.cdist(flat, flat), torch.cdist(cells, cells), atol=1e-6)
    assert components[0].std() > components[1].std()
    assert torch.allclose(principal_components(features.flip(0)).abs(), components.abs(), atol=1e-8)
    assert torch.allclose(principal_components(features * 2), components * 2)
    # The sign follows the loading with the largest magnitude.
    assert torch.allclose(principal_components(-features), -components)
    narrow = principal_components(torch.randn(1, 3, 4))
    assert narrow.shape == (3, 3, 4) and (narrow[1:] == 0).all()
    assert component_colors(features).shape == (8, 9, 3)


def test_energy_is_the_root_mean_square():
    features = torch.tensor([3.0, -4.0, 0.0, 5.0]).view(4, 1, 1)
    assert energy(features).item() == pytest.approx(math.sqrt(50 / 4))


def test_scales_run_from_end_to_end():
    scale = Scale(2.0, 6.0, "m", "gray")
    assert scale.colors(torch.tensor([0.0, 2.0, 4.0, 9.0]))[:, 0].tolist() == [0, 0, 128, 255]
    turned = replace(scale, reverse=True)
    assert turned.colors(torch.tensor([2.0, 6.0]))[:, 0].tolist() == [255, 0]


def test_cells_lie_over_their_pixels():
    """A map of 2 x 3 cells of 8 pixels is centred in an input of 20 x 24, shown at half size."""
    image = np.zeros((10, 12, 3), np.uint8)
    colors = np.zeros((2, 3, 3), np.uint8)
    colors[1, 2] = 200
    shown = over_image(image, colors, (20, 24), 8.0, 1.0)[..., 0]
    rows, columns = shown.nonzero()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 8, 8, 11)


@pytest.mark.parametrize("name", ["lss_synthetic", "bevdet4d_synthetic", "dual_view_synthetic"])
def test_the_cameras_contributions_sum_to_the_bev(sample, name):
    model, _, batch = sample(name)
    parts = camera_contributions(model, internals_of(model, batch))
    assert parts.shape[0] == batch.views.images.shape[1]
    whole = internals_of(model, batch).view.bev[0]
    if name == "dual_view_synthetic":  # the part of the forward projection
        lifted = []
        handle = model.view.lift.register_forward_hook(lambda *a: lifted.append(a[2].bev[0]))
        internals_of(model, batch)
        handle.remove()
        whole = lifted[0]
    assert whole.abs().max() > 1e-3
    assert torch.allclose(parts.sum(dim=0), whole, atol=1e-5 * float(whole.abs().max()) + 1e-7)
    assert all(part.abs().max() > 0 for part in parts)


def test_voxel_sampling_has_no_contributions_and_no_depth(sample):
    model, frame, batch = sample("simplebev_synthetic")
    with pytest.raises(ConfigError, match="VoxelSamplingConfig is no sum over cameras"):
        KINDS["cameras"](Sample(model, frame, batch))
    with pytest.raises(ConfigError, match="VoxelSamplingConfig predicts no depth"):
        KINDS["depth"](Sample(model, frame, batch))


def test_depth_targets_need_points(sample):
    model, frame, batch = sample("lss_synthetic")
    with pytest.raises(DataError, match=f"{frame.token} has none"):
        KINDS["depth-targets"](Sample(model, frame, replace(batch, lidar=[torch.zeros(0, 3)])))


def test_marks_of_small_objects_leave_their_peaks_visible():
    """A mark of 2.4 m around a pedestrian, in its place; of a bus its own size; no arrows."""
    centers, sizes = (
        torch.tensor([[4.0, 8.0, 1.0]] * 2),
        torch.tensor([[0.7, 0.6, 1.7], [11, 3, 3]]),
    )
    boxes = Boxes3D.make(centers, sizes, torch.zeros(2), velocity=torch.ones(2, 2))
    marked = marks(boxes)
    assert torch.equal(marked.center, boxes.center) and not marked.velocity.any()
    assert torch.allclose(marked.size[:, :2], torch.tensor([[2.4, 2.4], [11.0, 3.0]]))


def test_heatmaps_are_those_of_the_classes(sample):
    model, _, batch = sample("lss_synthetic")
    output = internals_of(model, batch).prediction.output.heads
    heatmaps = class_heatmaps(model, output)
    classes = model.head.classes
    assert tuple(heatmaps) == tuple(name for task in classes for name in task)
    last = output["head"][-1].heatmap[0, -1].sigmoid()
    assert torch.allclose(heatmaps[classes[-1][-1]], last)


def test_a_layer_is_recorded_at_its_first_call(sample):
    """The activation of a temporal model is that of the sample, not of an adjacent frame."""
    model, _, batch = sample("bevdet4d_synthetic")
    found = activation(model, batch, "neck")
    own = model.eval()._image_features(batch.views.images, None)[0]
    assert torch.allclose(found, own, atol=1e-5)
    encoded = activation(model, batch, "encoder")
    assert torch.equal(encoded[0], internals_of(model, batch).prediction.output.features.bev[0])


def test_names_of_layers_may_leave_parts_out_and_unknown_ones_name_the_nearest(sample):
    model, frame, batch = sample("lss_synthetic")
    full = [name for name in dict(model.named_modules()) if name.endswith(".layer2")]
    assert torch.equal(
        activation(model, batch, "backbone.layer2"), activation(model, batch, full[0])
    )
    with pytest.raises(ConfigError, match=r"no layer 'backbon.layer2'; the nearest are .*layer2"):
        draw_layer(Sample(model, frame, batch), "backbon.layer2")
    with pytest.raises(ConfigError, match="no layer ''"):
        draw_layer(Sample(model, frame, batch), "")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("lss_synthetic", "depth depth-targets features heatmaps cameras neck encoder"),
        pytest.param(
            "bevdet4d_synthetic", "depth features heatmaps cameras backbone.layer1",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "dual_view_synthetic", "depth features heatmaps cameras view.gate.cell",
            marks=pytest.mark.slow,
        ),
        ("simplebev_synthetic", "features view"),
        ("lss_seg_synthetic", "maps"),
    ],
)  # fmt: skip
def test_every_picture_is_drawn_in_both_themes(sample, name, kinds):
    model, frame, batch = sample(name)
    model.train()
    for kind in kinds.split():
        pictures = []
        for theme in (DARK, LIGHT):
            drawn = Sample(model, frame, batch, 160, theme)
            picture = KINDS[kind](drawn) if kind in KINDS else draw_layer(drawn, kind)
            assert picture.dtype == np.uint8 and picture.std() > 5
            assert (picture[-1] == theme.background).all()
            pictures.append(picture)
        assert pictures[0].shape == pictures[1].shape
    assert model.training  # as it was


def test_pictures_show_one_sample(sample):
    model, frame, batch = sample("lss_synthetic")
    with pytest.raises(BevError, match="holds 2 samples"):
        KINDS["features"](Sample(model, frame, collate([batch, batch])))
