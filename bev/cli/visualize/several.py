"""Predictions of results files, and of several sources in one picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bev.cli.visualize.command import Command, is_config, is_results, open_config
from bev.config import Experiment
from bev.data.adjacent import ALONE
from bev.data.frame import Frame
from bev.data.nuscenes.index_cache import open_index
from bev.data.polygons import PolygonConfig
from bev.data.settings import DataConfig
from bev.errors import ConfigError, print_warnings
from bev.evaluation.nuscenes.official import SUBMISSION
from bev.evaluation.results_file import RESULTS
from bev.models import Detector
from bev.paths import short_names

if TYPE_CHECKING:
    from bev.cli.visualize.pictures import GetBatch
    from bev.visualization.results.sources import DetectorBoxes, ResultsFile

_Loaded = dict[Path, tuple[Experiment, Detector]]


class SeveralPictures:
    """Mosaics of the frames that all sources have predictions for.

    Attributes:
        command: the options.
        data: settings of the drawn data.
        split: the drawn split.
        frames: the frames.
        sources: sources of predicted boxes.
        names: their short names.
    """

    def __init__(self, command: Command) -> None:
        from bev.visualization.colors import THEMES
        from bev.visualization.results.sources import shared_samples
        from bev.visualization.results.styles import short_name
        from bev.visualization.video.scene import scene_of

        self.command, self._theme = command, THEMES[command.theme]
        paths = [source for source in command.sources if not is_config(source)]
        configs = [open_config(source) for source in command.sources if is_config(source)]
        loaded = _load(paths)
        self.data = _data(command, [*configs, *(config for config, _ in loaded.values())])
        self.split = command.split or self.data.splits[1]
        frames = self.data.source.open(self.data).frames(self.split)
        if command.scene or command.video is not None or command.view.wanted:
            frames = scene_of(frames, command.scene)
        thresholds = command.score if len(command.score) > 1 else command.score * len(paths)
        self.sources = [
            self._source(path, loaded, frames.tokens, score)
            for path, score in zip(paths, thresholds, strict=True)
        ]
        names = [str(path) for path in paths]
        self.frames, lacks = shared_samples(frames, self.sources, names, self.split)
        print_warnings(lacks)
        self.names = list(map(short_name, _names(paths)))
        self._titles = [
            f"{name} ≥ {score:g}" if len(paths) > 1 else name
            for name, score in zip(self.names, thresholds, strict=True)
        ]
        self._threshold = thresholds[0]

    def __call__(
        self, frame: Frame, get_batch: "GetBatch", earlier: Sequence[Frame]
    ) -> dict[str, np.ndarray]:
        """Draw a frame; the keys are the ends of the names of files."""
        from bev.visualization.sheet import draw_sheet

        width = self.command.camera_width
        return {"": draw_sheet(frame, **self._drawn(frame, earlier), camera_width=width)}

    def figure(self, frame: Frame, get_batch: "GetBatch", earlier: Sequence[Frame]) -> Any:
        """Draw the BEV of a frame as a figure of matplotlib."""
        from bev.visualization.sheet import sheet_figure

        return sheet_figure(frame, **self._drawn(frame, earlier))

    def _source(
        self, path: Path, loaded: _Loaded, tokens: Sequence[str], score: float
    ) -> "ResultsFile | DetectorBoxes":
        from bev.visualization.results.sources import DetectorBoxes, ResultsFile

        data = self.data
        if path not in loaded:
            return ResultsFile(path, data, tokens, score)
        config, model = loaded[path]
        names = config.model.label_space.names
        if names != data.source.labels.names:
            raise ConfigError(
                f"{path} has the classes {', '.join(names)}, and the data have"
                f" {', '.join(data.source.labels.names)}; draw it over its own data."
            )
        own = replace(self.command.data, layers=()).apply(config.data)
        own = replace(own, source=data.source, root=data.root, version=data.version)
        own_frames = own.source.open(own).frames(self.split)
        return DetectorBoxes(model, own, own_frames, score, str(path))

    def _drawn(self, frame: Frame, earlier: Sequence[Frame]) -> dict[str, Any]:
        from bev.visualization.results.styles import NamedBoxes
        from bev.visualization.tracks import tracks_of

        boxes = [source.boxes(frame) for source in self.sources]
        several = len(boxes) > 1
        return {
            "predictions": [NamedBoxes(*pair) for pair in zip(self._titles, boxes, strict=True)],
            "score_threshold": float("-inf") if several else self._threshold,
            "show_ground_truth": self.frames.annotated,
            "tracks": tracks_of(frame, earlier), "scores": self.command.scores,
            "space": self.data.source.labels, "theme": self._theme,
        }  # fmt: skip


def _names(paths: Sequence[Path]) -> list[str]:
    """Short names of files; results in folders of their own are named by these."""
    folders = [path.parent if path.name in (SUBMISSION, RESULTS) else path for path in paths]
    names = short_names(folders if len({*folders}) == len(paths) else paths)
    return [name.removesuffix(".json") for name in names]


def _load(paths: Sequence[Path]) -> _Loaded:
    from bev.inference.prepare import prepare_for_inference
    from bev.machine import default_device
    from bev.training.checkpoint import load_checkpoint

    loaded = {}
    for path in paths:
        if not is_results(path):
            config, model = load_checkpoint(path)
            loaded[path] = (
                config,
                prepare_for_inference(model.to(default_device()), keep_memory=True),
            )
    return loaded


def _data(command: Command, configs: Sequence[Experiment]) -> DataConfig:
    """Settings of the data to draw: of the first config, or of data in nuScenes format."""
    choice = command.data
    if configs:
        data = choice.apply(configs[0].data)
    elif choice.root and choice.version and command.split:
        from bev.data.nuscenes.sensor_data import cameras_of

        cameras = cameras_of(open_index(choice.root, choice.version))
        data = choice.apply(DataConfig(cameras=choice.cameras or cameras, missing_cameras="skip"))
    else:
        raise ConfigError(
            f"Results file {command.sources[0]} does not name its data: give --data.root,"
            " --data.version and --split, or a config beside it."
        )
    return replace(data, adjacent=ALONE, polygons=PolygonConfig(), reference="ego", lidar=False)
