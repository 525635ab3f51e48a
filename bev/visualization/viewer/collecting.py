"""Contents of the viewer from the key frames of a scene and the predictions of runs."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from bev.data.batch import Batch
from bev.data.dataset import KeyFrames
from bev.data.frame import Frame
from bev.data.labels import LabelSpace
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.geometry import Boxes3D, inverse_rigid
from bev.models import DetectorConfig
from bev.visualization.colors import class_color
from bev.visualization.overlays import overlay
from bev.visualization.viewer.cameras import camera_picture
from bev.visualization.viewer.contents import (
    LIDAR_STEP,
    BoxTable,
    GroundMap,
    Moment,
    NamedClass,
    Recording,
)
from bev.visualization.viewer.maps import segmentation_maps
from bev.visualization.viewer.runs import Run

GROUND_TRUTH = "ground truth"


def collect(
    scene: Frames,
    runs: Sequence[Run] = (),
    *,
    title: str = "",
    camera_width: int = 480,
    least_score: float = 0.05,
    maps: tuple[DetectorConfig, DataConfig] | None = None,
    places: Iterable[int] | None = None,
) -> Recording:
    """Collect all that the viewer shows of a scene.

    Ground truth without lidar and radar points is left out. Maps are those of the first run.

    Args:
        scene: key frames of one scene.
        runs: sets of predicted boxes.
        title: what is shown.
        camera_width: width of the images, pixels.
        least_score: predictions with a lower score are left out.
        maps: without runs, settings of a model and of its data, whose ground-truth maps are shown.
        places: indices of the frames, in order; all by default. An iterator may show progress.

    Raises:
        DataError: if an image or lidar file is damaged, or an image is missing.
    """
    spaces = [scene.labels, *(run.labels for run in runs)]
    classes = {
        name: NamedClass(name, class_color(space, label))
        for space in reversed(spaces)  # the data source decides on colours
        for label, name in enumerate(space.names)
    }
    number = {name: place for place, name in enumerate(classes)}
    numbers = [_numbers(space, number) for space in spaces]
    batches = None if maps is None or runs else KeyFrames(scene, maps[1], training=False)
    moments: list[Moment] = []
    for place in range(len(scene)) if places is None else places:
        frame = scene[place]
        if not moments:
            start, scene_from_global = frame.timestamp, _level(frame.global_from_ego)
        counted = frame.counted(1)
        tables = [_ground_truth(frame, counted, numbers[0])]
        shown: tuple[GroundMap, ...] = ()
        for index, run in enumerate(runs):
            predicted = run.at(frame)
            boxes = predicted.boxes[predicted.boxes.score >= least_score]
            tables.append(_table(boxes, numbers[index + 1]))
            shown = predicted.maps if index == 0 else shown
        if maps is not None and batches is not None:
            shown = _maps(maps[0], batches, place)
        moments.append(
            Moment(
                token=frame.token,
                seconds=(frame.timestamp - start) * 1e-6,
                scene_from_ego=(scene_from_global @ frame.global_from_ego).numpy(),
                cameras=tuple(
                    camera_picture(frame, index, camera_width)
                    for index in range(len(frame.cameras))
                ),
                boxes=tuple(tables),
                maps=shown,
                lidar=_lidar(frame),
            )
        )
    layers = (GROUND_TRUTH, *(run.name for run in runs))
    return Recording(title, scene.scenes[0], tuple(classes.values()), layers, tuple(moments))


def _numbers(space: LabelSpace, number: dict[str, int]) -> Int[np.ndarray, " C"]:
    return np.array([number[name] for name in space.names], np.int64)


def _level(global_from_ego: Tensor) -> Tensor:
    """Inverse of a pose without pitch and roll."""
    pose = global_from_ego.double()
    yaw = torch.atan2(pose[1, 0], pose[0, 0])
    level = torch.eye(4, dtype=torch.float64)
    level[0, 0], level[0, 1], level[1, 0], level[1, 1] = yaw.cos(), -yaw.sin(), yaw.sin(), yaw.cos()
    level[:3, 3] = pose[:3, 3]
    return inverse_rigid(level)


def _ground_truth(frame: Frame, counted: Tensor, numbers: Int[np.ndarray, " C"]) -> BoxTable:
    track, points = (
        None if one is None else one[counted].numpy() for one in (frame.instances, frame.num_points)
    )
    return _table(frame.boxes[counted], numbers, track, points)


def _table(
    boxes: Boxes3D,
    numbers: Int[np.ndarray, " C"],
    track: np.ndarray | None = None,
    points: np.ndarray | None = None,
) -> BoxTable:
    boxes = boxes.to("cpu").double()
    unknown = np.full(len(boxes), -1, np.int64)
    velocity = boxes.velocity.numpy().copy()
    velocity[~np.isfinite(velocity).all(axis=1)] = np.nan
    return BoxTable(
        boxes.center.numpy(),
        boxes.size.numpy(),
        boxes.yaw.numpy(),
        velocity,
        numbers[boxes.label.numpy()],
        boxes.score.numpy(),
        unknown if track is None else track.astype(np.int64),
        unknown if points is None else points.astype(np.int64),
    )


def _maps(model: DetectorConfig, batches: KeyFrames, place: int) -> tuple[GroundMap, ...]:
    batch: Batch = batches[place]
    found: list[GroundMap] = []
    for name, head in model.heads.items():
        drawn = overlay(head, None, batch, model).segmentation
        found += [] if drawn is None else segmentation_maps(name, drawn)
    return tuple(found)


def _lidar(frame: Frame) -> np.ndarray | None:
    if not frame.has_lidar:
        return None
    units = np.round(frame.load_lidar().numpy() / LIDAR_STEP)
    return units[(np.abs(units) < 2**15).all(axis=1)].astype(np.int16)
