"""Writing of H.264 videos, which browsers play."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from bev.errors import ConfigError
from bev.files import replacing
from bev.visualization.canvas import load_image

_INSTALL = "install it with pip install 'bevlab[video]'"
_QUALITY = "20"  # constant rate factor of x264; lines stay sharp


def check_name(path: Path | str) -> None:
    """Check the name of a video.

    Raises:
        ConfigError: if it does not end in ``.mp4``.
    """
    text = str(path)
    if text.replace(".", "", 1).isdigit():
        raise ConfigError(
            f"--video {text}: the flag takes the file to write, no longer a number of pictures per"
            f" second; write --video out.mp4 --fps {text}."
        )
    if Path(path).suffix.lower() != ".mp4":
        raise ConfigError(f"The video {text!r} must end in .mp4.")


def check_encoder() -> None:
    """Check that videos can be encoded.

    Raises:
        ConfigError: if imageio-ffmpeg is missing, or its ffmpeg cannot be run.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigError(f"Videos need the package imageio-ffmpeg; {_INSTALL}.") from error
    try:
        imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise ConfigError(
            f"imageio-ffmpeg finds no ffmpeg that runs; {_INSTALL}, or name one in"
            " IMAGEIO_FFMPEG_EXE."
        ) from error


def write_video(
    frames: Iterable[UInt8[np.ndarray, "_ _ 3"] | Path | str],
    path: Path | str,
    fps: float = 4,
    software: str = "bevlab",
) -> Path:
    """Write an MP4 file with H.264 in yuv420p, atomically.

    Args:
        frames: images (H, W, 3) uint8 RGB, or image files. The first one sets the size, reduced to
            even sides as the format needs; others are resized to it. An iterator is consumed one
            image at a time.
        path: file to write, ending in ``.mp4``; its folder is created.
        fps: pictures per second; nuScenes has 2 key frames per second.
        software: name that the file has as its comment.

    Raises:
        ConfigError: if there are no pictures, the path does not end in ``.mp4``, or no encoder for
            H.264 is installed.
        DataError: if an image file is missing or damaged.
    """
    path = Path(path)
    check_name(path)
    check_encoder()
    import imageio_ffmpeg

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = None
    size = (0, 0)
    with replacing(path) as partial:
        try:
            for frame in frames:
                image = frame if isinstance(frame, np.ndarray) else load_image(frame)
                with _naming_ffmpeg(path):
                    if writer is None:
                        size = (max(image.shape[1] // 2 * 2, 2), max(image.shape[0] // 2 * 2, 2))
                        writer = imageio_ffmpeg.write_frames(
                            str(partial), size, fps=fps, codec="libx264", pix_fmt_in="rgb24",
                            pix_fmt_out="yuv420p", macro_block_size=2, quality=None,
                            output_params=[
                                "-crf", _QUALITY, "-movflags", "+faststart",
                                "-metadata", f"comment={software}",
                            ],
                            ffmpeg_log_level="error",
                        )  # fmt: skip
                        writer.send(None)
                    writer.send(_fitted(image, size))
            if writer is None:
                raise ConfigError(f"The video {path} has no pictures; pass at least one.")
            with _naming_ffmpeg(path):
                writer.close()
        finally:
            if writer is not None:
                with suppress(OSError):
                    writer.close()
        if not partial.is_file() or not partial.stat().st_size:
            raise ConfigError(
                f"{imageio_ffmpeg.get_ffmpeg_exe()} wrote no video; {_INSTALL}, whose ffmpeg has"
                " libx264."
            )
    return path


@contextmanager
def _naming_ffmpeg(path: Path) -> Iterator[None]:
    """Turn an error of the encoder into one that names it and the file."""
    import imageio_ffmpeg

    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{imageio_ffmpeg.get_ffmpeg_exe()} could not write H.264 to {path}"
            f" ({_last_line(error)}); {_INSTALL}, whose ffmpeg has libx264."
        ) from error


def _fitted(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Crop a row or column that makes a side odd; resize an image of another size."""
    width, height = size
    if image.shape[0] // 2 * 2 == height and image.shape[1] // 2 * 2 == width:
        return np.ascontiguousarray(image[:height, :width])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _last_line(error: OSError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
