"""Comparison of an exported detector with the detector itself."""

from dataclasses import replace

import torch

from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.training.checkpoint import load_checkpoint


def opened(path, root=None, places=(1, 2)):
    """Settings, model, and a batch of validation frames."""
    config, model = load_checkpoint(path)
    data = config.data if root is None else replace(config.data, root=root)
    data = replace(data, lidar=False, workers=0)
    frames = KeyFrames(data.source.open(data).frames(data.splits[1]), data, training=False)
    return replace(config, data=data), model, collate([frames[n] for n in places])


def agree(want, got):
    """Check that boxes are equal; those of equal scores in any order.

    To 1 mm, 1 mrad and 1 mm/s, scores to 1e-4.
    """
    assert sum(map(len, want)) > 3
    for a, b in zip(want, got, strict=True):
        assert len(a) == len(b)
        apart = torch.cdist(a.center, b.center) + 1000.0 * (a.label[:, None] != b.label)
        order = apart.argmin(dim=1)
        assert len(order.unique()) == len(a)
        b = b[order]
        torch.testing.assert_close(b.center, a.center, rtol=0, atol=1e-3)
        torch.testing.assert_close(b.size, a.size, rtol=0, atol=1e-3)
        turn = torch.remainder(b.yaw - a.yaw + torch.pi, 2 * torch.pi) - torch.pi
        torch.testing.assert_close(turn, torch.zeros_like(turn), rtol=0, atol=1e-3)
        torch.testing.assert_close(b.velocity, a.velocity, rtol=0, atol=1e-3)
        torch.testing.assert_close(b.score, a.score, rtol=0, atol=1e-4)
        assert torch.equal(a.label, b.label) and torch.equal(a.attribute, b.attribute)
