"""Sampling: every frame once, class-balanced (CBGS), or weighted towards rare classes."""

from lss_synthetic import config as base

from bev.lab.ablation import Study

BY = "--data.sampling.by"
RARE = f"{BY} weight --data.sampling.class-weights"

study = Study(
    base,
    {
        "every frame": f"{BY} frame",
        "balanced (CBGS)": f"{BY} class",
        "two-wheelers": f"{RARE} motorcycle 2 bicycle 2",
        "two-wheelers, more": f"{RARE} motorcycle 8 bicycle 8",
    },
)
