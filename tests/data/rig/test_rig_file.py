"""Rig files: what is written is read again without rounding; each fault is one sentence."""

from pathlib import Path

import pytest
import torch
import yaml
from commands import ROOT
from hypothesis import given
from hypothesis import strategies as st
from pages import blocks
from pyquaternion import Quaternion

from bev.data.rig import Distortion, PinholeView, Rig, RigCamera, load_rig, save_rig
from bev.errors import DataError

FORWARD = [[0, 0, 1, 1.5], [-1, 0, 0, 0.1], [0, -1, 0, 1.6], [0, 0, 0, 1]]
LENS = {"fx": 500.0, "fy": 510, "cx": 319.5, "cy": 239.5}


def camera(**changes) -> dict:
    plain = {"name": "front", "intrinsics": LENS, "ego_from_camera": FORWARD}
    return {key: value for key, value in (plain | changes).items() if value is not None}


def write(folder: Path, *cameras, **whole) -> Path:
    path = folder / "rig.yaml"
    path.write_text(yaml.dump({"cameras": list(cameras), **whole}))
    return path


def numbers(least: float, most: float) -> st.SearchStrategy:
    return st.floats(least, most, allow_subnormal=False)


@st.composite
def cameras(draw) -> dict:
    """Arguments of a camera."""
    fx, fy, cx, cy = (draw(numbers(1, 3000)) for _ in range(4))
    coefficients = tuple(draw(numbers(-0.01, 0.01)) for _ in range(4))
    model = draw(st.sampled_from([None, "plumb_bob", "fisheye"]))
    limit = draw(st.none() | numbers(0.1, 1.0)) if model == "fisheye" else None
    return {
        "matrix": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
        "turn": [draw(numbers(0.1, 1)) for _ in range(4)],
        "place": [draw(numbers(-5, 5)) for _ in range(3)],
        "size": draw(st.none() | st.tuples(st.integers(1, 4000), st.integers(1, 4000))),
        "distortion": (model, coefficients, limit) if model else None,
        "removed": draw(st.sampled_from(["no", "chosen", "stated"])),
    }


def built(name: str, given: dict) -> RigCamera:
    matrix = torch.tensor(given["matrix"], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(Quaternion(given["turn"]).normalised.rotation_matrix)
    pose[:3, 3] = torch.tensor(given["place"])
    distortion = given["distortion"] and Distortion(*given["distortion"])
    stated = distortion and given["removed"] == "stated"
    return RigCamera(
        name, matrix, pose, given["size"], distortion, f"{name}/*.jpg",
        PinholeView(matrix, given["size"]) if stated else None,
        bool(distortion) and given["removed"] == "no",
    )  # fmt: skip


@given(cameras(), cameras())
def test_a_rig_is_read_as_it_was_written(tmp_path_factory, front, back):
    rig = Rig((built("front", front), built("bäck", back)))
    path = tmp_path_factory.mktemp("rig") / "rig.yaml"
    assert_same(load_rig(save_rig(rig, path)), rig)


def assert_same(found: Rig, expected: Rig) -> None:
    assert found.names == expected.names
    for one, other in zip(found.cameras, expected.cameras, strict=True):
        assert torch.equal(one.intrinsics, other.intrinsics)
        assert torch.equal(one.ego_from_camera, other.ego_from_camera)
        assert (one.size, one.distortion, one.images, one.keep_lens) == (
            other.size, other.distortion, other.images, other.keep_lens,
        )  # fmt: skip
        assert (one.pinhole is None) == (other.pinhole is None)
        if one.pinhole is not None and other.pinhole is not None:
            assert torch.equal(one.pinhole.intrinsics, other.pinhole.intrinsics)
            assert one.pinhole.size == other.pinhole.size


def test_pixel_centres_are_those_of_opencv_unless_the_file_states_others(tmp_path):
    """cx = 319.5 of OpenCV is the middle of 640 pixels, which is 320 here."""
    plain, half = camera(), camera(name="b", pixel_centers="half")
    rig = load_rig(write(tmp_path, plain, half))
    assert [one.intrinsics[:2, 2].tolist() for one in rig.cameras] == [[320, 240], [319.5, 239.5]]
    again = load_rig(write(tmp_path, plain, pixel_centers="half"))
    assert again.cameras[0].intrinsics.tolist() == [[500, 0, 319.5], [0, 510, 239.5], [0, 0, 1]]


def test_a_pose_is_a_matrix_or_a_translation_and_a_quaternion(tmp_path):
    """w, x, y, z = (0.5, -0.5, 0.5, -0.5) turns z (forward) to x, x (right) to -y."""
    same = {"translation": [1.5, 0.1, 1.6], "rotation": [0.5, -0.5, 0.5, -0.5]}
    rig = load_rig(write(tmp_path, camera(), camera(name="b", ego_from_camera=same)))
    one, other = (found.ego_from_camera for found in rig.cameras)
    assert one.tolist() == FORWARD
    torch.testing.assert_close(one, other, rtol=0, atol=1e-15)


CAMERA_INFO = """
image_width: 640
image_height: 480
camera_name: narrow
camera_matrix: {rows: 3, cols: 3, data: [500., 0., 319.5, 0., 510., 239.5, 0., 0., 1.]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.3, 0.1, 0.001, 0.002, 0.]}
rectification_matrix: {rows: 3, cols: 3, data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]}
"""


def test_a_camera_info_file_gives_size_intrinsics_and_distortion(tmp_path):
    (tmp_path / "narrow.yaml").write_text(CAMERA_INFO)
    named = camera(intrinsics=None, camera_info="narrow.yaml")
    found = load_rig(write(tmp_path, named, pixel_centers="half")).cameras[0]
    assert found.size == (480, 640)
    assert found.intrinsics.tolist() == [[500, 0, 320], [0, 510, 240], [0, 0, 1]]
    assert found.distortion == Distortion("plumb_bob", (-0.3, 0.1, 0.001, 0.002, 0.0))
    with pytest.raises(DataError, match="front: width is 320, but 640 in its camera_info"):
        load_rig(write(tmp_path, named | {"width": 320, "height": 240}))


def test_zeros_are_no_distortion_but_of_a_fisheye(tmp_path):
    """A fisheye without coefficients images the angle, not its tangent."""
    zeros = CAMERA_INFO.replace("[-0.3, 0.1, 0.001, 0.002, 0.]", "[0., 0., 0., 0.]")
    fisheye = zeros.replace("plumb_bob", "equidistant")
    named = camera(intrinsics=None, camera_info="lens.yaml")
    for text, expected in (zeros, None), (fisheye, Distortion("fisheye", (0.0,) * 4)):
        (tmp_path / "lens.yaml").write_text(text)
        assert load_rig(write(tmp_path, named)).cameras[0].distortion == expected


MESSAGE = """header: {seq: 7}
height: 480
width: 640
distortion_model: plumb_bob
D: [-0.3, 0.1, 0.001, 0.002, 0.0]
K: [500.0, 0.0, 319.5, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0]
binning_x: 2
binning_y: 3
roi: {x_offset: 40, y_offset: 30, height: 300, width: 400, do_rectify: false}
---
K: [1, 0, 1, 0, 1, 1, 0, 0, 1]
---
"""


def test_a_message_of_joined_pixels_of_a_part(tmp_path):
    """As image_geometry computes: (fx, cx - x_offset) / binning_x; of messages, the first."""
    named = camera(intrinsics=None, camera_info="message.yaml")
    (tmp_path / "message.yaml").write_text(MESSAGE)
    found = load_rig(write(tmp_path, named)).cameras[0]
    assert found.size == (100, 200)
    # rig files are read with integer pixel centres: half a pixel is added
    assert found.intrinsics[0].tolist() == [250, 0, (319.5 - 40) / 2 + 0.5]
    assert found.intrinsics[1].tolist() == [0, 170, (239.5 - 30) / 3 + 0.5]
    full = MESSAGE.replace("400", "0").replace("300", "0").replace("40,", "0,").replace("30,", "0,")
    (tmp_path / "message.yaml").write_text(full)
    found = load_rig(write(tmp_path, named)).cameras[0]
    assert found.size == (160, 320) and found.intrinsics[0, 2] == 319.5 / 2 + 0.5
    for before, after, words in (
        ("binning_x: 2", "binning_x: -2", "binning_x -2; give a whole number"),
        ("x_offset: 40", "x_offset: 1.5", r"roi\.x_offset 1\.5; give a whole number"),
        ("binning_y: 3", "binning_y: 400", "has the height 300; correct it"),
    ):
        (tmp_path / "message.yaml").write_text(MESSAGE.replace(before, after))
        with pytest.raises(DataError, match=words):
            load_rig(write(tmp_path, named))


NAMED = "distortion_model: plumb_bob\n"


@pytest.mark.parametrize("line", ["", "distortion_model: ''\n", "distortion_model: none\n"])
def test_coefficients_need_the_name_of_their_model(tmp_path, line):
    """ROS's image_geometry refuses to rectify such a camera too."""
    (tmp_path / "lens.yaml").write_text(CAMERA_INFO.replace(NAMED, line))
    file = write(tmp_path, camera(intrinsics=None, camera_info="lens.yaml"))
    with pytest.raises(DataError, match=r"-0\.3, 0\.1.*give plumb_bob, rational_polynomial or"):
        load_rig(file)
    zeros = CAMERA_INFO.replace(NAMED, line).replace("[-0.3, 0.1, 0.001, 0.002, 0.]", "[0., 0.]")
    (tmp_path / "lens.yaml").write_text(zeros)
    assert load_rig(file).cameras[0].distortion is None


def test_a_pinhole_has_the_pixel_centres_of_the_rig_file(tmp_path):
    """The other file's are always OpenCV's."""
    (tmp_path / "narrow.yaml").write_text(CAMERA_INFO)
    named = camera(intrinsics=None, camera_info="narrow.yaml", pinhole={"intrinsics": LENS})
    for centres, shift in ("half", 0.0), ("integer", 0.5):
        found = load_rig(write(tmp_path, named, pixel_centers=centres)).cameras[0]
        assert found.intrinsics[:2, 2].tolist() == [320, 240]
        assert found.pinhole.intrinsics[:2, 2].tolist() == [319.5 + shift, 239.5 + shift]


def test_matrices_of_a_rig_are_float64():
    made = RigCamera("a", torch.eye(3), torch.eye(4), pinhole=PinholeView(torch.eye(3)))
    matrices = (made.intrinsics, made.ego_from_camera, made.pinhole.intrinsics)
    assert {matrix.dtype for matrix in matrices} == {torch.float64}


def test_the_example_of_the_page_is_a_rig(tmp_path):
    page = ROOT / "docs" / "rigs.md"
    (tmp_path / "rig.yaml").write_text(blocks(page, "yaml")[0])
    (tmp_path / "rear.yaml").write_text(CAMERA_INFO)
    front, rear = load_rig(tmp_path / "rig.yaml").cameras
    assert front.intrinsics[:2, 2].tolist() == [640, 360] and rear.size == (480, 640)
    assert rear.ego_from_camera[:3, 2].tolist() == [-1, 0, 0]


MIRRORED = [[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 1], [0, 0, 0, 1]]
SKEWED = [[0, 0, 1, 0], [-1, 0, 0.1, 0], [0, -1, 0, 1], [0, 0, 0, 1]]
FAULTS = {
    "front has the unknown key 'pose'; did you mean": camera(pose=1),
    "front has no ego_from_camera": camera(ego_from_camera=None),
    "front has no intrinsics; add intrinsics or camera_info": camera(intrinsics=None),
    "intrinsics has no cy": camera(intrinsics={"fx": 1, "fy": 1, "cx": 1}),
    "intrinsics: fx is nan": camera(intrinsics=LENS | {"fx": float("nan")}),
    "intrinsics is .* give .fx, 0, cx.": camera(intrinsics=LENS | {"fx": -5}),
    "3 rows of 3 numbers": camera(intrinsics=[1, 2]),
    "has the last row": camera(ego_from_camera=[*FORWARD[:3], [0, 0, 1, 1]]),
    "not orthonormal": camera(ego_from_camera=SKEWED),
    "mirrors .its determinant is -1": camera(ego_from_camera=MIRRORED),
    "has length 2; give a unit quaternion": camera(
        ego_from_camera={"translation": [0, 0, 1], "rotation": [1, 1, 1, 1]}
    ),
    "is 1500 m from the vehicle; give translations in metres": camera(
        ego_from_camera={"translation": [1500, 0, 1], "rotation": [1, 0, 0, 0]}
    ),
    "front has no height; give width and height, or neither": camera(width=640),
    "width is 0; give a number of pixels": camera(width=0, height=480),
    "distortion: model is 'brown'": camera(distortion={"model": "brown", "coefficients": [0] * 4}),
    "coefficients of fisheye is .* give a list of 4 numbers": camera(
        distortion={"model": "fisheye", "coefficients": [0] * 5}
    ),
    "A KannalaBrandt lens": camera(
        distortion={"model": "fisheye", "coefficients": [-1, 0, 0, 0], "max_angle": 2}
    ),
    "front has keep_lens and no distortion": camera(keep_lens=True),
    "front has pinhole and no distortion": camera(pinhole={"intrinsics": LENS}),
    "pixel_centers is 'corner'": camera(pixel_centers="corner"),
    "front: images '/a/.' leads outside": camera(images="/a/*"),
    "has several ., and it is open which one": camera(images="*/*.jpg"),
    "has .frame.; use each of sequence": camera(images="{frame}.jpg"),
    "camera_info .* cannot be read": camera(camera_info="none.yaml"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_one_sentence_that_names_the_camera(message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        load_rig(write(tmp_path, FAULTS[message]))
    text = str(caught.value)
    assert text.startswith(f"Rig {tmp_path / 'rig.yaml'}") and "camera front" in text


def test_a_file_without_cameras_or_with_one_name_twice_is_refused(tmp_path):
    for content, message in {
        "cameras: []": "has no list of cameras",
        "a": "give keys with values",
        "cameras: [{images: a}]": "has no name",
        "cameras: [": "cannot be read",
        yaml.dump({"cameras": [camera(), camera()]}): "has camera 'front' twice",
    }.items():
        (tmp_path / "rig.yaml").write_text(content)
        with pytest.raises(DataError, match=message):
            load_rig(tmp_path / "rig.yaml")
    with pytest.raises(DataError, match="cannot be read .No such file"):
        load_rig(tmp_path / "other.yaml")
