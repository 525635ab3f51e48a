"""Lift-splat on a folder of one's own: a rig, images and a file of boxes for each sequence.

bevlab train folder --data.root DIR

The classes and cameras are those of DIR (docs/folder.md). The network is that of ``lss_r50``, for a
grid of 51 m around a vehicle; ``--model.grid`` and ``--model.view.depth`` fit it to a robot.
"""

from dataclasses import replace
from pathlib import Path

from lss_r50 import config as base

from bev.data.folder import FolderSource

head = replace(base.model.head, attribute_weight=0.0)
config = replace(
    base,
    model=replace(base.model, head=head),
    data=replace(base.data, source=FolderSource(), root=Path("data/folder")),
)
