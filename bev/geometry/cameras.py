"""Calibrated cameras: projection of points to pixels, and of pixels with depth to points.

The lens defines ``depth``: for a pinhole it is the z coordinate in the camera frame, for a fisheye
the distance from the camera (rays beyond 90 degrees have no positive z).
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bev.geometry.lens import Lens, Pinhole
from bev.geometry.transforms import apply_transform, inverse_rigid

NEAREST = 0.1  # metres of depth; points nearer than this, or behind the camera, are not in view


@dataclass(frozen=True)
class Cameras:
    """A batch of calibrated cameras; ``*batch`` is usually (B, N).

    Attributes:
        intrinsics: ``(*batch, 3, 3)``, original pixels from the plane of the lens.
        ego_from_camera: ``(*batch, 4, 4)``, rigid, metres. The ego frame is the one at the
            time of the sample; the matrix includes the ego motion up to each camera's own time.
        image_from_original: ``(*batch, 3, 3)``, pixels of the network's input image from original
            pixels.
        lens: camera model with the same batch dimensions; see :class:`bev.geometry.Lens`.
    """

    intrinsics: Float[Tensor, "*batch 3 3"]
    ego_from_camera: Float[Tensor, "*batch 4 4"]
    image_from_original: Float[Tensor, "*batch 3 3"]
    lens: Lens = Pinhole()

    @property
    def image_from_camera(self) -> Float[Tensor, "*batch 3 3"]:
        """Homogeneous pixels of the network's input image from the plane of the lens.

        Points of the plane are camera coordinates for a pinhole, and directions near the optical
        axis for any lens.
        """
        return self.image_from_original @ self.intrinsics

    def project(
        self, points: Float[Tensor, "*batch P 3"]
    ) -> tuple[Float[Tensor, "*batch P 2"], Float[Tensor, "*batch P"]]:
        """Project ego points (metres) to pixels and depth; pixels with depth <= 0 are invalid."""
        in_camera = apply_transform(inverse_rigid(self.ego_from_camera), points)
        plane, depth = self.lens.project(in_camera)
        homogeneous = plane @ self.image_from_camera.transpose(-1, -2)
        return homogeneous[..., :2] / homogeneous[..., 2:], depth

    def unproject(
        self, pixels: Float[Tensor, "*batch P 2"], depth: Float[Tensor, "*batch P"]
    ) -> Float[Tensor, "*batch P 3"]:
        """Lift pixels with depth (metres) to ego points; the inverse of :meth:`project`.

        NaN for pixels outside the field of view, such as the corners of a fisheye image.
        """
        rays = self.rays(pixels)
        return apply_transform(self.ego_from_camera, rays * depth.unsqueeze(-1))

    def rays(self, pixels: Float[Tensor, "*batch P 2"]) -> Float[Tensor, "*batch P 3"]:
        """Camera-frame rays of depth 1 through pixels; NaN outside the field of view."""
        homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
        plane = homogeneous @ torch.inverse(self.image_from_camera).transpose(-1, -2)
        return self.lens.unproject(plane)

    def to(self, *args, **kwargs) -> "Cameras":
        """Apply ``Tensor.to`` to every field."""
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
    """Image point (x, y) at the centre of each feature cell.

    Column j of w is centred at x = W/2 + (j - (w-1)/2) * stride, which is (j + 0.5) * stride if
    w * stride = W. Feature maps of backbones that do not pad have fewer columns, centred likewise.

    Args:
        image_size: (H, W), pixels.
        feature_size: (h, w), cells.
        stride: pixels per feature cell.
        corners: spread the cells from pixel 0 to pixel W - 1 instead, as the code of
            Lift-Splat-Shoot and its successors does. This is off by up to half a stride, and needed
            for published weights.
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
    """Feature-map coordinates of image points (x, y); the inverse of :func:`feature_pixels`.

    Args:
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; the feature map is centred in the image if it does not fill it.
        stride: pixels per feature cell.

    Returns:
        Continuous (column, row): cell (row, column) covers [column, column + 1) and
        [row, row + 1), and its centre is at + 0.5. Values outside [0, w) or [0, h) are in no cell.
    """
    axes = zip(pixels.unbind(-1), image_size[::-1], feature_size[::-1], strict=True)
    coordinates = [(pixel - length / 2) / stride + cells / 2 for pixel, length, cells in axes]
    return torch.stack(coordinates, dim=-1)


def in_view(
    pixels: Float[Tensor, "*batch 2"],
    depth: Float[Tensor, "*batch"],
    image_size: tuple[int, int],
    nearest: float = NEAREST,
) -> Bool[Tensor, "*batch"]:
    """Mask of projected points that lie in front of the camera and within its image.

    Args:
        pixels, depth: output of :meth:`Cameras.project`.
        image_size: (H, W), pixels.
        nearest: minimum depth, metres (exclusive).
    """
    (height, width), (x, y) = image_size, pixels.unbind(-1)
    return (depth > nearest) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
