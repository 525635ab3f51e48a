"""``bevlab visualize … --viewer`` and ``--record``: a scene in three dimensions, in the browser."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bev.cli.visualize.command import Command
from bev.config import Experiment
from bev.data.settings import DataConfig
from bev.errors import ConfigError

if TYPE_CHECKING:
    from bev.data.source import Frames
    from bev.models import Detector
    from bev.visualization.viewer.contents import Recording
    from bev.visualization.viewer.runs import Run

_LEAST_SCORE = 0.05  # of the predictions that a recording keeps


def is_recording(source: Path) -> bool:
    """True for a recording of the viewer."""
    from bev.visualization.viewer.recording import SUFFIX

    return source.suffix.lower() == SUFFIX


def check_viewer(command: Command) -> None:
    """Check that the flags fit the viewer.

    Raises:
        ConfigError: if other flags do not fit the viewer, or the recording does not end in .bevrec.
    """
    from bev.visualization.viewer.recording import check_path

    options, recordings = command.view, [one for one in command.sources if is_recording(one)]
    other = command.video is not None or command.check
    if other and (options.wanted or recordings):
        raise ConfigError("The viewer shows a scene of its own; leave out --video and --check.")
    if recordings and (len(command.sources) > 1 or options.record is not None):
        raise ConfigError(
            f"{recordings[0]} is a recording, which holds no data to combine; open it alone,"
            " without --record."
        )
    if options.record is not None:
        check_path(options.record)


def check_viewer_runs(command: Command) -> None:
    """Check, where the viewer is asked for, that it can run.

    Raises:
        ConfigError: if viser is missing, or the port is taken.
    """
    options = command.view
    if options.viewer:
        from bev.visualization.viewer.server import check_viser, free_port

        check_viser()
        free_port(options.host, options.port)


def view_recording(command: Command) -> None:
    """Show a recording until Ctrl-C."""
    from bev.visualization.viewer.recording import read_recording

    _show(command, read_recording(command.sources[0]))


def view_one(
    command: Command,
    config: Experiment,
    model: "Detector | None",
    data: DataConfig,
    scene: "Frames",
) -> None:
    """Show a scene with the predictions of a detector; None shows the ground truth.

    What is shown is in the vehicle's frame, also of a detector whose frame is the lidar's.
    """
    from bev.visualization.video.scene import scene_of
    from bev.visualization.viewer.runs import CheckpointRun

    runs = [] if model is None else [CheckpointRun(config.name, config, model, data, scene)]
    if data.reference != "ego":
        data = replace(data, reference="ego")
        frames = data.source.open(data).frames(command.split or data.splits[1])
        scene = scene_of(frames, scene.scenes[0])
    maps = (config.model, data) if model is None else None
    _view(command, scene, runs, title=config.name, maps=maps)


def view_several(command: Command) -> None:
    """Show a scene with the boxes of results files and checkpoints."""
    from bev.cli.visualize.several import SeveralPictures
    from bev.visualization.viewer.runs import BoxRun

    pictures = SeveralPictures(replace(command, score=(_least(command),)))
    labels, names = pictures.data.source.labels, pictures.names
    pairs = zip(names, pictures.sources, strict=True)
    runs = [BoxRun(name, labels, source) for name, source in pairs]
    _view(command, pictures.frames, runs, title=", ".join(names))


def _least(command: Command) -> float:
    return min(_LEAST_SCORE, *command.score)


def _view(command: Command, scene: "Frames", runs: Sequence["Run"], **more: Any) -> None:
    """Collect a scene, record it if asked for, and show it until Ctrl-C if asked for."""
    from tqdm import tqdm

    from bev.visualization.viewer.collecting import collect
    from bev.visualization.viewer.recording import write_recording

    recording = collect(
        scene,
        runs,
        camera_width=command.camera_width,
        least_score=_least(command),
        places=tqdm(range(len(scene)), "collect", unit="frame"),
        **more,
    )
    if command.view.record is not None:
        print(write_recording(recording, command.view.record))
    if command.view.viewer:
        _show(command, recording)


def _show(command: Command, recording: "Recording") -> None:
    from bev.visualization.colors import THEMES
    from bev.visualization.viewer.server import Viewer, serve

    serve(
        Viewer(
            recording,
            host=command.view.host,
            port=command.view.port,
            theme=THEMES[command.theme],
            score=min(command.score),
            tracks=command.tracks,
        )
    )
