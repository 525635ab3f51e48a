"""Lift-splat on the data of ``warehouse_source.py``: a minimal config for a custom data source.

bevlab train docs/examples/warehouse.py --data.root DIR
"""

from pathlib import Path

from warehouse_source import WarehouseConfig

from bev.config import Experiment
from bev.data.augmentation import BevAugmentation, ImageAugmentation
from bev.data.settings import DataConfig
from bev.geometry import BevGrid
from bev.models import BackboneConfig, DepthBins, DetectorConfig, FpnConfig, LiftSplatConfig
from bev.training.settings import TrainConfig

config = Experiment(
    model=DetectorConfig(
        backbone=BackboneConfig("resnet18", strides=(8, 16, 32)),
        neck=FpnConfig(channels=128),
        grid=BevGrid(x=(-12.8, 12.8, 0.2), y=(-12.8, 12.8, 0.2), z=(-1.0, 4.0, 5.0)),
        view=LiftSplatConfig(depth=DepthBins(0.5, 18.0, 0.25), channels=64),
    ),
    data=DataConfig(
        source=WarehouseConfig(),
        root=Path("data/warehouse"),
        image_size=(192, 320),
        image_augmentation=ImageAugmentation(scale=(-0.06, 0.11), flip="mirror"),
        bev_augmentation=BevAugmentation(rotation=22.5, scale=(0.95, 1.05)),
    ),
    train=TrainConfig(epochs=24),
)
