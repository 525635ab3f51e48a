"""Run of ``bevlab detect``: frames of a folder, their boxes, pictures and files."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bev import __version__
from bev.cli.detect import Command
from bev.cli.detect.earlier import (
    BOXES,
    PICTURES,
    SOFTWARE,
    SUBMISSION,
    check_earlier,
    remove_earlier,
)
from bev.cli.detect.submission import check_classes, read_tokens, submission_of
from bev.data.boxes_file import BoxesFile, FrameBoxes, GrowingBoxes
from bev.data.checks.crop import crop_warnings
from bev.data.frame import Frame
from bev.data.rig import frames_of, load_rig
from bev.data.rig.checks import check_upright
from bev.data.rig.doubled import check_moments
from bev.errors import ConfigError, count_of, print_warnings
from bev.inference.detections import Detections
from bev.inference.detector import BoxDetector, inference_data, load_detector
from bev.inference.sequence import detect_frames
from bev.paths import file_name

if TYPE_CHECKING:
    import numpy as np


def run(command: Command) -> None:
    """Detect, write and draw as a command asks for.

    Raises:
        ConfigError: if options contradict one another or the model, or results exist already.
        DataError: if the rig, an image, a pose or a token cannot be used.
    """
    _check(command)
    rig, folder = load_rig(command.rig), command.images
    frames = frames_of(rig, folder, command.poses, command.times, interval=command.interval)
    findings = check_moments(rig, folder, folder)
    findings.extend(check_upright(frames))
    print_warnings(findings.sentences(is_error=False))
    tokens = read_tokens(command.tokens, frames) if command.tokens is not None else {}
    detector = load_detector(
        command.source, command.device or None, command.flip_tta, keep_memory=True
    )
    if tokens:
        check_classes(detector.labels)
    _check_motion(command, detector, frames)
    print_warnings(crop_warnings(frames, inference_data(detector.config.data, frames[0].cameras)))
    results = _Results(command, detector, frames)
    if command.video is not None:
        from bev.visualization.video.writing import write_video

        fps = command.fps or _frames_per_second(frames)
        write_video(results.pictures(), command.video, fps, SOFTWARE)
    else:
        for _ in results.pictures():
            pass
    if tokens:
        submission_of(command.out / SUBMISSION, frames, results.found, tokens)
    print(results.summary())


def _check(command: Command) -> None:
    if command.video is not None:
        from bev.visualization.video.writing import check_encoder, check_name

        check_name(command.video)
    check_earlier(command)
    if command.tokens is not None and command.poses is None:
        raise ConfigError(
            "Results for nuScenes are in global coordinates, so --tokens needs the poses of the"
            " vehicle; give --poses."
        )
    if command.standing_still and command.poses is not None:
        raise ConfigError("--standing-still and --poses contradict one another; give one of them.")
    if command.video is not None:
        check_encoder()


def _check_motion(command: Command, detector: BoxDetector, frames: Sequence[Frame]) -> None:
    """Check that a temporal model is given the motion between the frames of a sequence."""
    scenes = [frame.scene for frame in frames]
    if not detector.num_adjacent or len(set(scenes)) == len(scenes) or command.poses is not None:
        return
    if not command.standing_still:
        raise ConfigError(
            f"{command.source} joins {detector.num_adjacent + 1} frames of different times, so it"
            " needs the motion of the vehicle: give --poses, set --standing-still if it does not"
            " move, or name a single-frame model."
        )
    print_warnings(["the vehicle is taken to stand still (--standing-still)"])


class _Results:
    """What is found in the frames: written and drawn as soon as it is known."""

    def __init__(self, command: Command, detector: BoxDetector, frames: Sequence[Frame]) -> None:
        self.command, self.detector, self.frames = command, detector, frames
        self.found: list[Detections] = []  # of all frames, for the results of nuScenes alone
        self.counts: Counter[str] = Counter()
        self.highest = 0.0

    def pictures(self) -> Iterator["np.ndarray"]:
        """Detect in all frames and write the boxes; yields the picture of each, if any are drawn.

        An error leaves the boxes of the frames before it.
        """
        from tqdm import tqdm

        command, draws = self.command, self.command.pictures or self.command.video is not None
        found = detect_frames(self.detector, self.frames, 0.0, command.batch_size)
        with GrowingBoxes(command.out / BOXES, self._content()) as written:
            for number, one in enumerate(tqdm(found, "detect", len(self.frames), unit="frame")):
                frame = self.frames[number]
                if not number:
                    remove_earlier(command)
                self._count(one)
                written.add(self._frame(frame, one))
                if draws:
                    picture = self._picture(frame, one)
                    if command.pictures:
                        from bev.visualization.canvas import save_png

                        name = f"{number:04d}_{file_name(frame.token)}.png"
                        save_png(picture, command.out / PICTURES / name, SOFTWARE)
                    yield picture

    def _count(self, found: Detections) -> None:
        """Take the boxes of a frame into the summary."""
        self.counts.update(found.above(self.command.score).classes)
        self.highest = max([self.highest, *found.scores])
        if self.command.tokens is not None:
            self.found.append(found)

    def _picture(self, frame: Frame, found: Detections) -> "np.ndarray":
        from bev.visualization.colors import THEMES
        from bev.visualization.prediction import reach_of
        from bev.visualization.sheet import draw_sheet

        command = self.command
        return draw_sheet(
            frame,
            found.boxes,
            space=self.detector.labels,
            score_threshold=command.score,
            show_ground_truth=False,
            scores=command.scores,
            title=self.detector.config.name,
            camera_width=command.camera_width,
            reach=reach_of(self.detector.config.model),
            theme=THEMES[command.theme],
        )

    def _content(self) -> BoxesFile:
        """Content of the file of boxes, without its frames."""
        command, labels = self.command, self.detector.labels
        info: dict[str, Any] = {
            "program": f"bevlab {__version__}", "model": str(command.source),
            "config": self.detector.config.name, "rig": str(command.rig),
            "images": str(command.images), "score": command.score,
        }  # fmt: skip
        if self.detector.num_adjacent and command.standing_still:
            info["standing_still"] = True
        written = {"tokens": command.tokens, "video": command.video}
        info |= {name: str(path) for name, path in written.items() if path is not None}
        return BoxesFile((), labels.names, labels.attributes, info)

    def _frame(self, frame: Frame, found: Detections) -> FrameBoxes:
        files = {camera.name: _below(camera.path, self.command.images) for camera in frame.cameras}
        return dataclasses.replace(
            found.above(self.command.score).frame_boxes(),
            scene=frame.scene,
            timestamp=frame.timestamp,
            global_from_ego=None if self.command.poses is None else frame.global_from_ego,
            images=files,
        )

    def summary(self) -> str:
        """Sentences about what was found, and where it is."""
        command = self.command
        names = [name for name in self.detector.labels.names if self.counts[name]]
        what = ", ".join(f"{self.counts[name]} {name}" for name in names)
        lines = [
            f"{count_of(self.counts.total(), 'box')} with a score of at least {command.score:g} in"
            f" {count_of(len(self.frames), 'frame')}{': ' if what else ''}{what}"
        ]
        if not names and self.highest:
            lines.append(f"the highest score is {self.highest:.2f}")
        files = [command.out / BOXES]
        files += [command.out / SUBMISSION] if command.tokens is not None else []
        files += [command.out / PICTURES] if command.pictures else []
        files += [command.video] if command.video is not None else []
        return "\n".join([*lines, *map(str, files)])


def _below(path: Path, folder: Path) -> str:
    """Path of an image relative to the folder of the images."""
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _frames_per_second(frames: Sequence[Frame]) -> float:
    """Pictures per second that play the frames as fast as they were recorded."""
    steps = [
        (after.timestamp - before.timestamp) * 1e-6
        for before, after in zip(frames, frames[1:], strict=False)
        if before.scene == after.scene and after.timestamp > before.timestamp
    ]
    if not steps:
        return 2.0
    return min(max(round(1 / sorted(steps)[len(steps) // 2], 3), 0.5), 60.0)
