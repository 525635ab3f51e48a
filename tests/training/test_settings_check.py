"""Contradictory settings are refused with an error that states what to change."""

from dataclasses import replace

import pytest
from torch.optim.lr_scheduler import CosineAnnealingLR
from torchvision.transforms import v2

from bev.data.adjacent import AdjacentConfig
from bev.errors import ConfigError, TrainingError
from bev.models import DualViewTransformConfig, TemporalConfig
from bev.training.run import train
from bev.training.settings import InitConfig
from bev.training.settings_check import check_settings


def test_contradictory_settings_are_refused(quick):
    sharded = replace(quick, train=replace(quick.train, strategy="fsdp"))
    with pytest.raises(TrainingError, match="--train.ema 0"):
        check_settings(sharded)
    with pytest.raises(TrainingError, match="--train.max-grad-norm 0"):
        check_settings(replace(sharded, train=replace(sharded.train, ema=0.0)))
    endless = replace(quick.train, max_minutes=1.0, schedule=CosineAnnealingLR)
    with pytest.raises(TrainingError, match="--train.max-steps"):
        check_settings(replace(quick, train=endless))
    again = replace(quick.model, encoder=replace(quick.model.encoder, checkpointing=True))
    with pytest.raises(TrainingError, match="--model.encoder.no-checkpointing"):
        check_settings(replace(quick, model=again, train=replace(quick.train, compile=True)))
    flipped = replace(quick.data.image_augmentation, photometric=v2.RandomHorizontalFlip)
    with pytest.raises(ConfigError, match="moves pixels"):
        check_settings(replace(quick, data=replace(quick.data, image_augmentation=flipped)))
    blind = replace(quick, data=replace(quick.data, lidar=False))
    with pytest.raises(TrainingError, match="--data.lidar"):
        check_settings(blind)
    with pytest.raises(TrainingError, match="--data.lidar"):
        train(blind)


def test_init_parts_without_weights_are_refused(quick):
    with pytest.raises(TrainingError, match="set --train.init.weights"):
        check_settings(replace(quick, train=replace(quick.train, init=InitConfig(skip=("head",)))))


def test_ray_features_are_refused_in_the_lidar_frame(quick):
    lift = replace(quick.model.view, ray_features=True)
    for view in (lift, DualViewTransformConfig(lift, z=(-1.0, 3.0, 1.0))):
        rays = replace(quick, model=replace(quick.model, view=view))
        check_settings(rays)
        with pytest.raises(TrainingError, match="set --data.reference ego"):
            check_settings(replace(rays, data=replace(rays.data, reference="lidar")))


def test_mirror_flips_and_flip_tta_are_refused_in_the_lidar_frame(quick):
    flips = replace(quick.data.image_augmentation, flip="independent")
    data = replace(quick.data, reference="lidar", image_augmentation=flips)
    lift = replace(quick.model.view, ray_features=False)
    lidar = replace(quick, data=data, model=replace(quick.model, view=lift, flip_tta=False))
    check_settings(lidar)
    mirroring = replace(data, image_augmentation=replace(flips, flip="mirror"))
    for config, flag in (
        (replace(lidar, data=mirroring), "--data.image-augmentation.flip independent"),
        (replace(lidar, model=replace(lidar.model, flip_tta=True)), "--model.no-flip-tta"),
    ):
        with pytest.raises(TrainingError, match=rf"leave it out \({flag}\)"):
            check_settings(config)


def test_other_playback_rates_are_refused_without_times(quick):
    played = AdjacentConfig(previous=1, playback=(1.0, -1.0))
    data = replace(quick.data, adjacent=played)
    timed = replace(quick.model, temporal=TemporalConfig(num_adjacent=1))
    check_settings(replace(quick, data=data, model=timed))
    untimed = replace(quick.model, temporal=TemporalConfig(num_adjacent=1, times=False))
    with pytest.raises(TrainingError, match="--data.adjacent.playback 1"):
        check_settings(replace(quick, data=data, model=untimed))
