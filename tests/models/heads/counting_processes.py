"""Program that computes the loss of a center head in two processes, for ``test_normalizers``.

It is run by its path and writes the losses, gradients and normalizers of its process.
"""

import os
import sys
from pathlib import Path

import torch

from bev.data.batch import Batch, Views
from bev.data.nuscenes.classes import ATTRIBUTES, NUSCENES
from bev.geometry import BevGrid, Boxes3D, Cameras
from bev.models import CenterHeadConfig, Features, FeatureSpec
from bev.models.heads.center.loss import normalizers

PROCESSES = 2
GRID = BevGrid(x=(-8.0, 8.0, 1.0), y=(-4.0, 8.0, 1.0), z=(-5.0, 3.0, 8.0))
CONFIG = CenterHeadConfig(
    tasks=(("car", "truck"), ("pedestrian",), ("barrier",)),
    shared=4, branch=4, attribute_weight=0.5, direction_bins=4,
)  # fmt: skip
# Labels of the boxes of each process: unequal numbers, a task of one box, and one without boxes.
LABELS = ((0, 0, 1, 1, 0, 8), (1,))


def head():
    torch.manual_seed(0)
    return CONFIG.build(FeatureSpec(3, GRID, NUSCENES, 3, 8)).eval()


def sample(rank):
    """Features and boxes of a process."""
    generator = torch.Generator().manual_seed(rank)
    count = len(LABELS[rank])
    centers = torch.rand(count, 3, generator=generator) * torch.tensor([14.0, 10.0, 1.0])
    boxes = Boxes3D.make(
        centers - torch.tensor([7.0, 3.0, 0.0]),
        1 + torch.rand(count, 3, generator=generator),
        torch.randn(count, generator=generator),
        torch.randn(count, 2, generator=generator),
        label=torch.tensor(LABELS[rank]),
        attribute=torch.arange(count) % (len(ATTRIBUTES) + 1) - 1,
    )
    return torch.randn(1, 3, 12, 16, generator=generator), boxes


def loss_of(samples):
    """Loss terms of samples, gradients of their sum, and normalizers."""
    model = head()
    bev, boxes = torch.cat([one for one, _ in samples]), [two for _, two in samples]
    eye = torch.eye(4).expand(len(bev), 1, 4, 4)
    cameras = Cameras(eye[..., :3, :3], eye, eye[..., :3, :3])
    images = torch.zeros(len(bev), 1, 3, 1, 1, dtype=torch.uint8)
    batch = Batch(
        views=Views(images, cameras, [str(number) for number in range(len(bev))]),
        bev_from_ego=torch.eye(4).expand(len(bev), 4, 4),
        boxes=boxes,
        lidar=[],
        global_from_ego=torch.eye(4, dtype=torch.float64).expand(len(bev), 4, 4),
        polygons=[],
    )
    output = model(Features(bev, bev.new_zeros(len(bev), 1, 1, 1, 1), None))
    terms = model.loss(output, batch)
    sum(terms.values()).backward()
    return {
        "terms": {name: value.detach() for name, value in terms.items()},
        "gradients": {name: p.grad for name, p in model.named_parameters()},
        "normalizers": torch.tensor(normalizers(model.targets(boxes))),
    }


def main(folder):
    rank = int(os.environ["LOCAL_RANK"])
    torch.distributed.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    torch.save(loss_of([sample(rank)]), folder / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
