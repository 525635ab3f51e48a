"""Optimisers and schedules, each with its own learning rate."""

from dataclasses import replace
from functools import partial

import torch
from lss_synthetic import config as base
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, OneCycleLR

from bev.config import Experiment
from bev.lab.ablation import Study


def cosine(config: Experiment) -> Experiment:
    return replace(config, train=replace(config.train, schedule=CosineAnnealingLR))


def sgd(config: Experiment) -> Experiment:
    optimizer = partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    return replace(config, train=replace(config.train, optimizer=optimizer, weight_decay=1e-4))


def one_cycle(config: Experiment) -> Experiment:
    """OneCycleLR has a warmup of its own."""
    schedule = partial(OneCycleLR, pct_start=0.3)
    return replace(config, train=replace(config.train, schedule=schedule, warmup_steps=0))


def constant(config: Experiment) -> Experiment:
    schedule = partial(ConstantLR, factor=1.0)
    return replace(config, train=replace(config.train, schedule=schedule))


study = Study(
    base,
    {
        "AdamW, cosine": cosine,
        "AdamW, constant": constant,
        "AdamW, one cycle": one_cycle,
        "Muon and AdamW, cosine": (cosine, "--train.optimizer MuonAdamW --train.lr 4e-3"),
        "SGD, cosine": (sgd, cosine, "--train.lr 0.02"),
        "SGD, one cycle": (sgd, one_cycle, "--train.lr 0.05"),
        "NAdam, cosine": (cosine, "--train.optimizer NAdam(decoupled_weight_decay=True)"),
    },
)
