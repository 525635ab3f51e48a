"""Fine-tuning: ``lss_synthetic`` from the weights of another run, first the head, then all.

    python tools/train.py configs/finetune_synthetic.py --train.init.weights CHECKPOINT

The head trains alone for the first fifth of the steps; then everything trains, the backbone at a
tenth of the learning rate. The weights may come from a model with other classes: rows of the head
are copied by class name. Measured without the first stage: see ``docs/results.md``.
"""

from dataclasses import replace

from lss_synthetic import config as base

from bev.training.settings import StageConfig

train = replace(
    base.train,
    max_steps=2000,
    lr=1e-3,
    stages=(
        StageConfig(only=("head",)),
        StageConfig(0.2, rates=(("backbone", 0.1),)),
    ),
)
config = replace(base, train=train)
