"""Kinds of damage to a synthetic world, each with the text that the check must report."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from bev.data.checks import files as check_files
from bev.data.checks import tables as check_tables
from bev.data.checks.findings import Kind
from bev.data.checks.ground_truth import SPLITS_DAMAGED

VERSION = "v1.0-synthetic"


def rows_of(root: Path, table: str) -> list[dict]:
    return json.loads((root / VERSION / f"{table}.json").read_text())


def write(root: Path, table: str, rows: list[dict]) -> None:
    (root / VERSION / f"{table}.json").write_text(json.dumps(rows))


def change(root: Path, table: str, number: int, **values: object) -> str:
    """Change fields of a row and return its token."""
    rows = rows_of(root, table)
    rows[number].update(values)
    write(root, table, rows)
    return rows[number]["token"]


def image(root: Path, number: int) -> tuple[Path, str]:
    """Path of an image file, and its name in the tables."""
    names = [row["filename"] for row in rows_of(root, "sample_data") if "CAM_" in row["filename"]]
    return root / names[number], names[number]


def missing(root: Path) -> str:
    path, name = image(root, 0)
    path.unlink()
    return name


def cut_off(root: Path) -> str:
    path, name = image(root, 1)
    path.write_bytes(path.read_bytes()[:-2000])
    return name


def emptied(root: Path) -> str:
    path, name = image(root, 2)
    path.write_bytes(b"")
    return name


def not_an_image(root: Path) -> str:
    path, name = image(root, 3)
    path.write_text("404 Not Found")
    return name


def scaled(root: Path) -> str:
    path, name = image(root, 4)
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (100, 60)))
    return f"{name} (sample_data "


def nan_translation(root: Path) -> str:
    return change(root, "ego_pose", 5, translation=[float("nan"), 1.0, 0.0])


def null_translation(root: Path) -> str:
    return change(root, "ego_pose", 6, translation=[0.0, None, 0.0])


def nan_rotation(root: Path) -> str:
    return change(root, "ego_pose", 7, rotation=[1.0, 0.0, float("nan"), 0.0])


def zero_rotation(root: Path) -> str:
    return change(root, "calibrated_sensor", 1, rotation=[0.0, 0.0, 0.0, 0.0])


def no_lens(root: Path) -> str:
    return change(root, "calibrated_sensor", 2, camera_intrinsic=[])


def no_size(root: Path) -> str:
    _, name = image(root, 6)
    rows = rows_of(root, "sample_data")
    for row in rows:
        if row["filename"] == name:
            row["width"] = 0
    write(root, "sample_data", rows)
    return name


def unknown_lens(root: Path) -> str:
    return change(root, "calibrated_sensor", 0, camera_model="omni")


def three_coefficients(root: Path) -> str:
    lens = {"camera_model": "fisheye", "camera_distortion": [0.1, 0.0, 0.0]}
    return change(root, "calibrated_sensor", 1, **lens)


def narrowing_lens(root: Path) -> str:
    lens = {"camera_model": "fisheye", "camera_distortion": [-0.2, 0.0, 0.0, 0.0]}
    return change(root, "calibrated_sensor", 2, **lens, camera_max_angle=1.6)


def quaternion_of_length_two(root: Path) -> str:
    """Give an ego pose, a calibrated sensor and a box the same rotation by a longer quaternion."""
    for table in ("ego_pose", "calibrated_sensor", "sample_annotation"):
        rotation = rows_of(root, table)[3]["rotation"]
        token = change(root, table, 3, rotation=[2 * number for number in rotation])
    return token


def flat_box(root: Path) -> str:
    return change(root, "sample_annotation", 0, size=[1.9, 4.5, 0.0])


def infinite_box(root: Path) -> str:
    return change(root, "sample_annotation", 1, translation=[1.0, 2.0, float("inf")])


def no_boxes(root: Path) -> str:
    sample = rows_of(root, "sample")[5]["token"]
    kept = [row for row in rows_of(root, "sample_annotation") if row["sample_token"] != sample]
    tokens = {row["token"] for row in kept}
    for row in kept:
        row.update({n: row[n] if row[n] in tokens else "" for n in ("prev", "next")})
    write(root, "sample_annotation", kept)
    return sample


def no_camera_row(root: Path) -> str:
    rows = rows_of(root, "sample_data")
    place = next(i for i, row in enumerate(rows[20:], 20) if "CAM_BACK/" in row["filename"])
    row = rows.pop(place)
    write(root, "sample_data", rows)
    return f"sample {row['sample_token']}: CAM_BACK"


def two_key_frames(root: Path) -> str:
    rows = rows_of(root, "sample_data")
    row = next(row for row in rows if "CAM_FRONT/" in row["filename"])
    write(root, "sample_data", [*rows, {**row, "token": "second"}])
    return row["sample_token"]


def duplicate_token(root: Path) -> str:
    rows = rows_of(root, "attribute")
    write(root, "attribute", [*rows, rows[0]])
    return rows[0]["token"]


def dangling_token(root: Path) -> str:
    change(root, "sample_annotation", 4, attribute_tokens=["gone"])
    return "'gone' is not in attribute.json"


def row_without_field(root: Path) -> str:
    rows = rows_of(root, "instance")
    for row in rows[-2:]:
        del row["category_token"]
    write(root, "instance", rows)
    return rows[-1]["token"]


def table_cut_off(root: Path) -> str:
    path = root / VERSION / "scene.json"
    path.write_text(path.read_text()[:-40])
    return str(path)


def table_missing(root: Path) -> str:
    path = root / VERSION / "category.json"
    path.unlink()
    return str(path)


def splits_cut_off(root: Path) -> str:
    path = root / VERSION / "splits.json"
    path.write_text(path.read_text()[:-5])
    return str(path)


def lidar_cut_off(root: Path) -> str:
    row = [row for row in rows_of(root, "sample_data") if "LIDAR" in row["filename"]][3]
    path = root / row["filename"]
    path.write_bytes(path.read_bytes()[:-7])
    return row["filename"]


@dataclass(frozen=True)
class Damage:
    """A kind of damage.

    Attributes:
        spoil: damages a data root and returns the text that the check must report.
        kind: the kind of fault that the check reports.
        error: pattern of the error that training raises; empty where training goes on by rule.
    """

    spoil: Callable[[Path], str]
    kind: Kind
    error: str

    def __str__(self) -> str:
        return self.spoil.__name__


DAMAGES = [
    Damage(missing, check_files.IMAGE_MISSING, "Image .* cannot be read"),
    Damage(cut_off, check_files.IMAGE_CUT, "Image .* is truncated"),
    Damage(emptied, check_files.IMAGE_EMPTY, r"Image .* is truncated \(0 bytes"),
    Damage(not_an_image, check_files.IMAGE_UNREADABLE, "Image .* is not an image"),
    Damage(scaled, check_files.IMAGE_SIZE, "Image .* is 100x60, but its calibration"),
    Damage(lidar_cut_off, check_files.LIDAR_DAMAGED, "Lidar file .* bytes, not rows of 5 .* dam"),
    Damage(
        nan_translation, check_tables.NO_POSE, r"ego_pose.json, row {}: translation \[nan, 1.0, 0.0"
    ),
    Damage(
        null_translation, check_tables.NO_POSE, r"ego_pose.json, row {}: translation \[0.0, nan"
    ),
    Damage(nan_rotation, check_tables.NO_POSE, r"row {}: .*rotation \[1.0, 0.0, nan, 0.0\] cannot"),
    Damage(zero_rotation, check_tables.NO_POSE, "calibrated_sensor.json, row {}: .*cannot be used"),
    Damage(no_lens, check_tables.NO_LENS, "calibrated_sensor.json, row {}: camera_intrinsic"),
    Damage(no_size, check_tables.NO_SIZE, "sample_data.json, row .*: filename {}, width 0"),
    Damage(unknown_lens, check_tables.BAD_LENS, "row {}: camera_model 'omni' is neither 'pinhole'"),
    Damage(three_coefficients, check_tables.BAD_LENS, "row {}: a fisheye needs four finite coeff"),
    Damage(
        narrowing_lens, check_tables.BAD_LENS, "row {}: a fisheye with .*stops widening at 1.29"
    ),
    Damage(quaternion_of_length_two, check_tables.NOT_UNIT, ""),
    Damage(flat_box, check_tables.NO_BOX, ""),
    Damage(infinite_box, check_tables.NO_BOX, ""),
    Damage(no_boxes, check_tables.NO_BOXES, ""),
    Damage(no_camera_row, check_tables.CAMERA_MISSING, "has no camera CAM_BACK"),
    Damage(two_key_frames, check_tables.KEY_FRAME_TWICE, "two key frames of CAM_FRONT for .*{}"),
    Damage(duplicate_token, check_tables.TOKEN_TWICE, "attribute.json has token {} twice"),
    Damage(dangling_token, check_tables.DANGLING, "attribute_tokens 'gone' that attribute.json"),
    Damage(row_without_field, check_tables.TABLE_DAMAGED, "category_token is 'missing'"),
    Damage(table_cut_off, check_tables.TABLE_DAMAGED, "scene.json is damaged or truncated"),
    Damage(table_missing, check_tables.TABLE_MISSING, "category.json missing"),
    Damage(splits_cut_off, SPLITS_DAMAGED, "splits.json"),
]
