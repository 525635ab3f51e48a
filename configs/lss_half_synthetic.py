"""``lss_synthetic`` with five of the ten classes: the start of fine-tuning to all ten.

``configs/ablations/transfer.py`` measures the benefit of starting from it.
"""

from dataclasses import replace

from lss_synthetic import config as base

classes = ("car", "bus", "barrier", "bicycle", "pedestrian")
head = replace(base.model.head, tasks=(classes,))
train = replace(base.train, max_steps=2000, validate_every=4)
config = replace(base, model=replace(base.model, head=head), train=train)
