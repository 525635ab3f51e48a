"""Different evaluations of a checkpoint have their own folders, and notices of their choices."""

import math
from pathlib import Path

import pytest

from bev.data.polygons import PolygonConfig
from bev.data.settings import DataChoice, DataConfig
from bev.errors import ConfigError
from bev.evaluation.circumstances import circumstances, folder_name
from bev.evaluation.robustness.perturbation import Perturbation

POLYGONS = PolygonConfig(("vehicle", "drivable_area"))
TRAINED = DataConfig(
    root=Path("data/nuscenes"), version="v1.0-mini", drop_cameras=1, polygons=POLYGONS
)
CHECKPOINT = Path("run/checkpoints/best.ckpt")
DEFAULT, UNPERTURBED = DataChoice(), Perturbation()


def found(choice=DEFAULT, rig=UNPERTURBED, flip_tta=False, blank=False, within=math.inf, every=1):
    return circumstances(
        TRAINED, choice.apply(TRAINED), rig, flip_tta=flip_tta, blank=blank, within=within,
        every=every,
    )  # fmt: skip


def name(*args, **kwargs) -> str:
    return folder_name("mini_val", CHECKPOINT, found(*args, **kwargs))


def test_the_default_evaluation_has_no_notice_and_a_short_name():
    assert found() == {} and name() == "mini_val_best"
    same = DataChoice(
        root=TRAINED.root.absolute(), version="v1.0-mini", cameras=TRAINED.camera_names
    )
    assert found(same) == {}


CHOICES = {
    "data.cameras": dict(choice=DataChoice(cameras=("CAM_FRONT",))),
    "another order": dict(choice=DataChoice(cameras=TRAINED.camera_names[::-1])),
    "data.root": dict(choice=DataChoice(root=Path("a/nuscenes"))),
    "a root of the same name": dict(choice=DataChoice(root=Path("b/nuscenes"))),
    "data.version": dict(choice=DataChoice(version="v1.0-other")),
    "data.layers": dict(choice=DataChoice(layers=("vehicle",))),
    "without": dict(rig=Perturbation(without=("CAM_FRONT",))),
    "noise": dict(rig=Perturbation(extrinsic_noise=(1.0, 0.1))),
    "flip_tta": dict(flip_tta=True),
    "corruption": dict(rig=Perturbation(corruption="Fog", severity=2)),
    "every": dict(every=5),
    "blank": dict(blank=True),
    "within": dict(within=35.0),
    "two of them": dict(choice=DataChoice(cameras=("CAM_FRONT",)), blank=True),
}


def test_each_choice_has_its_own_folder():
    names = {name(), *(name(**choice) for choice in CHOICES.values())}
    assert len(names) == len(CHOICES) + 1
    assert all(folder == Path(folder).name and " " not in folder for folder in names)


@pytest.mark.parametrize(
    ("choice", "folder", "notice"),
    [
        ("data.cameras", "mini_val_best_with_CAM_FRONT", "were CAM_FRONT; trained with 6."),
        ("data.version", "mini_val_best_v1.0-other", "were v1.0-other; trained on v1.0-mini."),
        ("data.layers", "mini_val_best_layers_vehicle", "Layers measured: vehicle."),
        ("data.root", "mini_val_best_in_nuscenes-", "read from a/nuscenes."),
        ("noise", "mini_val_best_noise_1_deg_0.1_m_seed_0", "noise 1 deg 0.1 m seed 0."),
        ("every", "mini_val_best_every_5", "One of every 5 samples"),
        ("within", "mini_val_best_within_35_m", "farther away than 35 m did not count."),
        ("two of them", "mini_val_best_blank_with_CAM_FRONT", "replaced by uniform grey."),
    ],
)
def test_folder_names_and_notices_state_the_choice(choice, folder, notice):
    assert name(**CHOICES[choice]).startswith(folder)
    assert notice in " ".join(found(**CHOICES[choice]).values())


def test_layers_that_the_config_lacks_are_refused():
    assert DataChoice(layers=("vehicle",)).apply(TRAINED).polygons.layers == ("vehicle",)
    for data, known in ((TRAINED, "vehicle, drivable_area"), (DataConfig(), "none")):
        with pytest.raises(ConfigError, match=f"contains walkway; the config's layers are {known}"):
            DataChoice(layers=("walkway",)).apply(data)


def test_a_version_with_a_slash_stays_one_folder():
    assert name(DataChoice(version="own/v1")) == "mini_val_best_own_v1"
