"""Pictures of one frame, as samples in files or as a video."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bev.cli.visualize.command import Command
from bev.config import Experiment
from bev.data.frame import Frame
from bev.data.settings import DataConfig
from bev.files import replacing
from bev.paths import file_name

if TYPE_CHECKING:
    from bev.data.batch import Batch
    from bev.data.dataset import KeyFrames
    from bev.data.source import Frames
    from bev.models import Detector
    from bev.visualization.internals.run import Sample

GetBatch = Callable[[], "Batch"]  # the batch of a frame, loaded where it is needed


class Pictures:
    """The pictures of one frame that a command asks for: of a checkpoint, or of ground truth."""

    def __init__(
        self, command: Command, config: Experiment, model: "Detector | None", data: DataConfig
    ) -> None:
        from bev.visualization.colors import THEMES

        self.command, self.config, self.model, self.data = command, config, model, data
        self.theme = THEMES[command.theme]
        self._latest: tuple[Frame, Batch, Sample | None] | None = None

    def __call__(
        self, frame: Frame, get_batch: GetBatch, earlier: Sequence[Frame]
    ) -> dict[str, np.ndarray]:
        """Draw a frame; the keys are the ends of the names of files."""
        from bev.visualization.check import draw_check
        from bev.visualization.internals.kinds import KINDS
        from bev.visualization.internals.layers import draw_layer
        from bev.visualization.prediction import draw_heads

        width = self.command.camera_width
        batch, sample = self._loaded(frame, get_batch)
        if self.command.check:
            picture = draw_check(frame, views=batch.views, theme=self.theme, camera_width=width)
            return {"_check": picture}
        pictures = {}
        for kind in self.command.show:
            if kind == "mosaic":
                title = "" if sample is None else self.config.name
                drawn = self._drawn(frame, batch, sample, earlier)
                pictures[""] = draw_heads(**drawn, camera_width=width, title=title)
            elif sample is not None:
                pictures[f"_{kind}"] = KINDS[kind](sample)
        if sample is not None:
            for layer in self.command.layer:
                pictures[f"_{file_name(layer)}"] = draw_layer(sample, layer)
        return pictures

    def figure(self, frame: Frame, get_batch: GetBatch, earlier: Sequence[Frame]) -> Any:
        """Draw the BEV of a frame as a figure of matplotlib."""
        from bev.visualization.prediction import heads_figure

        return heads_figure(**self._drawn(frame, *self._loaded(frame, get_batch), earlier))

    def _loaded(self, frame: Frame, get_batch: GetBatch) -> tuple["Batch", "Sample | None"]:
        """Batch of a frame, and the sample for a network, which runs once for all its pictures."""
        from bev.visualization.internals.run import Sample

        if self._latest is None or self._latest[0] is not frame:
            batch, sample = get_batch(), None
            if self.model is not None:
                batch = batch.to(next(self.model.parameters()).device)
                sample = Sample(self.model, frame, batch, self.command.camera_width, self.theme)
            self._latest = frame, batch, sample
        return self._latest[1:]

    def _drawn(
        self,
        frame: Frame,
        batch: "Batch",
        sample: "Sample | None",
        earlier: Sequence[Frame],
    ) -> dict[str, Any]:
        from bev.visualization.tracks import tracks_of

        return {
            "model": self.config.model, "frame": frame, "batch": batch,
            "prediction": None if sample is None else sample.internals.prediction,
            "tracks": tracks_of(frame, earlier), "scores": self.command.scores,
            "score_threshold": self.command.score[0], "theme": self.theme,
        }  # fmt: skip


def draw_samples(folder: Path, pictures: Any, frames: "Frames") -> int:
    """Draw samples spread over the frames as files; returns the number of files.

    Args:
        folder: folder of the files.
        pictures: a ``Pictures``, or an object like it.
        frames: frames to choose from.
    """
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
        frame, get_batch = frames[place], _loader(batches, place)
        earlier = earlier_frames(frames, place, command.tracks)
        stem = f"{index:04d}_{file_name(frame.token)}"
        for end, picture in pictures(frame, get_batch, earlier).items():
            save_png(picture, folder / f"{stem}{end}.png")
            count += 1
        for suffix in (name for name, wanted in formats.items() if wanted):
            figure = pictures.figure(frame, get_batch, earlier)
            with replacing(folder / f"{stem}_bev.{suffix}") as partial:
                figure.savefig(partial, dpi=300)
            count += 1
    return count


def draw_video(path: Path, pictures: Any, scene: "Frames") -> Path:
    """Draw a scene as a video; see :func:`draw_samples`."""
    from tqdm import tqdm

    from bev.data.dataset import KeyFrames
    from bev.visualization.video.scene import frames_per_second, scene_frames
    from bev.visualization.video.writing import write_video

    command = pictures.command
    total = len(scene)
    if command.rate == "sweeps":
        total += sum(len(scene.sweeps(item)) for item in range(len(scene)))

    def draw() -> Iterator[np.ndarray]:
        recent: list[Frame] = []
        maps = KeyFrames(scene, pictures.data, training=False)
        drawn = scene_frames(scene, command.rate)
        for number, frame in enumerate(tqdm(drawn, "draw", total, unit="picture")):
            key = command.rate == "key_frames"
            one = maps if key else KeyFrames([frame], pictures.data, training=False)
            begin = frame.timestamp - command.tracks * 1e6
            recent[:] = [other for other in recent if other.timestamp >= begin]
            get_batch = _loader(one, number if key else 0)
            yield next(iter(pictures(frame, get_batch, recent).values()))
            recent.append(frame)

    return write_video(draw(), path, command.fps or frames_per_second(scene, command.rate))


def _loader(batches: "KeyFrames", place: int) -> GetBatch:
    return lambda: batches[place]
