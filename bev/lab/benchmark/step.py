"""Time, FLOPs and memory of the parts of a training step: one config and device, random images."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import bev.ops.winograd  # noqa: F401  (registers the operator whose FLOPs are counted)
from bev.config import Experiment
from bev.data.batch import AdjacentViews, Batch, Views
from bev.geometry import Boxes3D, Polygons
from bev.lab.benchmark.shapes import ring
from bev.lab.benchmark.timing import median_seconds, peak_bytes
from bev.lab.benchmark.view_parts import PARTS, view_parts
from bev.models import Detector, Features
from bev.models.kernel_gradient import use_kernel_gradients
from bev.models.view.base import BevFeatures
from bev.training.optimization.optimizer import build_optimizer
from bev.training.optimization.stages import Stages

BOXES = 30  # boxes per sample
Size = Sequence[int]


def random_batch(config: Experiment, device: torch.device) -> Batch:
    """Random batch of a config: noise images of a real camera rig, boxes and lidar points."""
    size, batch, labels = config.data.image_size, config.data.batch_size, config.model.label_space
    generator = torch.Generator().manual_seed(0)

    def uniform(low: list[float], high: list[float], count: int) -> Tensor:
        start, end = torch.tensor(low), torch.tensor(high)
        return start + (end - start) * torch.rand(count, len(low), generator=generator)

    def boxes() -> Boxes3D:
        return Boxes3D.make(
            center=uniform([-40, -40, 0], [40, 40, 1], BOXES),
            size=uniform([0.5, 0.5, 1], [5, 2, 2], BOXES),
            yaw=uniform([-3], [3], BOXES)[:, 0],
            velocity=uniform([-5, -5], [5, 5], BOXES),
            label=torch.randint(0, len(labels.classes), (BOXES,), generator=generator),
        )

    def polygons(gt_boxes: Boxes3D) -> Polygons:
        """Footprints of the boxes, as ground truth of all layers that the config loads."""
        layers = [labels.layer_names.index(name) for name in config.data.polygons.layers]
        return Polygons.cat([Polygons.of_boxes(gt_boxes, layer) for layer in layers])

    def views(when: str) -> Views:
        images = torch.randint(0, 256, (batch, 6, 3, *size), generator=generator)
        names = [f"random {number}{when}" for number in range(batch)]
        return Views(images.to(torch.uint8), ring(size, batch), names)

    def before(time: int) -> AdjacentViews:
        """Views of an earlier frame; the car drives straight on, half a second per frame."""
        ego_from_adjacent = torch.eye(4).repeat(batch, 1, 1)
        ego_from_adjacent[:, 0, 3] = -4.0 * time
        return AdjacentViews(
            **vars(views(f", {time} before")),
            ego_from_adjacent=ego_from_adjacent,
            seconds=torch.full((batch,), -0.5 * time),
        )

    gt_boxes = [boxes() for _ in range(batch)]
    return Batch(
        views=views(""),
        bev_from_ego=torch.eye(4).expand(batch, 4, 4),
        boxes=gt_boxes,
        lidar=[uniform([-50, -50, -1], [50, 50, 3], 20_000) for _ in range(batch)],
        global_from_ego=torch.eye(4, dtype=torch.float64).expand(batch, 4, 4),
        adjacent=[before(time + 1) for time in range(config.model.temporal.num_adjacent)],
        polygons=[polygons(sample_boxes) for sample_boxes in gt_boxes],
    ).to(device)


@dataclass(frozen=True)
class Stage:
    """Cost of a part of a training step.

    Attributes:
        seconds: median time of forward and backward pass, seconds.
        parameters: number of parameters of its modules.
        flops: FLOPs of its forward pass, a multiplication and an addition counted as two; covers
            matrix products and convolutions, as counted by ``FlopCounterMode``.
        memory: peak memory above that in use before it started, bytes; for the whole step this
            excludes weights, their gradients and the state of the optimiser.
    """

    seconds: float
    parameters: int
    flops: int
    memory: int


def make_step(
    config: Experiment, device: torch.device, precision: torch.dtype
) -> tuple[Detector, Callable[[Batch], None]]:
    """Create an untrained network and a function that makes a training step on a batch."""
    config = replace(
        config,
        model=replace(config.model, backbone=config.model.backbone.without_weights()),
    )
    model = config.model.build().to(device).train()
    use_kernel_gradients(model)
    stages = Stages(model, config.train.stages)
    optimizer = build_optimizer(stages, config.train, config.data.batch_size)

    def step(batch: Batch) -> None:
        with _autocast(device, precision):
            first, *rest = model.loss(batch).values()
            loss = sum(rest, start=first)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return model, step


def _autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


def step_stages(
    config: Experiment, device: torch.device, precision: torch.dtype, seconds: float
) -> dict[str, Stage]:
    """Measure a training step and each of its parts, forward and backward.

    The parts run separately on the tensors that they receive in the step: ``backbone``, ``neck``,
    ``view`` (the whole view transform), the parts of ``view_parts`` within it, ``encoder``, and
    each head by its name, including its targets and losses.
    """
    model, train_step = make_step(config, device, precision)
    batch = random_batch(config, device)
    autocast = _autocast(device, precision)

    def step() -> None:
        train_step(batch)

    with autocast, torch.no_grad():
        images = batch.views.images.flatten(0, 1)
        levels = model.backbone(images)
        features = model.neck(levels).unflatten(0, batch.views.images.shape[:2])
        view = model.view
        place = (batch.image_size, batch.views.cameras, batch.bev_from_ego)
        lifted = view(features, *place)
        bev = lifted.bev
        others = [bev] * config.model.temporal.num_adjacent
        bev = model.temporal(bev, others, [views.seconds for views in batch.adjacent])
        encoded = model.encoder(bev)
    parameters = list(model.parameters())

    def trained(function: Callable, *inputs: Tensor) -> Callable[[], None]:
        leaves = [t.detach().requires_grad_(t.is_floating_point()) for t in inputs]
        wanted = [t for t in (*leaves, *parameters) if t.requires_grad]
        grads: list[Tensor] = []  # gradients of the outputs, in place of the rest of the network's

        def work() -> None:
            with autocast:
                outputs = [t for t in _tensors(function(*leaves)) if t.requires_grad]
            if not grads:
                grads.extend(torch.ones_like(output) for output in outputs)
            torch.autograd.grad(outputs, wanted, grads, allow_unused=True)

        return work

    parts: dict[str, tuple[nn.Module, Callable, tuple[Tensor, ...]]] = {
        "backbone": (model.backbone, model.backbone, (images,)),
        "neck": (model.neck, lambda *maps: model.neck(list(maps)), tuple(levels)),
        "view": (view, lambda maps: view(maps, *place), (features,)),
        "encoder": (model.encoder, model.encoder, (bev,)),
    }
    for name, head in config.model.heads.items():
        if not head.auxiliary:  # auxiliary heads need more than BEV features
            parts[name] = (
                getattr(model, name),
                _head_loss(model, name, batch, features, lifted),
                (encoded,),
            )
    works: dict[str, Callable[[], object]] = {"step": step}
    for name, (_, function, inputs) in parts.items():
        works[name] = trained(function, *inputs)
        if name == "view":
            works |= view_parts(view, batch, features, trained)
    times = median_seconds(works, device, seconds=seconds)

    def flops(function: Callable, *inputs: object) -> int:
        with autocast:
            return flops_of(function, *inputs)

    counted = {name: flops(function, *inputs) for name, (_, function, inputs) in parts.items()}
    counted["step"] = flops(model.loss, batch)
    modules = {"step": model} | {name: module for name, (module, _, _) in parts.items()}
    sizes = {name: sum(p.numel() for p in m.parameters()) for name, m in modules.items()}
    return {
        name: Stage(time, sizes.get(name, 0), counted.get(name, 0), peak_bytes(works[name], device))
        for name, time in times.items()
    }


@torch.no_grad()
def flops_of(function: Callable, *inputs: object) -> int:
    """FLOPs of a forward pass, see :class:`Stage`."""
    known = {torch.ops.bev.winograd_conv: _winograd_flops}
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        function(*inputs)
    return counter.get_total_flops()


def _winograd_flops(x: Size, weight: Size, *_: object, out_shape: Size, **__: object) -> int:
    """FLOPs of the direct sum that Winograd's algorithm replaces."""
    return 2 * prod(out_shape) * prod(weight[1:])


def limit(stages: dict[str, Stage], rate: float) -> str:
    """Sentence that compares a step with the least time of its FLOPs at a rate per second.

    A backward pass has twice the FLOPs of the forward pass: a product for the gradient of the
    inputs, and one for that of the weights.
    """
    flops, seconds = 3 * stages["step"].flops, stages["step"].seconds
    return (
        f"{flops / 1e9:.0f} GFLOPs of a step, three times those forward, take"
        f" {1e3 * flops / rate:.0f} ms at the {rate / 1e9:.0f} GFLOPs per second of a large matrix"
        f" product; the step runs at {flops / rate / seconds:.0%} of this rate"
    )


def _tensors(value: Tensor | Iterable | None) -> list[Tensor]:
    """All tensors of a nested output."""
    if isinstance(value, Tensor):
        return [value]
    if value is None:  # depth logits of a view transform that predicts no depth
        return []
    return [tensor for part in value for tensor in _tensors(part)]


def table(stages: dict[str, Stage]) -> str:
    """Human-readable table of the parts, with their shares of the step."""
    lines = [
        f"{'':24} {'ms':>9} {'of the step':>12} {'M params':>9} {'GFLOPs':>9} {'peak MB':>9}",
    ]
    step = stages["step"].seconds
    for name, stage in stages.items():
        if name in PARTS:  # parameters and FLOPs are included in those of the view
            held = f"{'':9} {'':9} {stage.memory / 1e6:9.1f}"
            name = f"  {name}"
        else:
            held = (
                f"{stage.parameters / 1e6:9.2f} {stage.flops / 1e9:9.2f} {stage.memory / 1e6:9.1f}"
            )
        lines.append(f"{name:24} {1e3 * stage.seconds:9.2f} {stage.seconds / step:12.2%} {held}")
    parts = [name for name in PARTS if name in stages]
    if parts:
        total = sum(stages[name].seconds for name in parts)
        lines.append(f"{', '.join(parts):24} {1e3 * total:9.2f} {total / step:12.2%}")
    return "\n".join(lines)


def _head_loss(
    model: Detector, name: str, batch: Batch, images: Tensor, lifted: BevFeatures
) -> Callable[[Tensor], Collection[Tensor]]:
    """Function from BEV features to the loss terms of a head."""
    head = getattr(model, name)

    def losses(bev: Tensor) -> Collection[Tensor]:
        return head.loss(head(Features(bev, images, lifted.depth_logits)), batch).values()

    return losses
