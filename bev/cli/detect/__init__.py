"""Detect boxes in images of one's own.

bevlab detect CHECKPOINT --rig rig.yaml --images DIR [--out DIR]
bevlab detect CHECKPOINT --rig rig.yaml --images DIR --poses poses.csv --video out.mp4
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Optional

import tyro

from bev.bounds import Bound, Count, NonNegative, Positive, Probability
from bev.options import parse

_File = Optional[Path]  # noqa: UP045 -- for "Path | None" tyro imports typeguard, a tenth of a second


@dataclass(frozen=True)
class Command:
    """Detect boxes in a folder of images of calibrated cameras; write them and draw them.

    Attributes:
        source: checkpoint or exported weights, or the name of a shipped model, such as synthetic.
        rig: rig file with the calibration of the cameras and patterns of their images.
        images: folder of the images.
        out: folder of the results: boxes.json, pictures/ and, with --tokens, results_nusc.json.
        overwrite: write over the boxes of an earlier call.
        score: boxes with a lower score are neither written nor drawn; the results for nuScenes have
            all boxes.
        poses: CSV or JSON file of the vehicle's poses, for temporal models and global coordinates.
        times: CSV or JSON file of the images' times, if their names do not contain them.
        interval: seconds between the frames of a sequence whose images have no times.
        standing_still: the vehicle does not move, so that a temporal model needs no poses.
        tokens: text file with the nuScenes sample token of each frame, a line each.
        pictures: draw a picture of each frame.
        video: MP4 file to write: the pictures in order.
        fps: pictures per second of the video; 0 plays it as fast as it was recorded.
        scores: write the scores beside the boxes.
        camera_width: width of each camera image in the pictures, pixels.
        theme: dark or light ground.
        batch_size: frames that a single-frame model computes at once.
        device: device of the model, such as cuda:1 or cpu; by default the first of CUDA, Apple's
            GPU and the CPU.
        flip_tta: average the outputs of the images and of their mirror images.
    """

    source: tyro.conf.Positional[Path]
    rig: Path
    images: Path
    out: Path = Path("detections")
    overwrite: bool = False
    score: Probability = 0.3
    poses: _File = None
    times: _File = None
    interval: Positive = 0.5
    standing_still: bool = False
    tokens: _File = None
    pictures: bool = True
    video: _File = None
    fps: NonNegative = 0.0
    scores: bool = False
    camera_width: Annotated[int, Bound(least=1, most=4096)] = 480
    theme: Literal["dark", "light"] = "dark"
    batch_size: Count = 4
    device: str = ""
    flip_tta: bool = False


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)

    from bev.cli.detect.on_demand import on_demand

    with on_demand():
        from bev.cli.detect.run import run

        run(command)
