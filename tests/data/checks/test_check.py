"""check-data reports every kind of damage; training goes on by rule or raises an error."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from commands import call
from damages import DAMAGES, VERSION, Damage, flat_box, infinite_box, no_boxes, rows_of, write
from opened import opened

from bev.data.checks import tables as check_tables
from bev.data.checks.check import CheckConfig, check_data, versions_in
from bev.data.checks.findings import Findings
from bev.data.dataset import KeyFrames
from bev.data.settings import DataConfig
from bev.errors import DataError


@pytest.fixture()
def world(synthetic_world, tmp_path) -> Path:
    """A copy of the synthetic world that the test may damage."""
    return shutil.copytree(synthetic_world, tmp_path / "world")


def found_in(root: Path, **config) -> Findings:
    return check_data(root, VERSION, CheckConfig(**config))[1]


def output(*arguments: object, code: int) -> str:
    """Standard output of check_data.py."""
    return call("check_data.py", *arguments, code=code)[0]


def samples(root: Path) -> Iterator:
    """Every sample as training loads it, lidar included."""
    config = DataConfig(root=root, version=VERSION, image_size=(64, 176), lidar=True, workers=0)
    for split in config.splits:
        data = KeyFrames(opened(config).frames(split), config, training=True)
        yield from (data[i] for i in range(len(data)))


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_damage_is_reported_by_kind_and_training_handles_it(world, damage: Damage):
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


def test_the_command_lists_all_damage_at_once(world):
    named = [(damage, damage.spoil(world)) for damage in DAMAGES]
    out, _ = call("check_data.py", world, "--version", VERSION, "--all", code=1)
    for damage, name in named:
        severity = "error" if damage.kind.is_error else "warning"
        assert f"{severity}: {damage.kind.title}: " in out
        assert f"  {damage.kind.advice}\n" in out
        assert name in out, damage
    errors, warnings = out.rindex("error: "), out.index("warning: ")
    assert errors < warnings


def test_an_intact_data_set_has_no_findings(synthetic_world):
    out = output(synthetic_world, "--lidar", "--decode", "--sweeps", code=0)
    assert out.splitlines()[0].endswith("72 images, 12 lidar files")
    train, val, verdict = out.splitlines()[1:]
    assert train.startswith("  synthetic_train: 2 scenes, 8 samples, ")
    assert val.startswith("  synthetic_val: 1 scene, 4 samples, ") and verdict == "nothing wrong"


def test_real_samples_have_only_warnings_without_lidar(nuscenes_root):
    """Two of the three lidar files are missing, which is an error only with --lidar."""
    out = output(nuscenes_root, code=0)
    assert out.startswith(f"{nuscenes_root / 'v1.0-mini'}: 3 samples, 122 boxes, 18 images")
    assert "\nwarning: lidar file missing: 2\n" in out and "\n2 warnings\n" in out
    asked = output(nuscenes_root, "--version", "v1.0-mini", "--lidar", code=1)
    assert asked.endswith("\n2 errors\n")


def test_a_long_list_of_findings_is_cut_and_counted(world):
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
    """Training loads the same samples as from unit quaternions, up to rounding."""
    next(damage for damage in DAMAGES if str(damage) == "quaternion_of_length_two").spoil(world)
    for ours, theirs in zip(samples(world), samples(synthetic_world), strict=True):
        assert torch.allclose(ours.boxes[0].yaw, theirs.boxes[0].yaw, atol=1e-5)
        poses = ours.views.cameras.ego_from_camera, theirs.views.cameras.ego_from_camera
        assert torch.allclose(*poses, atol=1e-5)


def test_invalid_boxes_are_left_out(world, synthetic_world, capfd):
    """Training and evaluation leave out only these boxes; the index build reports how many."""
    flat_box(world), infinite_box(world)
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


def test_tables_without_any_box_are_taken_for_a_test_set(world):
    write(world, "sample_annotation", [])
    write(world, "instance", [])
    findings = found_in(world)
    assert list(findings.by_kind) == [check_tables.NO_BOXES] and not findings.count(is_error=True)


def test_missing_lidar_is_an_error_only_when_lidar_is_requested(world):
    rows = rows_of(world, "sample_data")
    lidar = [row for row in rows if "LIDAR_TOP" in row["filename"]]
    (world / lidar[0]["filename"]).unlink()
    write(world, "sample_data", [row for row in rows if row is not lidar[1]])
    for asked in (False, True):
        findings = found_in(world, lidar=asked)
        assert [kind.is_error for kind in findings.by_kind] == [asked, asked]
        reported = [text for (text,) in findings.by_kind.values()]
        assert any(lidar[0]["filename"] in text for text in reported)
        assert f"sample {lidar[1]['sample_token']}: LIDAR_TOP" in reported
    write(world, "sample_data", [row for row in rows if row not in lidar])
    assert not found_in(world).by_kind
    ((one,),) = found_in(world, lidar=True).by_kind.values()
    assert one == "LIDAR_TOP: no sample has one"


def test_radar_and_rows_that_only_radar_refers_to_are_ignored(world):
    """Training does not read them either."""
    mounted = rows_of(world, "calibrated_sensor")[0]
    record = rows_of(world, "sample_data")[0]
    sensors = [*rows_of(world, "sensor"), {"token": "r", "channel": "R", "modality": "radar"}]
    bad = {"translation": [float("nan")] * 3, "rotation": [0.0] * 4}
    write(world, "sensor", sensors)
    more = {**mounted, **bad, "token": "r", "sensor_token": "r", "camera_intrinsic": []}
    write(world, "calibrated_sensor", [*rows_of(world, "calibrated_sensor"), more])
    write(world, "ego_pose", [*rows_of(world, "ego_pose"), {"token": "r", **bad}])
    more = {**record, "token": "r", "calibrated_sensor_token": "r", "ego_pose_token": "r"}
    write(world, "sample_data", [*rows_of(world, "sample_data"), {**more, "filename": "r.pcd"}])
    assert not found_in(world).by_kind
    assert len(list(samples(world))) == 12


def test_faults_caused_by_another_fault_are_not_reported(world):
    """sample.json is cut in half, and other tables refer to the samples that are lost."""
    path = world / VERSION / "sample.json"
    path.write_text(path.read_text()[: path.stat().st_size // 2])
    findings = found_in(world)
    assert list(findings.by_kind) == [check_tables.TABLE_DAMAGED]
    assert findings.count(is_error=True) == 1


def test_images_are_checked_without_the_sensor_table(world):
    (world / VERSION / "sensor.json").unlink()
    for path in (world / "samples").glob("CAM_*/*"):
        path.unlink()
    counts = [len(found) for found in found_in(world).by_kind.values()]
    assert counts == [1, 72]  # the table, and every image
