"""Every kind of damage is found and named, all of it at once, and training bears it or says so."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from commands import call, run
from damages import DAMAGES, VERSION, Damage, endless_box, flat_box, no_boxes, rows_of, write
from opened import opened

from bev.data.checks import tables as check_tables
from bev.data.checks.check import CheckConfig, check_data, versions_in
from bev.data.checks.findings import Findings
from bev.data.dataset import KeyFrames
from bev.data.settings import DataConfig
from bev.errors import DataError


@pytest.fixture()
def world(synthetic_world, tmp_path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(synthetic_world, tmp_path / "world")


def found_in(root: Path, **config) -> Findings:
    return check_data(root, VERSION, CheckConfig(**config))[1]


def told(*arguments: object, code: int) -> str:
    """What the tool prints."""
    return call("check_data.py", *arguments, code=code)[0]


def samples(root: Path) -> Iterator:
    """Every sample as training gets it, lidar too."""
    config = DataConfig(root=root, version=VERSION, image_size=(64, 176), lidar=True, workers=0)
    for split in config.splits:
        data = KeyFrames(opened(config).frames(split), config, training=True)
        yield from (data[i] for i in range(len(data)))


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_it_is_found_as_what_it_is_and_training_says_so(world, damage: Damage):
    named = damage.spoil(world)
    findings = found_in(world)
    assert list(findings.by_kind) == [damage.kind]
    assert any(named in finding for finding in findings.by_kind[damage.kind])
    if damage.error:
        with pytest.raises(DataError, match=damage.error.format(named)) as raised:
            list(samples(world))
        assert "\n" not in str(raised.value)
    else:
        for batch in samples(world):
            boxes = batch.boxes[0]
            assert (boxes.size > 0).all() and boxes.size.isfinite().all()
            assert boxes.center.isfinite().all() and boxes.yaw.isfinite().all()
            assert not boxes.velocity.isinf().any()
            assert batch.views.cameras.ego_from_camera.isfinite().all()


def test_all_of_it_is_listed_at_once_by_the_command(world):
    named = [(damage, damage.spoil(world)) for damage in DAMAGES]
    out, _ = run("check_data.py", world, "--version", VERSION, "--all", code=1)
    for damage, name in named:
        severity = "error" if damage.kind.is_error else "warning"
        assert f"{severity}: {damage.kind.title}: " in out
        assert f"  {damage.kind.advice}\n" in out
        assert name in out, damage
    errors, warnings = out.rindex("error: "), out.index("warning: ")
    assert errors < warnings


def test_a_whole_data_set_has_nothing_wrong(synthetic_world):
    out = told(synthetic_world, "--lidar", "--decode", "--sweeps", code=0)
    assert out.splitlines()[0].endswith("72 images, 12 lidar files")
    assert out.splitlines()[1:] == ["nothing wrong"]


def test_real_samples_have_warnings_alone(nuscenes_root):
    """Two of three lidar files are not there: wrong only where lidar is asked for."""
    out = told(nuscenes_root, code=0)
    assert out.startswith(f"{nuscenes_root / 'v1.0-mini'}: 3 samples, 122 boxes, 18 images")
    assert "\nwarning: lidar file missing: 2\n" in out and "\n2 warnings\n" in out
    asked = told(nuscenes_root, "--version", "v1.0-mini", "--lidar", code=1)
    assert asked.endswith("\n2 errors\n")


def test_a_long_list_is_cut_and_counted(world):
    images = sorted((world / "samples").glob("CAM_*/*"))
    for path in images:
        path.unlink()
    findings = found_in(world)
    lines = list(findings.lines(most=10))
    assert len(lines) == 1 + 10 + 1 + 1 + 1
    assert lines[11] == f"    ... and {len(images) - 10} more; --all lists them"
    assert lines[-1] == f"{len(images)} errors"
    assert sum(line.startswith("    samples/") for line in findings.lines(0)) == len(images)
    assert not found_in(world, images=False).by_kind
    names = {"CAM_FRONT", "CAM_BACK"}
    some = found_in(world, cameras=tuple(names)).count(is_error=True)
    assert some == sum(path.parent.name in names for path in images) == 24
    (one,) = found_in(world, images=False, cameras=("CAM_BACK", "CAM_SIDE")).by_kind.values()
    assert one == ["CAM_SIDE: no sample has one"]


@pytest.mark.parametrize(
    ("folders", "checked", "passed_over"),
    [
        (["v1.0-own"], ["v1.0-own"], []),
        (["mine/sample.json"], ["mine"], []),
        (["v1.0-mini", "v1.0-trainval", "v1.0-own"], ["v1.0-mini", "v1.0-trainval"], ["v1.0-own"]),
        (["v1.0-a", "v1.0-b", "samples"], ["v1.0-a", "v1.0-b"], []),
    ],
)
def test_versions_are_found(tmp_path, folders, checked, passed_over):
    for name in folders:
        path = tmp_path / name
        (path.parent if path.suffix == ".json" else path).mkdir()
        if path.suffix == ".json":
            path.write_text("[]")
    assert versions_in(tmp_path) == (checked, passed_over)


def test_a_root_without_versions_is_named(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path} contains no folder of tables"):
        versions_in(tmp_path)
    with pytest.raises(DataError, match="v1.0-mini does not exist"):
        check_data(tmp_path, "v1.0-mini", CheckConfig())


def test_a_quaternion_is_normalised(world, synthetic_world):
    """The rule: training sees what it sees with unit quaternions, to rounding."""
    next(damage for damage in DAMAGES if str(damage) == "twice_as_long").spoil(world)
    for ours, theirs in zip(samples(world), samples(synthetic_world), strict=True):
        assert torch.allclose(ours.boxes[0].yaw, theirs.boxes[0].yaw, atol=1e-5)
        poses = ours.views.cameras.ego_from_camera, theirs.views.cameras.ego_from_camera
        assert torch.allclose(*poses, atol=1e-5)


def test_boxes_that_are_none_are_left_out(world, synthetic_world, capfd):
    """The rule: only these, from training and evaluation alike, and the build says how many."""
    flat_box(world), endless_box(world)
    number = {row["token"]: i for i, row in enumerate(rows_of(world, "sample"))}
    kept = sorted(rows_of(synthetic_world, "sample_annotation")[2:],
                  key=lambda row: number[row["sample_token"]])  # fmt: skip
    boxes = opened(DataConfig(root=world, version=VERSION)).index.sample_annotation
    assert boxes.translation.tolist() == [row["translation"] for row in kept]
    message = capfd.readouterr().err
    assert "warning: 2 boxes of" in message and f"check-data {world} lists" in message


def test_a_sample_without_boxes_is_background(world):
    token = no_boxes(world)
    empty = [batch for batch in samples(world) if not len(batch.boxes[0])]
    assert [batch.tokens[0] for batch in empty] == [token]


def test_tables_without_any_box_are_those_of_a_test_set(world):
    write(world, "sample_annotation", [])
    write(world, "instance", [])
    findings = found_in(world)
    assert list(findings.by_kind) == [check_tables.NO_BOXES] and not findings.count(is_error=True)


def test_lidar_is_wrong_only_where_it_is_asked_for(world):
    rows = rows_of(world, "sample_data")
    lidar = [row for row in rows if "LIDAR_TOP" in row["filename"]]
    (world / lidar[0]["filename"]).unlink()
    write(world, "sample_data", [row for row in rows if row is not lidar[1]])
    for asked in (False, True):
        findings = found_in(world, lidar=asked)
        assert [kind.is_error for kind in findings.by_kind] == [asked, asked]
        told = [text for (text,) in findings.by_kind.values()]
        assert any(lidar[0]["filename"] in text for text in told)
        assert f"sample {lidar[1]['sample_token']}: LIDAR_TOP" in told
    write(world, "sample_data", [row for row in rows if row not in lidar])
    assert not found_in(world).by_kind
    ((one,),) = found_in(world, lidar=True).by_kind.values()
    assert one == "LIDAR_TOP: no sample has one"


def test_radar_and_what_it_alone_refers_to_are_not_looked_at(world):
    """Nor are they read: such tables train."""
    mounted = rows_of(world, "calibrated_sensor")[0]
    reading = rows_of(world, "sample_data")[0]
    sensors = [*rows_of(world, "sensor"), {"token": "r", "channel": "R", "modality": "radar"}]
    bad = {"translation": [float("nan")] * 3, "rotation": [0.0] * 4}
    write(world, "sensor", sensors)
    more = {**mounted, **bad, "token": "r", "sensor_token": "r", "camera_intrinsic": []}
    write(world, "calibrated_sensor", [*rows_of(world, "calibrated_sensor"), more])
    write(world, "ego_pose", [*rows_of(world, "ego_pose"), {"token": "r", **bad}])
    more = {**reading, "token": "r", "calibrated_sensor_token": "r", "ego_pose_token": "r"}
    write(world, "sample_data", [*rows_of(world, "sample_data"), {**more, "filename": "r.pcd"}])
    assert not found_in(world).by_kind
    assert len(list(samples(world))) == 12


def test_faults_that_follow_from_another_are_not_told(world):
    """Half of the samples are cut off, and every other table names them."""
    path = world / VERSION / "sample.json"
    path.write_text(path.read_text()[: path.stat().st_size // 2])
    findings = found_in(world)
    assert list(findings.by_kind) == [check_tables.TABLE_DAMAGED]
    assert findings.count(is_error=True) == 1


def test_images_are_looked_at_without_the_table_of_sensors(world):
    (world / VERSION / "sensor.json").unlink()
    for path in (world / "samples").glob("CAM_*/*"):
        path.unlink()
    counts = [len(found) for found in found_in(world).by_kind.values()]
    assert counts == [1, 72]  # the table, and every image
