"""Draw samples: predictions, what a network computes, the ground truth, or the calibration.

bevlab visualize CHECKPOINT [--split SPLIT] [--show mosaic depth features …] [--out DIR]
bevlab visualize CHECKPOINT --video out.mp4 [--scene NAME] [--rate sweeps]
bevlab visualize lss_r50_mini --data.root DIR [--check]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from bev.bounds import Count, Natural, NonNegative, Probability
from bev.config import Experiment, load_file
from bev.data.polygons import PolygonConfig
from bev.data.settings import DataChoice, DataConfig
from bev.errors import ConfigError, print_warnings
from bev.options import parse
from bev.paths import file_name

if TYPE_CHECKING:
    import numpy as np

    from bev.data.batch import Batch
    from bev.data.frame import Frame
    from bev.data.source import Frames
    from bev.models import Detector

Kind = Literal["mosaic", "depth", "depth-targets", "features", "heatmaps", "cameras", "maps"]


@dataclass(frozen=True)
class Command:
    """Draw samples: the camera images in their places next to the BEV, or what a network computes.

    Attributes:
        source: checkpoint or shipped model (draws predictions and ground truth), or config (ground
            truth only).
        split: official or custom split; empty for the validation split.
        out: folder of the pictures; defaults to pictures/<split>/ of the run, or
            ./pictures/<split>.
        samples: number of samples, spread over the split; 0 draws all.
        scene: draw the samples of this scene alone.
        show: kinds of pictures. "mosaic": images and BEV with boxes and maps; "depth": expected
            depth and its entropy; "depth-targets": targets of depth supervision; "features": energy
            and principal components of the BEV features; "heatmaps": one for each class; "cameras":
            what each camera contributes to the BEV; "maps": segmentation and other maps of heads.
        layer: names of layers whose activations are drawn too, such as backbone.layer2.
        score: score threshold; predictions below are not drawn.
        scores: write the scores beside the boxes.
        tracks: seconds of the past positions of annotated objects; 0 draws none.
        camera_width: width of each camera image, pixels.
        theme: dark or light ground.
        svg, pdf: also write the BEV of each mosaic as a vector graphic.
        check: draw lidar points over the images and the BEV instead, to check the calibration;
            only boxes if there is no lidar. Below each image is the network's view of it, to check
            the crop.
        video: MP4 file to write instead of pictures: the scene, or the first one of the split.
        rate: pictures of the video: the key frames, or also the images between them with
            interpolated ground truth.
        fps: pictures per second of the video; 0 plays it as fast as it was recorded.
        data: location of the data, if other than in the config.
    """

    source: tyro.conf.Positional[Path]
    split: str = ""
    out: Path | None = None
    samples: Natural = 8
    scene: str = ""
    show: tuple[Kind, ...] = ("mosaic",)
    layer: tuple[str, ...] = ()
    score: Probability = 0.3
    scores: bool = False
    tracks: NonNegative = 3.0
    camera_width: Count = 480
    theme: Literal["dark", "light"] = "dark"
    svg: bool = False
    pdf: bool = False
    check: bool = False
    video: Path | None = None
    rate: Literal["key_frames", "sweeps"] = "key_frames"
    fps: NonNegative = 0.0
    data: DataChoice = field(default_factory=DataChoice)


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)

    from bev.data.checks.crop import crop_warnings
    from bev.machine import default_device
    from bev.models.weights.shipped import shipped_name, shipped_names
    from bev.training.checkpoint import home_of, load_checkpoint
    from bev.visualization.video.scene import scene_of
    from bev.visualization.video.writing import check_encoder, check_path

    if command.video is not None:
        check_path(command.video)
        check_encoder()
    configs = ("", ".py", ".yaml", ".yml")
    if command.source.suffix in configs and not shipped_name(command.source):
        try:
            config, model, home = load_file(command.source), None, Path()
        except ConfigError as error:
            known = "" if command.source.exists() else f" {shipped_names()}"
            raise ConfigError(f"{error}{known}") from error
    else:
        config, model = load_checkpoint(command.source)
        model, home = model.to(default_device()), home_of(command.source)
    _check(command, config, model)
    data = command.data.apply(config.data)
    if command.check:
        data = replace(data, polygons=PolygonConfig())  # polygons are not drawn
    if "depth-targets" in command.show:
        data = replace(data, lidar=True)
    split = command.split or data.splits[1]
    frames = data.source.open(data).frames(split)
    if command.scene or command.video is not None:
        frames = scene_of(frames, command.scene)
    print_warnings(crop_warnings(frames, data))
    pictures = _Pictures(command, config, model, data)
    if command.video is not None:
        print(_draw_video(command.video, pictures, frames))
    else:
        folder = command.out or home / "pictures" / file_name(split)
        print(f"{_draw_samples(folder, pictures, frames)} files in {folder}")


def _check(command: Command, config: Experiment, model: "Detector | None") -> None:
    """Check that the flags fit the source and one another.

    Raises:
        ConfigError: names the flags and what to do.
    """
    kinds = [*command.show, *command.layer]
    internal = [name for name in kinds if name != "mosaic"]
    if model is None and internal:
        raise ConfigError(
            f"{internal[0]!r} is computed by a trained network, and {command.source} is a config;"
            " name a checkpoint."
        )
    if command.video is None:
        return
    if len(kinds) != 1:
        raise ConfigError(
            f"A video shows one kind of picture, not {len(kinds)} ({', '.join(kinds)}); choose one"
            " by --show, or by --show and --layer NAME."
        )
    if command.rate == "sweeps" and model is not None and config.data.adjacent.offsets():
        raise ConfigError(
            "The model joins adjacent frames, which images between key frames do not have; set"
            " --rate key_frames."
        )
    if command.rate == "sweeps" and config.data.polygons.layers and not command.check:
        raise ConfigError(
            "Segmentation has ground truth at key frames only; set --rate key_frames."
        )


class _Pictures:
    """The pictures of one frame that a command asks for."""

    def __init__(
        self, command: Command, config: Experiment, model: "Detector | None", data: DataConfig
    ) -> None:
        from bev.visualization.colors import THEMES

        self.command, self.config, self.model, self.data = command, config, model, data
        self.theme = THEMES[command.theme]

    def __call__(
        self, frame: "Frame", batch: "Batch", earlier: Sequence["Frame"]
    ) -> dict[str, "np.ndarray"]:
        """Draw a frame; the keys are the ends of the names of files."""
        from bev.visualization.check import draw_check
        from bev.visualization.internals.kinds import KINDS
        from bev.visualization.internals.layers import draw_layer
        from bev.visualization.prediction import draw_heads

        style: dict[str, Any] = {"theme": self.theme, "camera_width": self.command.camera_width}
        if self.command.check:
            return {"_check": draw_check(frame, views=batch.views, **style)}
        pictures, model = {}, self.model
        title = "" if model is None else self.config.name
        if model is not None:
            batch = batch.to(next(model.parameters()).device)
        for kind in self.command.show:
            if kind == "mosaic":
                pictures[""] = draw_heads(
                    **self._drawn(frame, batch, earlier), **style, title=title
                )
            elif model is not None:
                pictures[f"_{kind}"] = KINDS[kind](model, frame, batch, **style)
        for layer in self.command.layer:
            if model is not None:
                picture = draw_layer(model, frame, batch, layer, **style)
                pictures[f"_{file_name(layer)}"] = picture
        return pictures

    def figure(self, frame: "Frame", batch: "Batch", earlier: Sequence["Frame"]) -> Any:
        """Draw the BEV of a frame as a figure of matplotlib."""
        from bev.visualization.prediction import heads_figure

        return heads_figure(**self._drawn(frame, batch, earlier), theme=self.theme)

    def _drawn(self, frame: "Frame", batch: "Batch", earlier: Sequence["Frame"]) -> dict[str, Any]:
        from bev.visualization.tracks import tracks_of

        prediction = None
        if self.model is not None:
            batch = batch.to(next(self.model.parameters()).device)
            prediction = self.model.predict(batch)
        return {
            "model": self.config.model, "frame": frame, "batch": batch, "prediction": prediction,
            "tracks": tracks_of(frame, earlier), "scores": self.command.scores,
            "score_threshold": self.command.score,
        }  # fmt: skip


def _draw_samples(folder: Path, pictures: _Pictures, frames: "Frames") -> int:
    """Draw samples spread over the frames as files; returns the number of files."""
    from tqdm import tqdm

    from bev.data.dataset import KeyFrames
    from bev.visualization.canvas import save_png
    from bev.visualization.prediction import spread_places
    from bev.visualization.tracks import earlier_frames

    command, count = pictures.command, 0
    batches = KeyFrames(frames, pictures.data, training=False)
    formats = {"svg": command.svg, "pdf": command.pdf}
    places = spread_places(len(frames), command.samples or len(frames))
    for index, place in enumerate(tqdm(places, desc="draw", unit="sample")):
        frame, batch = frames[place], batches[place]
        earlier = earlier_frames(frames, place, command.tracks)
        stem = f"{index:04d}_{file_name(frame.token)}"
        for end, picture in pictures(frame, batch, earlier).items():
            save_png(picture, folder / f"{stem}{end}.png")
            count += 1
        for suffix in (name for name, wanted in formats.items() if wanted):
            figure = pictures.figure(frame, batch, earlier)
            figure.savefig(folder / f"{stem}_bev.{suffix}", dpi=300)
            count += 1
    return count


def _draw_video(path: Path, pictures: _Pictures, scene: "Frames") -> Path:
    """Draw a scene as a video."""
    from tqdm import tqdm

    from bev.data.dataset import KeyFrames
    from bev.visualization.video.scene import frames_per_second, scene_frames
    from bev.visualization.video.writing import write_video

    command = pictures.command
    total = len(scene)
    if command.rate == "sweeps":
        total += sum(len(scene.sweeps(item)) for item in range(len(scene)))

    def draw() -> Iterator["np.ndarray"]:
        recent: list[Frame] = []
        maps = KeyFrames(scene, pictures.data, training=False)
        drawn = scene_frames(scene, command.rate)
        for number, frame in enumerate(tqdm(drawn, "draw", total, unit="picture")):
            key = command.rate == "key_frames"
            one = maps if key else KeyFrames([frame], pictures.data, training=False)
            begin = frame.timestamp - command.tracks * 1e6
            recent[:] = [other for other in recent if other.timestamp >= begin]
            yield next(iter(pictures(frame, one[number if key else 0], recent).values()))
            recent.append(frame)

    return write_video(draw(), path, command.fps or frames_per_second(scene, command.rate))
