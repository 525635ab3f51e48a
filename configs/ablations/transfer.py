"""Transfer: all ten classes from a model trained on five, against training from scratch.

2000 steps for each variant, 8 to 10 minutes on two cores, after as many for the five classes:

    python tools/train.py configs/lss_half_synthetic.py --train.run-name pretrained
    python tools/ablate.py configs/ablations/transfer.py

``random weights, twice as long`` has the steps of both trainings.
"""

from dataclasses import replace
from pathlib import Path

from family import short
from finetune_synthetic import config as staged

from bev.config import Experiment
from bev.lab.ablation import Study
from bev.training.settings import InitConfig

WEIGHTS = Path("runs/lss_half_synthetic/pretrained/checkpoints/last.ckpt")


def fine_tuned(config: Experiment) -> Experiment:
    return replace(config, train=replace(config.train, init=InitConfig(WEIGHTS)))


def head_first(config: Experiment) -> Experiment:
    return replace(config, train=replace(config.train, stages=staged.train.stages))


study = Study(
    short,
    {
        "random weights": "",
        "random weights, twice as long": "--train.max-steps 4000",
        "fine-tuned": fine_tuned,
        "fine-tuned, head first": (fine_tuned, head_first),
    },
)
