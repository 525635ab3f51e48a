"""Export of a checkpoint for the rig of a file, or of the data."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from bev.config import Experiment
from bev.data.adjacent import ALONE
from bev.data.augmentation import BevAugmentation, draw
from bev.data.batch import AdjacentViews, Batch, Views, collate
from bev.data.dataset import KeyFrames
from bev.data.frame import CameraFrame, Frame
from bev.data.polygons import PolygonConfig
from bev.data.rig import load_rig
from bev.data.settings import DataChoice, DataConfig
from bev.errors import ConfigError, DataError, print_warnings
from bev.files import replacing
from bev.geometry import Cameras, stack_lenses
from bev.lab.deploy import plan
from bev.lab.deploy.exporting import build_example, metadata
from bev.lab.deploy.formats import (
    Format,
    check_packages,
    onnx_model,
    openvino_model,
    with_metadata,
    with_outputs,
    write_onnx,
    write_openvino,
    write_torch,
)
from bev.lab.deploy.geometry import graph_inputs
from bev.lab.deploy.graph import center_head
from bev.lab.deploy.int8 import Feeds, Report, quantized
from bev.lab.deploy.runtime import runner_of
from bev.lab.deploy.scoring import figures
from bev.lab.deploy.settings import GraphSettings, Int8Settings, Precision
from bev.models import Detector
from bev.models.folding import fold_batch_norms
from bev.training.checkpoint import load_checkpoint

_NOT_FOR_TENSORRT = (
    "--int8 writes QuantizeLinear and DequantizeLinear with zero points other than 0, which"
    " TensorRT does not import, so the file of --pooling padded is not one for TensorRT; for that,"
    " omit --int8 and quantise with TensorRT's own tools."
)


def export_graph(
    checkpoint: Path,
    out: Path,
    form: Format,
    rig: Path | None,
    settings: GraphSettings,
    data: DataChoice,
    precision: Precision,
    int8: Int8Settings,
    score: bool,
    report: Report,
) -> None:
    """Export the graph of a checkpoint.

    Args:
        checkpoint: checkpoint, exported weights, or the name of a shipped model.
        out: output file.
        form: its format.
        rig: rig of the calibration; None for that of the data.
        settings: choices of the graph.
        data: location of the data.
        precision: precision of the graph.
        int8: settings of the quantisation.
        score: evaluate the written file on the validation split; candidates after NMS.
        report: receives sentences about what is written and measured.

    Raises:
        ConfigError: if the detector or the settings do not fit the format.
    """
    check_packages(form, precision == "int8", score)
    config, detector = load_checkpoint(checkpoint)
    if score:
        check_scored(detector, settings)
    if precision == "int8" and settings.pooling == "padded":
        print_warnings([_NOT_FOR_TENSORRT])
    fold_batch_norms(detector)
    config = replace(config, data=data.apply(config.data))
    frame = rig_frame(rig) if rig is not None else first_frame(config.data)
    batch = example_batch(config, detector, frame)
    notes = metadata(config, detector, batch, frame, settings)
    notes["precision"] = precision
    if form == "torch-export":
        if score or precision != "float32":
            raise ConfigError("--half, --int8 and --score need --format onnx or openvino.")
        example = build_example(detector, batch, settings)
        write_torch(example, notes, out)
    else:
        if batch.adjacent and (score or precision == "int8"):
            raise ConfigError("--int8 and --score need a single-frame model.")
        half = form == "onnx" and precision == "fp16"
        example = build_example(detector, batch, settings, maps=True, half=half)
        feeds: Feeds = ()
        if precision == "int8":
            feeds = TrainingFrames(config.data, detector, example.names, int8.frames)
            report(f"ranges of INT8 are measured on {len(feeds)} training frames")
        model = onnx_model(example, settings)
        if precision == "int8":
            model, kept = quantized(model, example.dense, feeds, int8.tolerance, report)
            notes["int8_in_float"] = json.dumps(kept)
        model = with_outputs(model, example.results)
        if form == "onnx":
            write_onnx(with_metadata(model, notes), out)
        else:
            write_openvino(openvino_model(model), notes, out, half=precision == "fp16")
    written = [out, out.with_suffix(".bin")] if form == "openvino" else [out]
    size = sum(path.stat().st_size for path in written)
    report(f"{out} is written, {size / 2**20:.1f} MiB")
    report(f"inputs: {', '.join(example.names)}; outputs: {', '.join(example.results)}")
    if example.names != ["images"]:
        beside = out.with_name(f"{out.stem}_plan.py")
        with replacing(beside) as partial:
            shutil.copyfile(plan.__file__, partial)
        report(f"{beside} computes the calibration inputs (numpy alone)")
    if score:
        nms = json.loads(notes["nms"]) if "nms" in notes else None
        found = figures(runner_of(out), detector, config, nms)
        fixed = settings.calibration == "fixed"
        which = "one calibration was used for all frames" if fixed else "own calibrations"
        report(f"{', '.join(f'{n} {v:.4f}' for n, v in found.items())} ({which})")


def check_scored(detector: Detector, settings: GraphSettings) -> None:
    """Check that the outputs of a graph are boxes, which ``--score`` evaluates.

    Raises:
        ConfigError: if the detector has no head for them, or the settings do not decode them.
    """
    if center_head(detector) is None:
        raise ConfigError(
            "--score evaluates boxes, and this model detects none; omit it, and evaluate the"
            " checkpoint with bevlab evaluate."
        )
    if settings.decoded(detector.config) == "maps":
        raise ConfigError("--score needs decoded boxes; omit --decode maps.")


class TrainingFrames(Sequence[Mapping[str, np.ndarray]]):
    """Inputs of a graph for training frames, evenly spread, loaded when they are read.

    Args:
        data: settings of the data; frames are prepared as in evaluation.
        detector: single-frame detector of the graph.
        names: names of the inputs of the graph.
        most: greatest number of frames.

    Raises:
        DataError: if the training split has no frame, when its length is read.
    """

    def __init__(
        self, data: DataConfig, detector: Detector, names: Sequence[str], most: int
    ) -> None:
        self.data, self.detector, self.names, self.most = _plain(data), detector, names, most

    @cached_property
    def _frames(self) -> KeyFrames:
        source = self.data.source.open(self.data)
        frames = source.frames(self.data.splits[0])
        if not len(frames):
            raise DataError(
                f"Split {self.data.splits[0]} has no frame on which INT8 could be calibrated; name"
                " data with a training split by --data.root and --data.version."
            )
        return KeyFrames(frames, self.data, training=False)

    def __len__(self) -> int:
        return min(self.most, len(self._frames))

    def __getitem__(self, number):
        if not 0 <= number < len(self):
            raise IndexError(number)
        places = np.linspace(0, len(self._frames) - 1, len(self)).round().astype(int)
        batch = collate([self._frames[int(places[number])]])
        return graph_inputs(self.detector, batch, self.names)


def _plain(data: DataConfig) -> DataConfig:
    """Settings with which images alone are loaded."""
    return replace(data, adjacent=ALONE, lidar=False, polygons=PolygonConfig(), image_cache=0.0)


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
    frames = data.source.open(_plain(data)).frames(data.splits[1])
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
