"""Picture of the corruptions: one image under each, at the three levels."""

from pathlib import Path

import cv2
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bev.data.frame import CameraFrame
from bev.data.images.corruptions.corruption import KINDS, Corruption
from bev.data.images.loading import decode
from bev.files import replacing
from bev.lab.robustness.robobev import LEVELS, SEVERITIES

_WIDTH = 2.6  # inches of an image
_SHOWN = [kind for kind in KINDS if kind not in ("CameraCrash", "FrameLost")]  # black images


def draw_corruptions(camera: CameraFrame, root: Path, seed: int, path: Path) -> Path:
    """Draw an image under the six corruptions that change pixels, as the suite corrupts it.

    Args:
        camera: camera whose image is drawn.
        root: folder of the data set.
        seed: seed of the suite.
        path: JPEG or PNG file to write; returned.
    """
    image = decode(camera.path)
    name = camera.path.relative_to(root) if camera.path.is_relative_to(root) else camera.path
    height = _WIDTH * image.shape[0] / image.shape[1]
    rows, columns = len(_SHOWN), len(LEVELS)
    figure = Figure(figsize=(_WIDTH * columns + 0.3, height * rows + 0.3), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=0.3 / (_WIDTH * columns + 0.3), right=1, bottom=0, top=1 - 0.3 / (height * rows + 0.3),
        wspace=0.01, hspace=0.015,
    )  # fmt: skip
    for row, kind in enumerate(_SHOWN):
        for column, severity in enumerate(SEVERITIES[kind]):
            corrupted = Corruption(kind, severity, seed).apply(image, name.as_posix())
            axis = axes[row, column]
            axis.imshow(cv2.cvtColor(corrupted, cv2.COLOR_BGR2RGB), aspect="auto")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if row == 0:
                axis.set_title(LEVELS[column], fontsize=10, color="#222222", pad=4)
        axes[row, 0].set_ylabel(kind, fontsize=10, color="#222222", labelpad=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        figure.savefig(partial)
    return path
