"""Batch norms are folded where the convolution before them has no other use, and only there."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from bev.models import BackboneConfig, BevEncoderConfig
from bev.models.folding import fold_batch_norms
from bev.models.layers import BATCH_NORMS


def lived(module: nn.Module) -> nn.Module:
    """A module in evaluation mode whose batch norms have statistics and weights of all sizes."""
    for norm in module.modules():
        if isinstance(norm, BATCH_NORMS) and norm.running_mean is not None:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.2, 3.0)
            if norm.affine:
                nn.init.normal_(norm.weight)
                nn.init.normal_(norm.bias)
    return module.eval()


def norms(module: nn.Module) -> int:
    return sum(isinstance(one, BATCH_NORMS) for one in module.modules())


def folded_equals(module: nn.Module, x: torch.Tensor) -> int:
    """Fold the batch norms of a module, and check its outputs; returns how many were folded."""
    with torch.no_grad():
        before = module(x)
        found = fold_batch_norms(module)
        after = module(x)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    return found


def test_a_worked_pair():
    layers = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 1, 1), norm=nn.BatchNorm2d(1, eps=0.0)))
    layers.eval()
    values = {
        "conv.weight": 3.0, "conv.bias": 1.0, "norm.weight": 10.0, "norm.bias": -4.0,
        "norm.running_mean": 2.0, "norm.running_var": 4.0,
    }  # fmt: skip
    for name, value in values.items():
        nn.init.constant_(layers.state_dict()[name], value)
    assert fold_batch_norms(layers) == 1
    # 10 (3 x + 1 - 2) / sqrt(4) - 4 = 15 x - 9
    assert layers.conv.weight.item() == 15 and layers.conv.bias.item() == -9
    assert isinstance(layers.norm, nn.Identity)


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0", "regnetx_002"])
def test_all_batch_norms_of_backbones_are_folded(name):
    backbone = lived(BackboneConfig(name, pretrained=False).build())
    images = torch.randint(0, 255, (1, 3, 64, 96), dtype=torch.uint8)
    assert folded_equals(backbone, images) > 10
    assert norms(backbone) == 0


def test_all_batch_norms_of_the_encoder_are_folded():
    encoder = lived(BevEncoderConfig((8, 8, 16), 2, 8, 8, skip=True).build(6))
    assert folded_equals(encoder, torch.randn(1, 6, 32, 32)) == norms_of_encoder()
    assert norms(encoder) == 0


def norms_of_encoder() -> int:
    return 3 * 2 * 2 + 2 + 1  # stages, blocks and convolutions; join; output


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions_are_folded_unless_grouped(groups):
    layers = [nn.ConvTranspose2d(4, 6, 3, 2, groups=groups, bias=False), nn.BatchNorm2d(6)]
    assert folded_equals(lived(nn.Sequential(*layers)), torch.randn(1, 4, 5, 5)) == (groups == 1)


class _Uses(nn.Module):
    """A convolution and a batch norm that are used in a way that forbids folding."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.conv, self.norm = way, nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.late = nn.BatchNorm2d(3)

    def forward(self, x):
        if self.way == "branches":
            y = self.conv(x)
            return self.norm(y) + y
        if self.way == "norm twice":
            return self.norm(self.norm(self.conv(x)))
        if self.way == "convolution twice":
            return self.late(self.conv(self.norm(self.conv(x))))
        if self.way == "weight read":
            return self.norm(self.conv(x)) + self.conv.weight.sum()
        if self.way == "activation between":
            return self.norm(self.conv(x).relu())
        return self.norm(self.conv(x)) if x.sum() > 0 else x  # cannot be traced


@pytest.mark.parametrize(
    "way",
    [
        "branches",
        "norm twice",
        "convolution twice",
        "weight read",
        "activation between",
        "untraced",
    ],
)
def test_other_uses_are_left_alone(way):
    assert folded_equals(lived(_Uses(way)), torch.rand(1, 3, 4, 4)) == 0


def test_shared_hooked_and_parametrised_convolutions_are_left_alone():
    conv = nn.Conv2d(3, 3, 1)
    twice = nn.ModuleList([nn.Sequential(conv, nn.BatchNorm2d(3)) for _ in range(2)])
    hooked = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    hooked[0].register_forward_hook(lambda *_: None)
    scaled = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1)))
    scaled.append(nn.BatchNorm2d(3))
    tied = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(2)])
    tied[0][0].weight = tied[1][0].weight
    untracked = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False))
    for module in (twice, hooked, scaled, tied, untracked):
        assert fold_batch_norms(lived(module)) == 0


class OnApple(torch.Tensor):
    """Stands for a tensor on Apple's GPU, which has no float64."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.double:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        found = super().__torch_function__(func, types, args, kwargs or {})
        return found.as_subclass(torch.Tensor) if func is torch.Tensor.cpu else found


def test_a_device_without_float64():
    layers = lived(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    x = torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        before = layers(x)
    norm = layers[1]
    norm.running_mean, norm.running_var = (
        tensor.as_subclass(OnApple) for tensor in (norm.running_mean, norm.running_var)
    )
    assert fold_batch_norms(layers) == 1
    torch.testing.assert_close(layers(x), before, rtol=1e-5, atol=1e-5)


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match="evaluation mode"):
        fold_batch_norms(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
