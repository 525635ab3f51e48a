"""Export of a detector: its graph with example inputs, names and shapes, and the metadata."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bev import __version__
from bev.config import Experiment
from bev.data.batch import Batch
from bev.data.frame import CameraFrame, Frame
from bev.data.images.loading import reduction_for
from bev.errors import ConfigError
from bev.geometry import Pinhole
from bev.lab.deploy.decoding import Decoding, suppression_of
from bev.lab.deploy.geometry import adjacent_arrays, batch_arrays, geometry_of
from bev.lab.deploy.graph import DetectorGraph, array_names, center_head, check_parts
from bev.lab.deploy.pooling import pooling
from bev.lab.deploy.settings import GraphSettings
from bev.models import Detector

DECODED = ("boxes", "scores", "labels", "attributes")
"""Names of the outputs of the decoding."""

_AXES = {"mask": {2: "slots"}, "target": {2: "slots"}, "segments": {0: "segments"},
         "places": {1: "places"}, "parameters": {}, "rays": {}}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A graph with example inputs.

    Attributes:
        graph: the graph.
        inputs: example inputs, the arguments of the graph by name.
        names: name of each input tensor, in order.
        shapes: dynamic axes, nested like ``inputs``.
        outputs: names of the outputs.
        results: names of the outputs that the exported file has.
    """

    graph: DetectorGraph
    inputs: dict[str, Any]
    names: list[str]
    shapes: dict[str, Any]
    outputs: list[str]
    results: list[str]

    @property
    def dense(self) -> list[str]:
        """Names of the outputs that are no decoded boxes."""
        return [name for name in self.outputs if name not in DECODED]


def build_example(
    detector: Detector,
    batch: Batch,
    settings: GraphSettings,
    maps: bool = False,
    half: bool = False,
) -> Example:
    """Build the graph of a detector for the rig of a batch.

    Args:
        detector: trained detector in evaluation mode.
        batch: batch whose first sample has the calibration.
        settings: choices of the graph.
        maps: output the head's maps beside the decoded boxes.
        half: compute the networks in half precision.

    Raises:
        ConfigError: if the detector has a part without a graph, or the settings do not fit it.
    """
    check_parts(detector)
    passes, decode = settings.passes(detector.config), settings.decoded(detector.config)
    planes, rows, columns = detector.config.grid.shape
    form = pooling(settings.pooling, planes * rows * columns)
    decoding = None if decode == "maps" else Decoding(decode == "boxes")
    arrays, fixed = batch_arrays(detector, batch, passes), settings.calibration == "fixed"
    constants = arrays if fixed else None
    network = copy.deepcopy(detector).half() if half else detector  # arrays are those of float32
    graph = DetectorGraph(network, form, decoding, passes, constants, maps).eval()
    wanted = array_names(detector, form)
    size = torch.export.Dim("batch")
    images = batch.views.images[:1].repeat(2, 1, 1, 1, 1)
    inputs: dict[str, Any] = {"images": images}
    shapes: dict[str, Any] = {"images": {0: size}}
    names = ["images"]

    def add_arrays(found: list[dict[str, Tensor]], prefix: str) -> tuple[Any, Any]:
        values, axes = [], []
        for number, one in enumerate(found):
            ending = f"{prefix}{'_flipped' * number}"
            values.append({name: _roomy(one)[name] for name in wanted})
            axes.append(
                {
                    n: {a: torch.export.Dim(f"{s}{ending}") for a, s in _AXES[n].items()}
                    for n in wanted
                }
            )
            names.extend(f"{name}{ending}" for name in wanted)
        return values, axes

    if not fixed:
        inputs["calibration"], shapes["calibration"] = add_arrays(arrays, "")
    for number, views in enumerate(batch.adjacent):
        ending = f"_adjacent{number}"
        with torch.no_grad():
            features = network.neck(network.backbone(images.flatten(0, 1)))
        features = features.unflatten(0, (2, -1)).unsqueeze(1).repeat(1, passes, 1, 1, 1, 1)
        names += [f"features{ending}", f"seconds{ending}"]
        own, axes = add_arrays(adjacent_arrays(detector, batch, number, passes), ending)
        seconds = views.seconds[:1].repeat(2)
        past = {"features": features, "seconds": seconds, "calibration": own}
        inputs.setdefault("adjacent", []).append(past)
        own_axes = {"features": {0: size}, "seconds": {0: size}, "calibration": axes}
        shapes.setdefault("adjacent", []).append(own_axes)
    with torch.no_grad():
        outputs = list(graph(**inputs))
    results = [n for n in outputs if decode == "maps" or not n.startswith("task")]
    return Example(graph, inputs, names, shapes, outputs, results)


def _roomy(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Arrays with at least two slots and places: torch.export takes sizes of 1 for constants."""
    arrays = dict(arrays)
    if arrays["mask"].shape[2] == 1:
        arrays["mask"] = torch.nn.functional.pad(arrays["mask"], (0, 0, 0, 0, 0, 1))
        cells = arrays["places"].shape[0]
        arrays["target"] = torch.nn.functional.pad(arrays["target"], (0, 0, 0, 1), value=cells)
    if arrays["places"].shape[1] == 1:
        empty = len(arrays["segments"]) - 1
        arrays["places"] = torch.nn.functional.pad(arrays["places"], (0, 1), value=empty)
    return arrays


def check_lenses(
    cameras: Sequence[CameraFrame], detector: Detector, settings: GraphSettings
) -> None:
    """Check that the inputs of a graph can be made by affine warps and for pinholes.

    Raises:
        ConfigError: for images whose distortion is removed on loading, and for a lens that the
            network is given where calibration arrays are inputs.
    """
    for camera in cameras:
        if camera.stored is not None:
            raise ConfigError(
                f"Camera {camera.name} has distortion, which users of an exported graph do not"
                " remove; undistort its images first (cv2.undistort, or cv2.remap for a pinhole of"
                " its own), and export with a rig of that pinhole: its intrinsics, no distortion."
            )
        if isinstance(camera.lens, Pinhole):
            continue
        lens = f"Camera {camera.name} keeps its lens ({type(camera.lens).__name__}), and"
        if detector.config.temporal.num_adjacent:
            raise ConfigError(
                f"{lens} calibration arrays of earlier frames, inputs of a temporal graph, are"
                " computed for pinholes; export a single-frame model, or undistort the images."
            )
        if settings.calibration == "input":
            raise ConfigError(
                f"{lens} calibration inputs are computed for pinholes; set --calibration fixed, or"
                " undistort the images."
            )


def metadata(
    config: Experiment, detector: Detector, batch: Batch, frame: Frame, settings: GraphSettings
) -> dict[str, str]:
    """Metadata of an exported file: texts, and JSON where the value is no text.

    Raises:
        ConfigError: if they cannot say how the inputs are made, see :func:`check_lenses`.
    """
    check_lenses(frame.cameras, detector, settings)
    labels = config.model.label_space
    size = batch.image_size
    matrices = batch.views.cameras.image_from_original[0].double()
    cameras = [
        {
            "name": camera.name,
            "size": list(camera.size),
            "image_from_original": matrix.tolist(),
            **_opencv(matrix, camera.size),
            "lens": type(camera.lens).__name__,
            "intrinsics": camera.intrinsics.tolist(),
            "ego_from_camera": camera.ego_from_camera.tolist(),
        }
        for camera, matrix in zip(frame.cameras, matrices, strict=True)
    ]
    adjacent = config.data.adjacent
    values: dict[str, Any] = {
        "producer": f"bevlab {__version__}",
        "classes": list(labels.names),
        "attributes": list(labels.attributes),
        "grid": {axis: list(getattr(config.model.grid, axis)) for axis in "xyz"},
        "cameras": cameras,
        "image_size": list(size),
        "preprocessing": "per camera: cv2.imread(path, opencv_flags), cv2.warpAffine(…,"
        " opencv_affine, (width, height)), BGR to RGB; uint8, B N 3 H W",
        "boxes": "x y z length width height yaw vx vy; metres, radians, m/s; ego frame",
        "calibration": settings.calibration,
        "pooling": settings.pooling,
        "decode": settings.decoded(detector.config),
        "passes": settings.passes(detector.config),
        "geometry": geometry_of(detector, size),
        "adjacent": [[float(o) for o in adjacent.offsets()], adjacent.unit],
    }  # fmt: skip
    head = center_head(detector)
    if head is not None and values["decode"] == "candidates":
        values["nms"] = suppression_of(head)
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}


def _opencv(matrix: Tensor, size: tuple[int, int]) -> dict[str, Any]:
    """How OpenCV decodes and warps an image of this size as the data loader does."""
    import cv2

    reduction = reduction_for(matrix, size)
    flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
             8: cv2.IMREAD_REDUCED_COLOR_8}[reduction]  # fmt: skip
    half = torch.tensor([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64)
    scaled = matrix @ torch.tensor([reduction, reduction, 1.0], dtype=torch.float64).diag()
    affine = torch.inverse(half) @ scaled @ half
    return {
        "opencv_flags": flags | cv2.IMREAD_IGNORE_ORIENTATION,
        "opencv_shape": [size[0] // reduction, size[1] // reduction, 3],
        "opencv_affine": affine[:2].tolist(),
    }
