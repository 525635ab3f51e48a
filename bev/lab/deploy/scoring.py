"""Scores of an exported detector on the validation split: the cost of a runtime or of INT8."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch

from bev.config import Experiment
from bev.data.batch import Batch
from bev.data.dataset import KeyFrames
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.predict import predict
from bev.lab.deploy.runtime import Runner, detect
from bev.models import Detector
from bev.models.detector import Prediction
from bev.models.heads.depth import DepthSupervisionConfig, PredictedDepth
from bev.models.heads.image import ImageClassHeadConfig
from bev.models.heads.segmentation import SegmentationHeadConfig
from bev.training.datamodule import make_loader


class _Exported:
    """Stands for a detector in the evaluation loop."""

    def __init__(self, runner: Runner, detector: Detector, config: Any, nms: Any) -> None:
        self.runner, self.detector, self.config, self.nms = runner, detector, config, nms

    def predict(self, batch: Batch, cache: Any = None) -> Prediction:
        boxes = detect(self.runner, self.detector, batch, self.nms)
        no_depth = PredictedDepth(None, None, 1.0)
        results = {
            name: no_depth if isinstance(head, DepthSupervisionConfig) else boxes
            for name, head in self.config.heads.items()
        }
        return Prediction(boxes, results, cast(Any, None))


def figures(
    runner: Runner,
    detector: Detector,
    config: Experiment,
    nms: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Evaluate the boxes of a single-frame graph with decoding on the validation split.

    Args:
        runner: graph in a runtime. Each frame has its own calibration where this is an input.
        detector: detector of the graph.
        config: experiment of the detector, with the location of the data.
        nms: metadata ``nms`` of a graph whose boxes are candidates, from JSON.
    """
    model = replace(
        config.model,
        segmentation=SegmentationHeadConfig(()),
        depth_supervision=DepthSupervisionConfig(0.0),
        image_head=ImageClassHeadConfig(0.0),
    )
    data = replace(config.data, lidar=False, workers=0, batch_size=1)
    split = data.splits[1]
    source = data.source.open(data)
    loader = make_loader(KeyFrames(source.frames(split), data, training=False))
    exported = cast(Detector, _Exported(runner, detector, model, nms))
    evaluation = predict(exported, loader, torch.device("cpu"))
    with TemporaryDirectory() as folder:
        result = evaluation.compute(EvaluatedSplit(source, split, Path(folder)))
    return {name: value for head in result.heads.values() for name, value in head.figures.items()}
