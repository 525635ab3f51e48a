"""Where the time of a training step goes: one config, one device, random images."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from bev.benchmark.shapes import ring
from bev.benchmark.timing import median_seconds
from bev.benchmark.view_parts import PARTS, view_parts
from bev.config import Experiment
from bev.data.batch import AdjacentViews, Batch
from bev.geometry import Boxes3D
from bev.training.optimizer import build_optimizer

BOXES = 30  # a sample


def random_batch(config: Experiment, device: torch.device) -> Batch:
    """Noise of the config's size seen by a real ring of cameras, with boxes and lidar points."""
    size, batch = config.data.image_size, config.data.batch_size
    generator = torch.Generator().manual_seed(0)

    def uniform(low: list[float], high: list[float], count: int) -> Tensor:
        low, high = torch.tensor(low), torch.tensor(high)
        return low + (high - low) * torch.rand(count, len(low), generator=generator)

    def boxes() -> Boxes3D:
        return Boxes3D.make(
            center=uniform([-40, -40, 0], [40, 40, 1], BOXES),
            size=uniform([0.5, 0.5, 1], [5, 2, 2], BOXES),
            yaw=uniform([-3], [3], BOXES)[:, 0],
            velocity=uniform([-5, -5], [5, 5], BOXES),
            label=torch.randint(0, 10, (BOXES,), generator=generator),
        )

    def images() -> Tensor:
        values = torch.randint(0, 256, (batch, 6, 3, *size), generator=generator)
        return values.to(torch.uint8)

    def before(time: int) -> AdjacentViews:
        """Half a second's drive ahead, for each frame back."""
        ego_from_adjacent = torch.eye(4).repeat(batch, 1, 1)
        ego_from_adjacent[:, 0, 3] = -4.0 * time
        return AdjacentViews(
            images=images(),
            cameras=ring(size, batch),
            ego_from_adjacent=ego_from_adjacent,
            seconds=torch.full((batch,), -0.5 * time),
            names=[f"random {number}, {time} before" for number in range(batch)],
        )

    return Batch(
        images=images(),
        cameras=ring(size, batch),
        bev_from_ego=torch.eye(4).expand(batch, 4, 4),
        boxes=[boxes() for _ in range(batch)],
        lidar=[uniform([-50, -50, -1], [50, 50, 3], 20_000) for _ in range(batch)],
        tokens=[f"random {number}" for number in range(batch)],
        global_from_ego=torch.eye(4, dtype=torch.float64).expand(batch, 4, 4),
        adjacent=[before(time + 1) for time in range(config.model.temporal.frames)],
    ).to(device)


def step_seconds(
    config: Experiment, device: torch.device, precision: torch.dtype, seconds: float
) -> dict[str, float]:
    """Median seconds of a training step, and of its parts, each forward and backward.

    The parts are run alone on the tensors that they get in the step: ``backbone``, ``neck``,
    ``view`` (all of it), of which those of ``view_parts``; ``encoder``, ``head``.
    """
    config = replace(
        config,
        model=replace(
            config.model, backbone=replace(config.model.backbone, pretrained=False, weights=None)
        ),
    )
    model = config.model.build().to(device).train()
    optimizer = build_optimizer(model, config.train, config.data.batch_size)
    batch = random_batch(config, device)
    autocast = torch.autocast(device.type, precision, enabled=precision != torch.float32)

    def step() -> None:
        with autocast:
            loss = sum(model.loss(batch).values())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    with autocast, torch.no_grad():
        levels = model.backbone(batch.images.flatten(0, 1))
        features = model.neck(levels).unflatten(0, batch.images.shape[:2])
        view = model.view
        place = (batch.image_size, batch.cameras, batch.bev_from_ego)
        bev = view(features, *place).bev
        others = [bev] * config.model.temporal.frames
        bev = model.temporal(bev, others, [views.seconds for views in batch.adjacent])
        encoded = model.encoder(bev)
    parameters = list(model.parameters())

    def trained(function: Callable, *inputs: Tensor) -> Callable[[], None]:
        leaves = [t.detach().requires_grad_(t.is_floating_point()) for t in inputs]
        wanted = [t for t in (*leaves, *parameters) if t.requires_grad]
        grads: list[Tensor] = []  # of the outputs, as the rest of the network would hand them in

        def work() -> None:
            with autocast:
                outputs = [t for t in _tensors(function(*leaves)) if t.requires_grad]
            if not grads:
                grads.extend(torch.ones_like(output) for output in outputs)
            torch.autograd.grad(outputs, wanted, grads, allow_unused=True)

        return work

    return median_seconds(
        {
            "step": step,
            "backbone": trained(model.backbone, batch.images.flatten(0, 1)),
            "neck": trained(lambda *maps: model.neck(list(maps)), *levels),
            "view": trained(lambda maps: view(maps, *place), features),
            **view_parts(view, batch, features, trained),
            "encoder": trained(model.encoder, bev),
            "head": trained(
                lambda maps: model.head.loss(model.head(maps), batch.boxes).values(), encoded
            ),
        },
        device,
        seconds=seconds,
    )


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if value is None:  # the depth of a view transform that predicts none
        return []
    return [tensor for part in value for tensor in _tensors(part)]


def table(times: dict[str, float]) -> str:
    """The parts as shares of the step."""
    lines = [f"{'':24} {'ms':>9} {'of the step':>12}"]
    for name, seconds in times.items():
        indent = "  " if name in PARTS else ""
        lines.append(f"{indent + name:24} {1e3 * seconds:9.2f} {seconds / times['step']:12.2%}")
    parts = [name for name in PARTS if name in times]
    if parts:
        total = sum(times[name] for name in parts)
        lines.append(f"{', '.join(parts):24} {1e3 * total:9.2f} {total / times['step']:12.2%}")
    return "\n".join(lines)
