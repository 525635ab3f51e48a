"""Time of pictures of one key frame, on one CPU core."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from bev.data.frame import Frame
from bev.lab.benchmark.records import write_csv
from bev.visualization.bev_view import bev_figure
from bev.visualization.canvas import load_image
from bev.visualization.check import draw_check
from bev.visualization.colors import THEMES
from bev.visualization.sheet import draw_sheet


@dataclass(frozen=True)
class PictureTime:
    """CPU time of one kind of picture.

    Attributes:
        picture: name of the picture.
        seconds: median CPU time.
        images: the same as a multiple of the time to read the frame's images.
    """

    picture: str
    seconds: float
    images: float


def run(out: Path, frame: Frame, rounds: int) -> list[PictureTime]:
    """Measure, print and write ``pictures.csv``.

    Args:
        out: folder of the file.
        frame: frame to draw; its ground truth is drawn as predictions too.
        rounds: pictures of each kind, in turn.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    light = THEMES["light"]
    lidar = frame.load_lidar() if frame.has_lidar else None
    works: dict[str, Callable[[], object]] = {
        "images read": lambda: [load_image(camera.path) for camera in frame.cameras],
        "mosaic": lambda: draw_sheet(frame, frame.boxes, lidar=lidar, scores=True),
        "mosaic, light": lambda: draw_sheet(frame, frame.boxes, lidar=lidar, theme=light),
        "vector BEV": lambda: bev_figure(predictions=frame.boxes, lidar=lidar),
    }
    if lidar is not None:
        works["calibration check"] = lambda: draw_check(frame)
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            begin = time.process_time()
            work()
            if turn:  # the first turn warms up
                taken[name].append(time.process_time() - begin)
    reading = float(np.median(taken["images read"]))
    found = [
        PictureTime(name, float(np.median(times)), float(np.median(times)) / reading)
        for name, times in taken.items()
    ]
    print(f"{len(frame.cameras)} cameras, {len(frame.boxes)} boxes, of {os.cpu_count()} cores one")
    for one in found:
        print(f"{one.picture:20}{one.seconds:8.3f} s{one.images:8.2f} x reading the images")
    write_csv(found, out / "pictures.csv")
    return found
