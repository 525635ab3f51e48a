"""Configs are loaded, overridden, saved and restored; unknown classes and fields are refused."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import yaml

from bev.config import Experiment, load_config, load_file, override, save_config
from bev.data.images.photometric import photometric_transform
from bev.data.labels import LabelSpace, ObjectClass
from bev.data.nuscenes.classes import NUSCENES
from bev.data.settings import DataConfig
from bev.data.source import SourceConfig
from bev.errors import ConfigError
from bev.models import (
    CameraAwareDepthNetConfig,
    DepthBins,
    DetectorConfig,
    LiftSplatConfig,
    ViewTransformConfig,
)
from bev.serialization import differences, from_plain, to_plain

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_loads_and_survives_saving(path, tmp_path):
    config = load_file(path)
    assert config.name == path.stem
    save_config(config, tmp_path / "config.yaml")
    restored = from_plain(Experiment, yaml.safe_load((tmp_path / "config.yaml").read_text()))
    assert restored == config
    assert len(path.read_text().splitlines()) <= 60


def test_overrides_replace_single_fields():
    path = CONFIGS[0].parent / "lss_r50.py"
    config = load_config(
        path,
        ["--model.view.depth.step", "0.5", "--model.backbone.no-pretrained",
         "--train.max-steps", "7", "--data.root", "elsewhere"],
    )  # fmt: skip
    base = load_file(path)
    assert config.model.view == replace(base.model.view, depth=DepthBins(1.0, 60.0, 0.5))
    assert config.model.view.depth.bins == 118
    assert not config.model.backbone.pretrained
    assert config.data == replace(base.data, root=Path("elsewhere"))
    assert config.train == replace(base.train, max_steps=7)


def test_library_classes_are_saved_overridden_and_compared(tmp_path):
    """Optimiser, schedule and transform, set by a config file and by the command line."""
    path = tmp_path / "callables.py"
    path.write_text(
        "from functools import partial\n"
        "import torch\n"
        "from torch.optim.lr_scheduler import OneCycleLR\n"
        "from torchvision.transforms import v2\n"
        "from bev.config import Experiment\n"
        "from bev.data.augmentation import ImageAugmentation\n"
        "from bev.data.settings import DataConfig\n"
        "from bev.training.settings import TrainConfig\n"
        "jitter = partial(v2.RandomApply, [partial(v2.ColorJitter, 0.4, hue=0.1)], p=0.3)\n"
        "train = TrainConfig(optimizer=partial(torch.optim.SGD, momentum=0.9),\n"
        "                    schedule=partial(OneCycleLR, pct_start=0.4))\n"
        "data = DataConfig(image_augmentation=ImageAugmentation(photometric=jitter))\n"
        "config = Experiment(train=train, data=data)\n"
    )
    config = load_config(path, ["--train.lr", "0.5"])
    assert config == load_config(path, ["--train.lr", "0.5"]) != load_file(path)
    assert config.train.lr == 0.5
    assert str(config.train.optimizer) == "torch.optim.SGD(momentum=0.9)"
    assert to_plain(config)["train"]["optimizer"] == "torch.optim.SGD(momentum=0.9)"
    save_config(config, tmp_path / "config.yaml")
    assert load_file(tmp_path / "config.yaml") == config
    assert pickle.loads(pickle.dumps(config)) == config
    other = load_config(
        path,
        ["--train.lr", "0.5", "--train.optimizer", "RAdam(betas=(0.8, 0.9))",
         "--data.image-augmentation.photometric", "GaussianBlur(5)"],
    )  # fmt: skip
    assert other.train.optimizer.target is torch.optim.RAdam
    changed = {name: str(now) for name, _, now in differences(config, other)}
    assert changed == {
        "train.optimizer": "torch.optim.RAdam(betas=(0.8, 0.9))",
        "data.image_augmentation.photometric": "torchvision.transforms.v2.GaussianBlur(5)",
    }


@pytest.mark.parametrize("text", ["os.system('ls')", "builtins.eval('1')", "AdamW", 3, None, {}])
def test_an_unknown_transform_is_refused(text):
    plain = to_plain(Experiment())
    plain["data"]["image_augmentation"]["photometric"] = text
    with pytest.raises(ConfigError, match="photometric|is not a transform of torchvision"):
        config = from_plain(Experiment, plain)
        # Classes are looked up when a transform is built; no code is run.
        photometric_transform(config.data.image_augmentation.photometric)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--train.optimizer", "AdmW"], "(similar: AdamW"),
        (["--train.schedule", "os.system('ls')"], "--train.schedule"),
        (["--model.view.chanels", "64"], "--model.view.channels"),
        (["--train.lr", "fast"], "--train.lr"),
        (["--data.batch-size", "2.5"], "--data.batch-size"),
    ],
)
def test_wrong_overrides_name_the_field(arguments, named, capsys):
    with pytest.raises(SystemExit) as stop:
        load_config(CONFIGS[0].parent / "lss_r50.py", arguments)
    assert stop.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\0"])
def test_the_name_of_a_saved_config_stays_in_the_folder_of_runs(tmp_path, name):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**to_plain(Experiment()), "name": name}))
    with pytest.raises(ConfigError, match=r"^name is .*; choose a name without folders"):
        load_file(path)


def test_files_without_a_config_are_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_file(tmp_path / "none.py")
    (tmp_path / "other.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match=r"other.py does not end in"):
        load_file(tmp_path / "other.py")


def test_a_config_imports_its_neighbour(tmp_path):
    (tmp_path / "parent_config.py").write_text(
        "from bev.config import Experiment\nconfig = Experiment()\n"
    )
    (tmp_path / "child.py").write_text(
        "from dataclasses import replace\nfrom parent_config import config as base\n"
        "config = replace(base, train=replace(base.train, lr=1.0))\n"
    )
    assert load_file(tmp_path / "child.py").train.lr == 1.0


@dataclass(frozen=True)
class OtherView(ViewTransformConfig):
    """A custom view transform."""

    size: int = 3


def test_a_subclass_is_saved_with_its_type():
    config = replace(Experiment(), model=replace(Experiment().model, view=OtherView(5)))
    plain = to_plain(config)
    assert plain["model"]["view"]["type"] == "OtherView"
    assert from_plain(Experiment, plain) == config
    assert isinstance(from_plain(Experiment, to_plain(Experiment())).model.view, LiftSplatConfig)


def test_a_depth_net_is_saved_by_its_type_and_overridden_by_its_fields(tmp_path):
    path = tmp_path / "aware.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from bev.config import Experiment\n"
        "from bev.models import CameraAwareDepthNetConfig, DetectorConfig, LiftSplatConfig\n"
        "view = LiftSplatConfig(depth_net=CameraAwareDepthNetConfig(width=64))\n"
        "config = Experiment(model=DetectorConfig(view=view))\n"
    )
    config = load_config(
        path,
        ["--model.view.depth-net.blocks", "1", "--model.view.depth-net.no-aspp",
         "--model.view.depth.spacing", "log"],
    )  # fmt: skip
    assert config.model.view.depth_net == CameraAwareDepthNetConfig(64, blocks=1, aspp=False)
    assert config.model.view.depth.spacing == "log"
    plain = to_plain(config)
    assert plain["model"]["view"]["depth_net"]["type"] == "CameraAwareDepthNetConfig"
    assert from_plain(Experiment, yaml.safe_load(yaml.safe_dump(plain))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "os:system"}, "no ViewTransformConfig known"),
        ({"type": "BackboneConfig"}, "no ViewTransformConfig known"),
        ({"depht": 1}, r"unknown fields \['depht'\]"),
        ({"channels": "many"}, "config.model.view.channels should be of type int"),
        ({"depth": [1.0, 60.0, 0.5]}, "config.model.view.depth should be a mapping"),
        (
            {"depth_net": {"type": "BackboneConfig"}},
            "no DepthNetConfig known",
        ),
        ({"frustum": "sideways"}, "should be one of"),
    ],
)
def test_unknown_and_damaged_configs_are_refused(change, message):
    plain = to_plain(Experiment())
    plain["model"]["view"].update(change)
    with pytest.raises(ConfigError, match=message):
        from_plain(Experiment, plain)


@dataclass(frozen=True)
class YardConfig(SourceConfig):
    """A custom source whose classes are a setting."""

    kinds: tuple[str, ...] = ("van", "crate")

    @property
    def labels(self) -> LabelSpace:
        return LabelSpace(tuple(ObjectClass(name) for name in self.kinds))

    @property
    def cameras(self) -> tuple[str, ...]:
        return ("front",)


def test_the_labels_of_an_experiment_are_those_of_its_source(tmp_path):
    assert Experiment().model.labels == NUSCENES
    yard = Experiment(data=DataConfig(source=YardConfig()))
    assert yard.model.labels.names == ("van", "crate")
    groups = yard.model.head.resolved_tasks(yard.model.labels)
    assert groups == (("van",), ("crate",))
    save_config(yard, tmp_path / "config.yaml")
    again = load_file(tmp_path / "config.yaml")
    assert again == yard and again.model.labels == yard.data.source.labels
    # A checkpoint keeps predicting its training classes if the source names others later.
    plain = yaml.safe_load((tmp_path / "config.yaml").read_text())
    plain["data"]["source"]["kinds"] = ["digger"]
    assert from_plain(Experiment, plain).model.labels.names == ("van", "crate")


def test_labels_follow_a_source_that_the_command_line_changes():
    yard = Experiment(data=DataConfig(source=YardConfig()))
    flags = ["--data.source.kinds", "digger", "van", "crate"]
    changed = override(yard, flags, "x")
    assert changed.data.source.kinds == changed.model.labels.names == ("digger", "van", "crate")
    assert override(yard, ["--train.lr", "1"], "x").model == yard.model
    # As in a config file that replaces the source of another with nuScenes' labels.
    moved = replace(Experiment(), data=replace(Experiment().data, source=YardConfig()))
    assert moved.model.labels.names == ("van", "crate")
    # A config with explicit labels keeps them.
    own = DetectorConfig(labels=NUSCENES)
    assert override(replace(yard, model=own), flags, "x").model == own
