"""Adjacent frames: their number and spacing, and the resulting velocity error.

All variants start from the weights of the same one-frame network. Its image branch is frozen; the
BEV encoder and the head train for 1000 steps on the adjacent frames:

    python tools/train.py configs/bevdet4d_synthetic.py --train.run-name alone \\
        --model.temporal.num-adjacent 0 --data.adjacent.previous 0 \\
        --train.max-steps 2500 --train.epochs 5
    python tools/ablate.py configs/ablations/frames.py
"""

from dataclasses import replace
from pathlib import Path

from bevdet4d_synthetic import config as base

from bev.lab.ablation import Study
from bev.models import DepthSupervisionConfig, ImageClassHeadConfig
from bev.training.settings import InitConfig, StageConfig

WEIGHTS = Path("runs/bevdet4d_synthetic/alone/checkpoints/last.ckpt")

RATES = "1 0.5 1.5 -0.5 -1 -1.5"  # playback rates of scenes in training; below 0 backwards

frozen_images = StageConfig(frozen=("backbone", "neck", "view"), fixed_norms=("",))
short = replace(
    base,
    model=replace(
        base.model,
        depth_supervision=DepthSupervisionConfig(0.0),
        image_head=ImageClassHeadConfig(0.0),
        head=replace(base.model.head, velocity_weight=3.0, velocity_beta=1.0),
    ),
    data=replace(base.data, lidar=False),
    train=replace(base.train, epochs=2, max_steps=1000, lr=1e-3, init=InitConfig(WEIGHTS),
                  stages=(frozen_images,)),
)  # fmt: skip


def frames(count: int, step: int) -> str:
    """Flags of ``count`` earlier frames, ``step`` key frames apart."""
    return (
        f"--model.temporal.num-adjacent {count} --data.adjacent.previous {count}"
        f" --data.adjacent.step {step}"
    )


study = Study(
    short,
    {
        "alone": frames(0, 1),
        "1 s before": frames(1, 2),
        "1 s before, other rates": frames(1, 2) + f" --data.adjacent.playback {RATES}",
        "0.5 s and 1 s before": frames(2, 1),
        "1 s and 2 s before": frames(2, 2),
        "0.5 s before": frames(1, 1),
        "1.5 s before": frames(1, 3),
    },
)
