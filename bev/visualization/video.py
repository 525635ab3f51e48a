"""Writing of videos from pictures."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from bev.files import replacing
from bev.visualization.canvas import load_image


def write_video(
    frames: Iterable[np.ndarray | Path | str], path: Path | str, fps: float = 4
) -> Path:
    """Write an MP4 file, atomically.

    Args:
        frames: images (H, W, 3) uint8 RGB, or image files. The first one sets the size; others are
            resized to it. An iterator is consumed one image at a time.
        path: file to write, ending in ``.mp4``; its folder is created.
        fps: pictures per second; nuScenes has 2 key frames per second.

    Raises:
        ValueError: if there are no pictures, or the path does not end in ``.mp4``.
        DataError: if an image file is missing or damaged.
        OSError: if this build of OpenCV cannot write MP4.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"Video {path} must end in .mp4.")
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = size = None
    with replacing(path) as partial, ExitStack() as stack:
        for frame in frames:
            image = frame if isinstance(frame, np.ndarray) else load_image(frame)
            if writer is None:
                # Most players require even sides.
                size = (image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)
                writer = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
                stack.callback(writer.release)
                if not writer.isOpened():
                    raise OSError(
                        f"This build of OpenCV cannot write MP4, so {path} was not written."
                    )
            if (image.shape[1], image.shape[0]) != size:
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if writer is None:
            raise ValueError(f"Video {path} has no pictures; pass at least one.")
    return path
