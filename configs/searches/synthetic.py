"""Optimiser, width and depth loss on the synthetic world, at 1000 steps a trial.

AdamW alone has a weight decay, and the loss of the depth bins a kind only where it has a weight.
"""

from dataclasses import replace

from lss_synthetic import config as base

from bev.lab.search import Choice, Float, Int, Pruning, Search, Variants, When

short = replace(base, train=replace(base.train, max_steps=1000, epochs=2, validate_every=1))
WEIGHT = "model.depth_supervision.weight"

search = Search(
    short,
    {
        "optimiser": Variants(
            {
                "AdamW": "--train.optimizer 'AdamW(fused=True)'",
                "SGD": "--train.optimizer 'SGD(momentum=0.9, nesterov=True)'",
            }
        ),
        "train.lr": Float(3e-4, 3e-2, log=True),
        "train.weight_decay": Float(1e-5, 1e-1, log=True, when=When("optimiser", ("AdamW",))),
        "model.view.channels": Int(32, 64, step=16),
        WEIGHT: Choice((0, 0.3, 1, 3)),
        "model.depth_supervision.loss": Choice(("ce", "bce"), when=When(WEIGHT, (0.3, 1, 3))),
    },
    trials=40,
    pruning=Pruning("median", startup=5),
)
