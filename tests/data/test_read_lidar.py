"""Lidar files of other layouts, number types and units are refused; others are read unchanged."""

from pathlib import Path

import numpy as np
import pytest

from bev.data.lidar import lidar_content_fault, read_lidar
from bev.errors import DataError


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    """(2000, 5) float32: points on the ground and on walls in the order of a scan."""
    rng = np.random.default_rng(0)
    angle = np.repeat(np.linspace(-np.pi, np.pi, 125), 16)
    ring = np.tile(np.arange(16), 125)
    away = np.minimum(1.8 / np.tan(0.02 + 0.02 * ring[::-1]), 20 + 30 * rng.random(125).repeat(16))
    z = -1.8 + 0.1 * rng.random(2000)
    columns = [away * np.cos(angle), away * np.sin(angle), z, rng.integers(0, 80, 2000), ring]
    return np.stack(columns, axis=1).astype(np.float32)


def changed(scan: np.ndarray, row: int, value: float) -> np.ndarray:
    scan = scan.copy()
    scan[row, 1] = value
    return scan


def test_a_scan_is_read_as_it_is(scan, tmp_path):
    path = tmp_path / "scan.bin"
    scan.tofile(path)
    np.testing.assert_array_equal(read_lidar(path, "s"), scan[:, :3])
    for few in (scan[:1], scan[::-1], scan[:, [2, 1, 0, 3, 4]], changed(scan, 5, 3000)):
        assert not lidar_content_fault(few.tobytes())


def test_numbers_of_equal_columns_are_no_layout(scan):
    """Without a layout that fits better, points need not look like a scan."""
    values = np.random.default_rng(1).normal(0, 20, (4000, 5)).astype(np.float32)
    assert not lidar_content_fault(values.tobytes())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda scan: scan[:, :4], "does not contain rows of 5 numbers, but looks like rows of 4"),
        (lambda scan: scan[:, :3], "but looks like rows of 3"),
        (lambda scan: scan[:1999, :4], "contains 31984 bytes, not rows of 5 .*like rows of 4"),
        (lambda scan: np.hstack([scan, scan[:, 4:]]), "but looks like rows of 6"),
        (lambda scan: scan.astype(float), "as if they were float64"),
        (lambda scan: scan.astype(np.float16)[:1990], "has among|bytes, not rows"),
        (lambda scan: (scan * 100).astype(np.int32), "has among|all within 0.1 m"),
        (lambda scan: scan.astype(">f4"), "has among|all within 0.1 m"),
        (lambda scan: scan * np.float32(1000), "among 2000 points .* beyond 1000 m"),
        (lambda scan: scan * np.float32(0), "all within 0.1 m of the sensor"),
        (lambda scan: changed(scan, 3, np.nan), "among 2000 points 1 that are not finite"),
        (lambda scan: changed(scan, 3, -np.inf), "among 2000 points 1 that are not finite"),
        (lambda scan: scan[:0], "contains 0 bytes"),
        (lambda scan: np.frombuffer(scan.tobytes()[:-2], np.uint8), "contains 39998 bytes"),
    ],
)
def test_other_content_is_named(scan, tmp_path: Path, change, text):
    path = tmp_path / "scan.bin"
    path.write_bytes(np.ascontiguousarray(change(scan)).tobytes())
    with pytest.raises(DataError, match=f"Lidar file {path} of sample s .*(?:{text}).*; it is dam"):
        read_lidar(path, "s")


def test_real_points_are_read_and_refused_in_rows_of_four(nuscenes_root):
    path = next((nuscenes_root / "samples" / "LIDAR_TOP").glob("*.bin"))
    values = np.fromfile(path, np.float32).reshape(-1, 5)
    assert not lidar_content_fault(values.tobytes())
    count = len(values) // 5 * 5
    assert "looks like rows of 4" in lidar_content_fault(values[:count, :4].tobytes())
    assert "looks like rows of 3" in lidar_content_fault(values[:count, :3].tobytes())
