"""Sample loading as in published codebases, to compare ours with.

Written from the descriptions of BEVDet (Huang et al. 2021) and BEVDepth (Li et al. 2022): each
image is fully decoded by Pillow, then resized (bicubic), cropped, flipped and rotated (nearest
pixel), each step in a pass of its own with a matrix of its own; targets are drawn box by box
(CenterPoint, Yin et al. 2021). Both paths use this project's key frames, ground-truth boxes and box
transforms, and both end before images are normalised (on the CPU in published code, on the device
here), so that the comparison covers the work on pixels and targets.

The images agree except in the corners: here images are rotated after the crop, so corners become
black. Resized sizes are whole pixels, and the matrices use them; published code keeps the drawn
scale in its matrices, which is off by less than a pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from bev.data.augmentation import ImageAugmentation
from bev.data.augmentation import draw as draw_ours
from bev.data.batch import Batch, Views
from bev.data.dataset import KeyFrames
from bev.geometry import BevGrid, Boxes3D, Cameras
from bev.models.heads.center.targets import REGRESSION, CenterTargets


@dataclass(frozen=True)
class Steps:
    """Augmentation steps of one image.

    Attributes:
        resized: size (width, height) of the resized image, pixels.
        corner: corner (left, top) of the crop window in the resized image, pixels.
        flip: flip left and right.
        rotation: rotation, degrees, counter-clockwise.
    """

    resized: tuple[int, int]
    corner: tuple[int, int]
    flip: bool
    rotation: float


def draw(
    config: ImageAugmentation,
    size: tuple[int, int],
    image_size: tuple[int, int],
    rng: np.random.Generator,
) -> Steps:
    """Draw the steps from an image of ``size`` (height, width) to one of ``image_size``."""
    height, width = image_size
    scale = width / size[1] * (1 + rng.uniform(*config.scale) / 0.44)
    resized = int(size[1] * scale), int(size[0] * scale * config.stretch)
    left = int(rng.uniform(0, max(0, resized[0] - width)))
    top = int(resized[1] - height * (1 + rng.uniform(*config.crop_top)))
    flip = config.flip != "off" and rng.random() < 0.5
    return Steps(resized, (left, top), flip, rng.uniform(-config.rotation, config.rotation))


def load_image(
    path: Path, steps: Steps, image_size: tuple[int, int]
) -> tuple[UInt8[Tensor, "3 H W"], Float[Tensor, "3 3"]]:
    """Load the augmented RGB image and its ``image_from_original``, step by step."""
    height, width = image_size
    left, top = steps.corner
    original = Image.open(path)
    linear = torch.diag(torch.tensor(steps.resized) / torch.tensor(original.size)).double()
    image = original.resize(steps.resized)
    image = image.crop((left, top, left + width, top + height))
    shift = -torch.tensor(steps.corner).double()
    if steps.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        flip = torch.diag(torch.tensor([-1.0, 1.0])).double()
        linear, shift = flip @ linear, flip @ shift + torch.tensor([width, 0.0]).double()
    image = image.rotate(steps.rotation)
    cos, sin = math.cos(math.radians(steps.rotation)), math.sin(math.radians(steps.rotation))
    turn = torch.tensor([[cos, sin], [-sin, cos]]).double()
    centre = torch.tensor([width / 2, height / 2]).double()
    linear, shift = turn @ linear, turn @ (shift - centre) + centre
    matrix = torch.eye(3).double()
    matrix[:2, :2], matrix[:2, 2] = linear, shift
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous(), matrix


def load_sample(data: KeyFrames, epoch: int, index: int) -> Batch:
    """The sample ``data[epoch, index]`` with images loaded by the published steps."""
    frame, size = data.frames[index], data.config.image_size
    rng = np.random.default_rng([data.seed, epoch, index])
    loaded = [
        load_image(camera.path, draw(data.image_augmentation, camera.size, size, rng), size)
        for camera in frame.cameras
    ]
    bev_from_ego = draw_ours(data.image_augmentation, data.bev_augmentation, [], size, rng)
    boxes = frame.boxes[frame.counted(data.config.min_points)]
    images = torch.stack([image for image, _ in loaded])
    cameras = Cameras(
        intrinsics=torch.stack([camera.intrinsics for camera in frame.cameras]),
        ego_from_camera=torch.stack([camera.ego_from_camera for camera in frame.cameras]),
        image_from_original=torch.stack([matrix for _, matrix in loaded]),
    )
    return Batch(
        views=Views(images[None], cameras.to(torch.float32)[None], [frame.token]),
        bev_from_ego=bev_from_ego.bev_from_ego[None],
        boxes=[boxes.transform(bev_from_ego.bev_from_ego)],
        lidar=[torch.zeros(0, 3)],
        global_from_ego=frame.global_from_ego[None],
    )


def center_targets(
    gt_boxes: Sequence[Boxes3D],
    tasks: Sequence[Sequence[int]],
    grid: BevGrid,
    overlap: float = 0.1,
    min_radius: int = 2,
) -> list[CenterTargets]:
    """Targets as of ``bev.models.heads.center.targets.center_targets``, drawn box by box."""
    return [_task_targets(gt_boxes, labels, grid, overlap, min_radius) for labels in tasks]


def _task_targets(
    gt_boxes: Sequence[Boxes3D],
    labels: Sequence[int],
    grid: BevGrid,
    overlap: float,
    min_radius: int,
) -> CenterTargets:
    _, rows, columns = grid.shape
    heatmap = torch.zeros(len(gt_boxes), len(labels), rows, columns)
    index, regression, attribute = [], [], []
    for sample, boxes in enumerate(gt_boxes):
        for box in range(len(boxes)):
            label = int(boxes.label[box])
            if label not in labels:
                continue
            (x, y, z), size, yaw = boxes.center[box], boxes.size[box], boxes.yaw[box]
            x, y = (x - grid.x[0]) / grid.x[2], (y - grid.y[0]) / grid.y[2]
            column, row = int(x.floor()), int(y.floor())
            if not (0 <= row < rows and 0 <= column < columns):
                continue
            radius = _radius(float(size[0] / grid.x[2]), float(size[1] / grid.y[2]), overlap)
            radius = max(min_radius, int(radius))
            _draw(heatmap[sample, list(labels).index(label)], row, column, radius)
            index.append((sample, row, column))
            attribute.append(int(boxes.attribute[box]))
            offset = torch.stack([x - column, y - row])
            turn = torch.stack([yaw.sin(), yaw.cos()])
            regression.append(torch.cat([offset, z[None], size.log(), turn, boxes.velocity[box]]))
    values = torch.stack(regression) if regression else torch.zeros(0, sum(REGRESSION.values()))
    maps = values.split(list(REGRESSION.values()), dim=1)
    return CenterTargets(
        heatmap,
        torch.tensor(index, dtype=torch.long).reshape(-1, 3),
        dict(zip(REGRESSION, maps, strict=True)),
        torch.tensor(attribute, dtype=torch.long),
        torch.zeros(len(index), dtype=torch.long),
    )


def _radius(length: float, width: float, overlap: float) -> float:
    total, area = length + width, length * width
    cases = (
        (1, total, area * (1 - overlap) / (1 + overlap)),
        (4, 2 * total, area * (1 - overlap)),
        (4 * overlap, -2 * overlap * total, (overlap - 1) * area),
    )
    return min((b + math.sqrt(b * b - 4 * a * c)) / 2 for a, b, c in cases)


def _draw(heatmap: Tensor, row: int, column: int, radius: int) -> None:
    axis = np.arange(-radius, radius + 1)
    sigma = (2 * radius + 1) / 6
    gaussian = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * sigma**2))
    rows, columns = heatmap.shape
    up, down = min(row, radius), min(rows - row, radius + 1)
    left, right = min(column, radius), min(columns - column, radius + 1)
    window = heatmap[row - up : row + down, column - left : column + right]
    part = gaussian[radius - up : radius + down, radius - left : radius + right]
    torch.maximum(window, torch.from_numpy(part).float(), out=window)
