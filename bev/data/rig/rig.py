"""A rig: calibrated cameras that are mounted on a vehicle or robot, and the names of their images.

Intrinsics follow the project's convention: the centre of the first pixel is (0.5, 0.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from bev.data.frame import CameraFrame, StoredImage
from bev.data.rig.values import check_intrinsics, check_rigid
from bev.errors import DataError
from bev.geometry import KannalaBrandt, Lens, Pinhole, RadialTangential

DistortionModel = Literal["plumb_bob", "rational_polynomial", "fisheye"]

_MODELS: dict[str, DistortionModel] = {
    "plumb_bob": "plumb_bob",
    "radial_tangential": "plumb_bob",
    "radtan": "plumb_bob",
    "rational_polynomial": "rational_polynomial",
    "rational": "rational_polynomial",
    "fisheye": "fisheye",
    "equidistant": "fisheye",
    "kannala_brandt": "fisheye",
}


def distortion_model(name: object) -> DistortionModel | None:
    """Model of a name, those of ROS and Kalibr among them; None for any other value."""
    return _MODELS.get(name.lower().replace("-", "_")) if isinstance(name, str) else None


@dataclass(frozen=True)
class Distortion:
    """OpenCV's distortion of a camera.

    Attributes:
        model: ``plumb_bob`` (radial-tangential), ``rational_polynomial`` or ``fisheye``.
        coefficients: k1, k2, p1, p2 and k3 (plumb_bob, 4 or 5 numbers), and k4, k5, k6
            (rational_polynomial, 8 numbers); k1 to k4 (fisheye).
        max_angle: half the field of view of a fisheye, radians; None for the angle up to which its
            polynomial increases.
    """

    model: DistortionModel
    coefficients: tuple[float, ...]
    max_angle: float | None = None

    def lens(self) -> Lens:
        """The lens with this distortion.

        Raises:
            ConfigError: if the coefficients do not fit the model.
        """
        if self.model == "fisheye":
            return KannalaBrandt.make(self.coefficients, self.max_angle)
        return RadialTangential.make(self.coefficients)


@dataclass(frozen=True)
class PinholeView:
    """Virtual pinhole camera that shows the image of a distorted one.

    Attributes:
        intrinsics: (3, 3) float64.
        size: (height, width), pixels; None for that of the stored image.

    Raises:
        DataError: if ``intrinsics`` are no matrix of a pinhole.
    """

    intrinsics: Float[Tensor, "3 3"]
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        _make_double(self, "intrinsics")
        check_intrinsics(self.intrinsics, "Intrinsics of a pinhole")


@dataclass(frozen=True)
class RigCamera:
    """One camera of a rig.

    Attributes:
        name: name of the camera, unique in the rig.
        intrinsics: (3, 3) float64, of the stored images.
        ego_from_camera: (4, 4) float64, pose of the camera on the vehicle.
        size: (height, width) of the stored images, pixels; None if it is read from the images.
        distortion: distortion of the stored images, or None.
        images: pattern of the image files, relative to the folder of the images, see
            ``bev.data.rig.patterns``.
        pinhole: pinhole whose image is made of the distorted one; None for one with the intrinsics
            and the size of the stored images.
        keep_lens: do not remove the distortion; the network is given the lens.

    Raises:
        DataError: if ``intrinsics`` are no matrix of a pinhole, or ``ego_from_camera`` is no rigid
            transform in metres.
    """

    name: str
    intrinsics: Float[Tensor, "3 3"]
    ego_from_camera: Float[Tensor, "4 4"]
    size: tuple[int, int] | None = None
    distortion: Distortion | None = None
    images: str = "*"
    pinhole: PinholeView | None = None
    keep_lens: bool = False

    def __post_init__(self) -> None:
        _make_double(self, "intrinsics", "ego_from_camera")
        check_intrinsics(self.intrinsics, f"Camera {self.name}: intrinsics")
        check_rigid(self.ego_from_camera, f"Camera {self.name}: ego_from_camera")

    def frame(
        self,
        path: Path,
        size: tuple[int, int] | None = None,
        ego_from_camera: Float[Tensor, "4 4"] | None = None,
    ) -> CameraFrame:
        """Image and calibration for one image of the camera.

        Args:
            path: image file.
            size: (height, width) of the file; needed if the rig does not state it.
            ego_from_camera: pose of the camera, if it is another one than that of the rig.

        Raises:
            DataError: if neither the rig nor the caller states the size.
        """
        stored = self.size or size
        if stored is None:
            raise DataError(
                f"The size of the images of camera {self.name} is unknown; give width and height in"
                " the rig."
            )
        own = CameraFrame(
            name=self.name,
            path=path,
            size=stored,
            intrinsics=self.intrinsics,
            ego_from_camera=self.ego_from_camera if ego_from_camera is None else ego_from_camera,
        )
        if self.distortion is None:
            return own
        lens = self.distortion.lens()
        if self.keep_lens:
            return replace(own, lens=lens)
        view = self.pinhole or PinholeView(self.intrinsics)
        return replace(
            own,
            size=view.size or stored,
            intrinsics=view.intrinsics,
            lens=Pinhole(),
            stored=StoredImage(stored, self.intrinsics, lens),
        )


@dataclass(frozen=True)
class Rig:
    """Cameras of a vehicle or robot, in the order in which they are served.

    Raises:
        DataError: if there is no camera, or two have one name.
    """

    cameras: tuple[RigCamera, ...]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise DataError("The rig has no cameras; give at least one.")
        for name in self.names:
            if self.names.count(name) > 1:
                raise DataError(f"The rig has camera {name!r} twice; give each a name of its own.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cameras."""
        return tuple(camera.name for camera in self.cameras)

    def take(self, names: Sequence[str]) -> "Rig":
        """The cameras of these names, in this order.

        Raises:
            DataError: if the rig lacks one.
        """
        own = dict(zip(self.names, self.cameras, strict=True))
        for name in names:
            if name not in own:
                raise DataError(f"The rig has no camera {name!r}; it has {', '.join(self.names)}.")
        return Rig(tuple(own[name] for name in names))


def _make_double(record: RigCamera | PinholeView, *names: str) -> None:
    """Convert matrices of a frozen record to float64, with which distortion is computed."""
    for name in names:
        object.__setattr__(record, name, getattr(record, name).double())
