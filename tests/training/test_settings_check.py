"""Contradictory settings are refused with an error that states what to change."""

import math
from dataclasses import replace

import pytest
from commands import attempt
from torch.optim.lr_scheduler import CosineAnnealingLR
from torchvision.transforms import v2

from bev.bounds import gathered
from bev.data.adjacent import AdjacentConfig
from bev.data.images.grid_mask import GridMask
from bev.errors import ConfigError, TrainingError
from bev.models import CameraAwareDepthNetConfig, DualViewTransformConfig, TemporalConfig
from bev.training.optimization.muon import MuonAdamW
from bev.training.run import train
from bev.training.settings import InitConfig
from bev.training.settings_check import check_settings


def test_contradictory_settings_are_refused(quick):
    sharded = replace(quick, train=replace(quick.train, strategy="fsdp"))
    with pytest.raises(TrainingError, match="--train.ema 0"):
        check_settings(sharded)
    with pytest.raises(TrainingError, match="--train.max-grad-norm 0"):
        check_settings(replace(sharded, train=replace(sharded.train, ema=0.0)))
    muon = replace(sharded.train, optimizer=MuonAdamW)
    with pytest.raises(TrainingError, match="--train.optimizer AdamW, or --train.strategy ddp"):
        check_settings(replace(sharded, train=muon))
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
        with pytest.raises(TrainingError, match=r"train in the ego frame \(--data.reference ego\)"):
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


def test_all_settings_outside_their_bounds_are_named_at_once(quick):
    with gathered():  # as the command line builds a config
        images = replace(quick.data.image_augmentation, grid_mask=GridMask(probability=1.5))
        data = replace(quick.data, batch_size=0, image_size=(0, 704), image_augmentation=images)
        train = replace(quick.train, max_grad_norm=-1.0, ema=1.0, accumulate=0, lr=math.nan)
        backbone = replace(quick.model.backbone, strides=(32, 16))
        wrong = replace(
            quick, data=data, train=train, model=replace(quick.model, backbone=backbone)
        )
    with pytest.raises(ConfigError, match="^8 settings cannot be used: ") as caught:
        check_settings(wrong)
    for fault in (
        "model.backbone.strides is (32, 16) (set it to one or more ascending numbers",
        "data.image_augmentation.grid_mask.probability is 1.5 (set it to at least 0 and at most 1)",
        "data.batch_size is 0 (set it to at least 1)",
        "data.image_size is (0, 704)",
        "train.max_grad_norm is -1.0 (set it to at least 0)",
        "train.ema is 1.0 (set it to at least 0 and below 1)",
        "train.accumulate is 0",
        "train.lr is nan (set it to finite and at least 0)",
    ):
        assert fault in str(caught.value)


def test_values_of_another_type_are_named_before_the_machine_is_asked(quick):
    train = replace(quick.train)
    object.__setattr__(train, "devices", "2")
    object.__setattr__(train, "strategy", "dppp")
    with pytest.raises(
        ConfigError, match=r"^train.devices is '2'; set it to a whole number\. .*'dppp'"
    ):
        check_settings(replace(quick, train=train), here=True)


def test_what_a_part_refuses_by_itself_is_named_with_the_rest(tmp_path):
    """Each of these is checked by the class of its part, before the whole config exists."""
    refused = {
        "data.drop_cameras is 6": ["--data.drop-cameras", "6"],
        "data.cameras: 'CAM_BACK' is named twice": ["--data.cameras", "CAM_BACK", "CAM_BACK"],
        "data.adjacent.step = 1.5": ["--data.adjacent.step", "1.5"],
        "data.adjacent.playback = (0.0,)": ["--data.adjacent.playback", "0"],
        "data.sampling.class_weights is (('car', 2.0),)": [
            "--data.sampling.class-weights", "car", "2",
        ],
        "data.fold is '7/5'": ["--data.fold", "7/5"],
        "BevGrid.x = (-51.2, 51.2, 0.7)": ["--model.grid.x", "-51.2", "51.2", "0.7"],
        "Depth bins (lo 1.0, hi 60.0, step 0.0)": ["--model.view.depth.step", "0"],
        "decode.window = 2": ["--model.head.decode.window", "2"],
        "model.segmentation.weight has 2": ["--model.segmentation.weight", "1", "1"],
        "model.segmentation.min_visibility is 3": ["--model.segmentation.min-visibility", "3"],
        "needs a stage that starts at 0": ["--train.stages.0.start", "5"],
        "data.batch_size is 0": ["--data.batch-size", "0"],
        "train.strategy is 'dppp'": ["--train.strategy", "dppp"],
    }  # fmt: skip
    flags = [word for words in refused.values() for word in words]
    place = ["--data.root", tmp_path / "none", "--train.runs", tmp_path]
    study = ["--vary", "train.lr=1e-3,2e-3", "--runs", tmp_path, "--print"]
    for tool, *given in (
        ("train.py", "lss_r50_mini"),
        ("reproduce.py", "lss_r50", "--train"),
        ("ablate.py", "lss_r50_mini", *study),
    ):
        status, _, error = attempt(tool, *given, *place, *flags)
        assert status == 1 and error.startswith("error: ") and error.count("\n") == 1
        for part in refused:
            assert part in error, (tool, part)
    assert list(tmp_path.iterdir()) == []


def test_all_contradictions_are_named_at_once(quick):
    train = replace(quick.train, strategy="dppp", init=InitConfig(skip=("head",)))
    data = replace(quick.data, image_size=(16, 176))
    with pytest.raises(TrainingError, match="dppp.*train.init names parts.*smaller than one cell"):
        check_settings(replace(quick, train=train, data=data))


@pytest.mark.parametrize(
    ("net", "named"),
    [
        (CameraAwareDepthNetConfig(16), "aspp need two"),
        (CameraAwareDepthNetConfig(16, aspp=False, batch_norm=True), "batch_norm need two"),
    ],
)
def test_norms_over_one_image_are_refused(quick, net, named):
    model = replace(quick.model, view=replace(quick.model.view, depth_net=net))
    data = replace(quick.data, batch_size=1, drop_cameras=1)  # of two cameras
    with pytest.raises(TrainingError, match=named):
        check_settings(replace(quick, model=model, data=data))
    check_settings(replace(quick, model=model, data=replace(data, drop_cameras=0)))
    check_settings(replace(quick, model=model, data=replace(data, batch_size=2)))
    plain = replace(
        model, view=replace(quick.model.view, depth_net=replace(net, batch_norm=False, aspp=False))
    )
    check_settings(replace(quick, model=plain, data=data))


def test_the_command_names_all_faults_before_it_opens_the_data(tmp_path):
    status, _, error = attempt(
        "train.py", "lss_r50_mini", "--data.root", tmp_path / "none", "--train.runs", tmp_path,
        "--train.max-grad-norm", "-1", "--train.ema", "2", "--data.batch-size", "0",
        "--model.head.prior", "nan", "--train.threads", "9999",
    )  # fmt: skip
    assert status == 1
    for name in ("max_grad_norm", "ema", "batch_size", "head.prior", "threads"):
        assert name in error.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
