"""Export of a checkpoint for the rig of a file, or of the data."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bev.config import Experiment
from bev.data.adjacent import ALONE
from bev.data.augmentation import BevAugmentation, draw
from bev.data.batch import AdjacentViews, Batch, Views
from bev.data.dataset import KeyFrames
from bev.data.frame import CameraFrame, Frame
from bev.data.polygons import PolygonConfig
from bev.data.rig import load_rig
from bev.data.settings import DataChoice, DataConfig
from bev.errors import ConfigError, DataError
from bev.files import replacing
from bev.geometry import Cameras, stack_lenses
from bev.lab.deploy.exporting import (
    Example,
    Format,
    build_example,
    metadata,
    onnx_model,
    openvino_model,
    write,
    write_openvino,
)
from bev.lab.deploy.int8 import quantized_onnx, quantized_openvino
from bev.lab.deploy.runtime import OnnxRunner, OpenVinoRunner
from bev.lab.deploy.scoring import figures
from bev.lab.deploy.settings import GraphSettings, Int8Settings
from bev.models import Detector
from bev.models.folding import fold_batch_norms
from bev.training.checkpoint import load_checkpoint


def export_graph(
    checkpoint: Path,
    out: Path,
    form: Format,
    rig: Path | None,
    settings: GraphSettings,
    data: DataChoice,
    int8: Int8Settings,
    score: bool = False,
) -> Iterator[str]:
    """Export the graph of a checkpoint; yields sentences about what is written and measured.

    Args:
        checkpoint: checkpoint, exported weights, or the name of a shipped model.
        out: output file.
        form: its format.
        rig: rig of the calibration; None for that of the data.
        settings: choices of the graph.
        data: location of the data.
        int8: settings of the quantisation.
        score: evaluate the written file on the validation split.

    Raises:
        ConfigError: if the detector or the settings do not fit the format.
    """
    config, detector = load_checkpoint(checkpoint)
    fold_batch_norms(detector)
    config = replace(config, data=data.apply(config.data))
    frame = rig_frame(rig) if rig is not None else first_frame(config.data)
    batch = example_batch(config, detector, frame)
    example = build_example(detector, batch, settings)
    notes = metadata(config, detector, batch, frame, settings)
    alone = example.names == ["images"] and "boxes" in example.outputs
    if (int8.on or score) and not (alone and form != "torch-export"):
        raise ConfigError(
            "--int8 and --score need a single-frame model of fixed calibration with decoded boxes,"
            " as --format onnx or openvino."
        )
    beside: list[Path] = []
    if int8.on:
        yield from _write_int8(config, detector, batch, example, notes, out, form, settings, int8)
    else:
        beside = write(example, notes, out, form, settings)
    yield f"{out} is written, {out.stat().st_size / 2**20:.1f} MiB"
    yield f"inputs: {', '.join(example.names)}; outputs: {', '.join(example.outputs)}"
    for path in beside:
        yield f"{path} computes the calibration inputs (numpy alone)"
    if score:
        found = figures(OnnxRunner(out) if form == "onnx" else OpenVinoRunner(out), config)
        yield ", ".join(f"{name} {value:.4f}" for name, value in found.items())


def _write_int8(
    config: Experiment,
    detector: Detector,
    batch: Batch,
    example: Example,
    notes: dict[str, str],
    out: Path,
    form: Format,
    settings: GraphSettings,
    int8: Int8Settings,
) -> Iterator[str]:
    model = onnx_model(example, notes, settings)
    choice = replace(settings, decode="maps")
    maps = onnx_model(build_example(detector, batch, choice), {}, choice)
    feeds = calibration_frames(config.data, int8.frames)
    lines: list[str] = []
    content, kept = quantized_onnx(model, maps, feeds, int8.tolerance, lines.append)
    yield from lines
    yield f"in float: {', '.join(kept) or 'none'}"
    notes["int8_in_float"] = json.dumps(kept)
    if form == "openvino":
        write_openvino(quantized_openvino(openvino_model(model, notes), feeds, kept), out)
    else:
        with replacing(out) as partial:
            partial.write_bytes(content)


def calibration_frames(data: DataConfig, count: int) -> list[dict[str, np.ndarray]]:
    """Images of training frames, evenly spread, prepared as in evaluation."""
    plain = replace(data, adjacent=ALONE, lidar=False, polygons=PolygonConfig(), image_cache=0.0)
    source = plain.source.open(plain)
    frames = KeyFrames(source.frames(plain.splits[0]), plain, training=False)
    places = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [{"images": frames[int(place)].views.images.numpy()} for place in places]


def rig_frame(path: Path) -> Frame:
    """A frame with the cameras of a rig and without images.

    Raises:
        DataError: if the rig does not state the size of the images of a camera.
    """
    return Frame("rig", tuple(camera.frame(Path(camera.name)) for camera in load_rig(path).cameras))


def first_frame(data: DataConfig) -> Frame:
    """First validation frame of the data, for its calibration.

    Raises:
        DataError: if there is none.
    """
    plain = replace(data, adjacent=ALONE, lidar=False, polygons=PolygonConfig(), image_cache=0.0)
    frames = data.source.open(plain).frames(data.splits[1])
    if not len(frames):
        raise DataError(f"Split {data.splits[1]} has no frame; name a rig with --rig rig.yaml.")
    return frames[0]


def example_batch(config: Experiment, detector: Detector, frame: Frame) -> Batch:
    """Batch with the calibrations of a frame, black images, and itself as adjacent frames."""
    data = config.data
    views = calibrated(frame.cameras, data)
    adjacent = [
        AdjacentViews(**vars(views), ego_from_adjacent=torch.eye(4)[None], seconds=torch.zeros(1))
        for _ in range(detector.config.temporal.num_adjacent)
    ]
    return Batch(views, torch.eye(4)[None], [], [], torch.eye(4).double()[None], adjacent)


def calibrated(cameras: Sequence[CameraFrame], data: DataConfig) -> Views:
    """Views of cameras with black images, prepared as in evaluation."""
    augmentation = data.image_augmentation.still(data.test_scale)
    drawn = draw(
        augmentation,
        BevAugmentation.off(),
        [camera.size for camera in cameras],
        data.image_size,
        np.random.default_rng(0),
        [augmentation.horizon_of(camera) for camera in cameras],
    )
    calibrations = Cameras(
        intrinsics=torch.stack([c.intrinsics for c in cameras]),
        ego_from_camera=torch.stack([c.ego_from_camera for c in cameras]),
        image_from_original=torch.stack(drawn.image_from_original),
        lens=stack_lenses([c.lens for c in cameras]),
    )
    images = torch.zeros(1, len(cameras), 3, *data.image_size, dtype=torch.uint8)
    return Views(images, calibrations.to(torch.float32)[None], ["rig"])
