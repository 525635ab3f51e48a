"""Draw samples: predictions, what a network computes, the ground truth, or the calibration.

bevlab visualize CHECKPOINT [--split SPLIT] [--show mosaic depth features …] [--out DIR]
bevlab visualize CHECKPOINT --video out.mp4 [--scene NAME] [--rate sweeps]
bevlab visualize lss_r50_mini --data.root DIR [--check]
bevlab visualize CHECKPOINT|RESULTS.json … --viewer [--scene NAME] [--record scene.bevrec]
bevlab visualize scene.bevrec
bevlab visualize RESULTS.json [OTHER.json | CHECKPOINT …] --data.root DIR --data.version V --split S
"""

from dataclasses import replace
from pathlib import Path

from bev.cli.visualize.command import (
    Command,
    check_one,
    check_several,
    is_config,
    is_results,
    open_config,
)
from bev.cli.visualize.viewer import (
    check_viewer,
    check_viewer_runs,
    is_recording,
    view_one,
    view_recording,
    view_several,
)
from bev.data.polygons import PolygonConfig
from bev.errors import ConfigError, count_of, print_warnings
from bev.options import parse
from bev.paths import file_name


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)
    if not command.sources:
        raise ConfigError("Nothing to draw is named; name a checkpoint, a config or results files.")

    check_viewer(command)
    if is_recording(command.sources[0]):
        check_viewer_runs(command)
        view_recording(command)
        return
    if command.video is not None:
        from bev.visualization.video.writing import check_name

        check_name(command.video)
    if len(command.sources) > 1 or is_results(command.sources[0]):
        _draw_several(command)
    else:
        _draw_one(command, command.sources[0])


def _draw_several(command: Command) -> None:
    from bev.cli.visualize.pictures import draw_samples, draw_video
    from bev.cli.visualize.several import SeveralPictures
    from bev.visualization.results.styles import LINE_STYLES

    check_several(command, len(LINE_STYLES))
    check_viewer_runs(command)
    if command.view.wanted:
        view_several(command)
        return
    pictures = SeveralPictures(command)
    if command.video is not None:
        print(draw_video(command.video, pictures, pictures.frames))
    else:
        folder = command.out or Path("pictures") / file_name(pictures.split)
        written = draw_samples(folder, pictures, pictures.frames)
        print(f"{count_of(written, 'file')} in {folder}")


def _draw_one(command: Command, source: Path) -> None:
    from bev.cli.visualize.pictures import Pictures, draw_samples, draw_video
    from bev.data.checks.crop import crop_warnings
    from bev.inference.prepare import prepare_for_inference
    from bev.machine import default_device
    from bev.training.checkpoint import home_of, load_checkpoint
    from bev.visualization.video.scene import scene_of

    if is_config(source):
        config, model, home = open_config(source), None, Path()
    else:
        config, model = load_checkpoint(source)
        home = home_of(source)
    check_one(command, config, model)
    check_viewer_runs(command)
    if model is not None:
        model = model.to(default_device())
        if not command.layer:  # whose activations would be those after the folded batch norms
            prepare_for_inference(model, keep_memory=True)
    data = command.data.apply(config.data)
    if model is None:
        config = replace(config, data=data)  # classes may be those of the folder
    if command.check:
        data = replace(data, polygons=PolygonConfig())  # polygons are not drawn
    if "depth-targets" in command.show:
        data = replace(data, lidar=True)
    split = command.split or data.splits[1]
    frames = data.source.open(data).frames(split)
    if command.scene or command.video is not None or command.view.wanted:
        frames = scene_of(frames, command.scene)
    print_warnings(crop_warnings(frames, data))
    if command.view.wanted:
        view_one(command, config, model, data, frames)
        return
    pictures = Pictures(command, config, model, data)
    if command.video is not None:
        print(draw_video(command.video, pictures, frames))
    else:
        folder = command.out or home / "pictures" / file_name(split)
        written = draw_samples(folder, pictures, frames)
        print(f"{count_of(written, 'file')} in {folder}")
