"""Cameras: from points around the car to pixels, and from pixels with depth back.

``depth`` is what the camera's lens measures: of a pinhole the z coordinate in the camera frame, of
a fisheye the distance from the camera (its rays beyond 90 degrees have no positive z).
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bev.geometry.lens import Lens, Pinhole
from bev.geometry.transforms import apply_transform, inverse_rigid

NEAREST = 0.1  # metres of depth; a nearer point, or one behind the camera, is not seen


@dataclass(frozen=True)
class Cameras:
    """A batch of calibrated cameras; ``*batch`` is usually (B, N).

    Attributes:
        intrinsics: ``(*batch, 3, 3)``, original pixels from the lens's plane.
        ego_from_camera: ``(*batch, 4, 4)``, rigid, metres. The reference ego frame is that of the
            sample; the ego motion up to each camera's own time is part of the matrix.
        image_from_original: ``(*batch, 3, 3)``, pixels of the network's image from original
            pixels.
        lens: the camera model, of the same batch; see :class:`bev.geometry.Lens`.
    """

    intrinsics: Float[Tensor, "*batch 3 3"]
    ego_from_camera: Float[Tensor, "*batch 4 4"]
    image_from_original: Float[Tensor, "*batch 3 3"]
    lens: Lens = Pinhole()

    @property
    def image_from_camera(self) -> Float[Tensor, "*batch 3 3"]:
        """Homogeneous pixels of the network's image from the lens's plane.

        For a pinhole these are camera coordinates; for any lens, directions near its axis.
        """
        return self.image_from_original @ self.intrinsics

    def project(
        self, points: Float[Tensor, "*batch P 3"]
    ) -> tuple[Float[Tensor, "*batch P 2"], Float[Tensor, "*batch P"]]:
        """Ego points (metres) to pixels and depth; where depth <= 0 the pixel means nothing."""
        in_camera = apply_transform(inverse_rigid(self.ego_from_camera), points)
        plane, depth = self.lens.project(in_camera)
        homogeneous = plane @ self.image_from_camera.transpose(-1, -2)
        return homogeneous[..., :2] / homogeneous[..., 2:], depth

    def unproject(
        self, pixels: Float[Tensor, "*batch P 2"], depth: Float[Tensor, "*batch P"]
    ) -> Float[Tensor, "*batch P 3"]:
        """Pixels with depth (metres) to ego points; the inverse of :meth:`project`.

        NaN where the lens sees nothing, as in the corners of a fisheye's image.
        """
        rays = self.rays(pixels)
        return apply_transform(self.ego_from_camera, rays * depth.unsqueeze(-1))

    def rays(self, pixels: Float[Tensor, "*batch P 2"]) -> Float[Tensor, "*batch P 3"]:
        """Camera-frame directions through pixels, of depth 1; NaN where the lens sees nothing."""
        homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
        plane = homogeneous @ torch.inverse(self.image_from_camera).transpose(-1, -2)
        return self.lens.unproject(plane)

    def to(self, *args, **kwargs) -> "Cameras":
        """Like ``Tensor.to``, for every field."""
        return Cameras(**{f.name: getattr(self, f.name).to(*args, **kwargs) for f in fields(self)})

    def __getitem__(self, index) -> "Cameras":
        """Index the batch dimensions."""
        return Cameras(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def feature_pixels(
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
    corners: bool = False,
    device: torch.device | str | None = None,
) -> Float[Tensor, "h w 2"]:
    """The image point (x, y) that each feature cell looks at.

    Column j of w looks at x = W/2 + (j - (w-1)/2) * stride, which is (j + 0.5) * stride where
    w * stride = W; backbones that do not pad have fewer columns, still centred.

    Args:
        image_size: (H, W), pixels.
        feature_size: (h, w), cells.
        stride: pixels per feature cell.
        corners: spread the cells from pixel 0 to pixel W - 1 instead, as Lift-Splat-Shoot's code
            and its successors do (off by up to half a stride; for published weights).
    """
    axes = []
    for length, cells in zip(image_size, feature_size, strict=True):
        index = torch.arange(cells, dtype=torch.float32, device=device)
        if corners:
            axes.append(index * ((length - 1) / max(cells - 1, 1)))
        else:
            axes.append(length / 2 + (index - (cells - 1) / 2) * stride)
    y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y], dim=-1)


def feature_cells(
    pixels: Float[Tensor, "*batch 2"],
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
) -> Float[Tensor, "*batch 2"]:
    """Where image points (x, y) lie among the feature cells; undoes :func:`feature_pixels`.

    Args:
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; centred in the image where they do not fill it.
        stride: pixels per feature cell.

    Returns:
        (column, row), continuous: cell (row, column) covers [column, column + 1) and
        [row, row + 1), its centre is at + 0.5. Outside of [0, w) or [0, h) there is no cell.
    """
    axes = zip(pixels.unbind(-1), image_size[::-1], feature_size[::-1], strict=True)
    places = [(pixel - length / 2) / stride + cells / 2 for pixel, length, cells in axes]
    return torch.stack(places, dim=-1)


def in_view(
    pixels: Float[Tensor, "*batch 2"],
    depth: Float[Tensor, "*batch"],
    image_size: tuple[int, int],
    nearest: float = NEAREST,
) -> Bool[Tensor, "*batch"]:
    """Whether projected points lie before the camera and within its image.

    Args:
        pixels, depth: as :meth:`Cameras.project` gives them.
        image_size: (H, W), pixels.
        nearest: depth (metres) beyond which a point is seen.
    """
    (height, width), (x, y) = image_size, pixels.unbind(-1)
    return (depth > nearest) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
