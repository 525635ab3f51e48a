"""Nodes of viser from arrays: lines, arrows, and bodies of boxes; decoded images."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from bev.visualization.colors import Color
from bev.visualization.viewer.shapes import front_faces, rotations

if TYPE_CHECKING:
    import viser

_CUBE = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_FACES = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
                   [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])  # fmt: skip


def lines(
    scene: "viser.SceneApi",
    name: str,
    ends: np.ndarray,
    colors: Color | np.ndarray,
    thickness: float,
) -> list["viser.SceneNodeHandle"]:
    """Line segments (S, 2, 3) of one colour, or of a colour each (S, 3); none for no segments.

    The thickness is in pixels.
    """
    return [
        scene.add_line_segments(part, some, color, thickness=thickness, thickness_units="screen")
        for part, some, color in _by_color(name, ends, colors)
    ]


def arrows(
    scene: "viser.SceneApi", name: str, ends: np.ndarray, colors: np.ndarray
) -> list["viser.SceneNodeHandle"]:
    """Arrows from starts to tips (S, 2, 3) in colours (S, 3); none for no arrows."""
    return [
        scene.add_arrows(part, some, color, shaft_radius=0.05, head_radius=0.2, head_length=0.5)
        for part, some, color in _by_color(name, ends, colors)
    ]


def _by_color(
    name: str, ends: np.ndarray, colors: Color | np.ndarray
) -> Iterator[tuple[str, np.ndarray, Color]]:
    """Name, segments and colour of the segments of each colour.

    viser 1.1 shows colours of single segments too bright: it does not convert them from sRGB.
    """
    each = np.broadcast_to(np.asarray(colors, np.uint8).reshape(-1, 3), (len(ends), 3))
    for number, color in enumerate(np.unique(each, axis=0)):
        red, green, blue = color.tolist()
        yield f"{name}/{number}", ends[(each == color).all(axis=1)], (red, green, blue)


def bodies(
    scene: "viser.SceneApi",
    name: str,
    corners: np.ndarray,
    size: np.ndarray,
    colors: np.ndarray,
    opacity: float,
) -> "viser.BatchedMeshHandle":
    """Translucent bodies of boxes, of which a click finds the index."""
    return scene.add_batched_meshes_simple(
        name, _CUBE, _FACES, quaternions(rotations(corners)), corners.mean(axis=1),
        batched_scales=size, batched_colors=colors, lod="off", opacity=opacity, side="double",
        cast_shadow=False, receive_shadow=False,
    )  # fmt: skip


def fronts(
    scene: "viser.SceneApi", name: str, corners: np.ndarray, colors: np.ndarray
) -> list["viser.SceneNodeHandle"]:
    """Filled front faces, one mesh for each colour."""
    nodes: list[viser.SceneNodeHandle] = []
    for number, color in enumerate(np.unique(colors, axis=0)):
        vertices, faces = front_faces(corners[(colors == color).all(axis=1)])
        nodes.append(
            scene.add_mesh_simple(
                f"{name}/{number}", vertices, faces, color=tuple(color.tolist()), opacity=0.55,
                side="double", cast_shadow=False, receive_shadow=False,
            )
        )  # fmt: skip
    return nodes


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4), w first, of rotation matrices (..., 3, 3)."""
    from viser.transforms import SO3

    return SO3.from_matrix(rotations).wxyz


def decoded(data: bytes, channels: int) -> np.ndarray:
    """Decode an image to RGB or RGBA; a grey one stands for what OpenCV cannot decode."""
    flags = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None or image.dtype != np.uint8 or image.shape[2:] != (channels,):
        return np.full((4, 4, channels), 128, np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGBA)
