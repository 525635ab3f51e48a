"""Gradient checkpointing: the same training step with less memory."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from bev.errors import ConfigError
from bev.models import BackboneConfig, BevEncoderConfig
from bev.models.recompute import blocks, recompute


def kept_bytes(module, function):
    """Result of the function, and the bytes kept for its backward pass besides the weights."""
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # alive: no address is reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function()
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    return result, sum(nbytes for pointer, (nbytes, _) in kept.items() if pointer not in own)


def step(config, batch):
    """Loss, gradients and buffers after a training step, and the bytes kept for its backward."""
    torch.manual_seed(0)
    model = config.build().train()
    loss, size = kept_bytes(model, lambda: sum(model.loss(batch).values()))
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return loss, gradients, dict(model.named_buffers()), size


@pytest.fixture()
def on(small):
    return replace(
        small,
        backbone=replace(small.backbone, checkpointing=True),
        encoder=replace(small.encoder, checkpointing=True),
    )


def test_a_step_is_the_same_and_keeps_fewer_bytes(small, on, batch):
    """Gradients and statistics of batch norm are equal bit by bit; saved tensors are counted."""
    loss, gradients, buffers, size = step(small, batch)
    again, *parts, less = step(on, batch)
    assert torch.equal(loss, again)
    for ours, theirs in zip(parts, (gradients, buffers), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert torch.equal(value, theirs[name]), name
    assert any("num_batches_tracked" in name for name in buffers)
    assert less < 0.9 * size


@pytest.mark.parametrize(
    ("config", "inputs"),
    [
        (BackboneConfig("resnet34", pretrained=False), torch.zeros(2, 3, 64, 96).byte()),
        (BevEncoderConfig((16, 32, 64), 3, 32, 16), torch.randn(1, 8, 48, 64)),
    ],
)
def test_kept_bytes_shrink_to_the_inputs_of_blocks(config, inputs):
    sizes = []
    for again in (False, True):
        own = replace(config, checkpointing=again)
        module = own.build(8) if isinstance(config, BevEncoderConfig) else own.build()
        sizes.append(kept_bytes(module, lambda module=module: module(inputs))[1])
    assert sizes[1] < 0.5 * sizes[0]


def test_plain_torch_checkpointing_counts_batches_twice():
    """``recompute`` counts each batch once."""
    images = torch.randn(2, 3, 8, 8)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    checkpoint(model, images, use_reentrant=False).sum().backward()
    assert model[1].num_batches_tracked == 2
    recompute([model])
    model(images).sum().backward()
    assert model[1].num_batches_tracked == 3


def test_a_copy_recomputes_itself_and_not_the_original():
    """Averaged weights are such a copy."""
    inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    recompute([inner])
    twin = copy.deepcopy(inner)
    with torch.no_grad():
        twin[0].weight.zero_()
        twin[0].bias.fill_(3.0)
    assert torch.equal(twin(torch.ones(1, 2)), torch.full((1, 2), 3.0))
    twin(torch.ones(1, 2)).sum().backward()
    assert twin[0].bias.grad is not None and inner[0].bias.grad is None


def test_dropout_draws_the_same_in_both_runs():
    def gradient(again):
        torch.manual_seed(3)
        layer = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
        if again:
            recompute([layer])
        layer(torch.ones(4, 8)).square().sum().backward()
        return layer[0].weight.grad

    assert torch.equal(gradient(True), gradient(False))


def test_evaluation_and_no_grad_run_once():
    calls = []
    layer = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    layer[0].register_forward_hook(lambda *_: calls.append(1))
    recompute([layer])
    layer.eval()(torch.ones(1, 2)).sum().backward()
    assert len(calls) == 1
    with torch.no_grad():
        layer.train()(torch.ones(1, 2))
    assert len(calls) == 2
    layer(torch.ones(1, 2)).sum().backward()
    assert len(calls) == 4


@pytest.mark.parametrize(
    "name",
    ["resnet10t", "efficientnet_b0", "convnext_atto", "regnety_002", "vit_tiny_patch16_224"],
)
def test_backbones_of_every_kind_recompute_their_blocks(name):
    vit = name.startswith("vit")
    config = BackboneConfig(name, pretrained=False, strides=(16,))
    images = torch.randint(0, 255, (1 if vit else 2, 3, *((224, 224) if vit else (64, 96))))

    def gradients(again):
        torch.manual_seed(0)
        backbone = replace(config, checkpointing=again).build()
        torch.manual_seed(0)  # stochastic depth draws
        runs, inside = [], list(blocks(getattr(backbone.body, "model", backbone.body)))[1]
        next(m for m in inside.modules() if not list(m.children())).register_forward_hook(
            lambda *_: runs.append(1)
        )
        sum(level.square().mean() for level in backbone(images.to(torch.uint8))).backward()
        return [p.grad for p in backbone.parameters()] + list(backbone.buffers()), len(runs)

    (plain, once), (ours, twice) = gradients(False), gradients(True)
    assert (once, twice) == (1, 2)
    for pair in zip(plain, ours, strict=True):
        assert torch.equal(*pair) if pair[0] is not None else pair[1] is None


def test_a_backbone_whose_features_are_taken_by_hooks_is_named():
    name = "legacy_xception"
    with pytest.raises(ConfigError, match=rf"{name} has no blocks .*no-checkpointing"):
        BackboneConfig(name, pretrained=False, strides=(16,), checkpointing=True).build()
