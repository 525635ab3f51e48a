"""Check of all settings before a run begins: bounds, contradictions, and this machine."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from functools import partial

from lightning.pytorch.strategies import StrategyRegistry

from bev.bounds import described, faults
from bev.config import Experiment
from bev.data.frame import Reference
from bev.data.images.photometric import photometric_transform
from bev.errors import BevError, ConfigError, TrainingError
from bev.evaluation.evaluation import evaluators
from bev.models.view.camera_aware import CameraAwareDepthNetConfig
from bev.training.distributed.launch import SHARDED, machine_faults
from bev.training.optimization.muon import MuonAdamW
from bev.training.optimization.schedule import follows_run
from bev.training.settings import OptimizerCall, TrainConfig


def check_settings(config: Experiment, here: bool = False) -> None:
    """Raise one error for all settings of an experiment that cannot be meant or cannot work.

    Contradictions between settings are looked for as far as that is possible with settings that
    are outside their bounds.

    Args:
        config: the experiment.
        here: whether it runs on this machine, which must have its devices and threads.

    Raises:
        ConfigError: if settings are outside their bounds (``bev.bounds``), the photometric
            transform cannot augment images, or a head has no evaluator; with these, for everything
            else too.
        TrainingError: if settings contradict one another, or ask for more than the machine has.
    """
    found, errors = faults(config), list[BevError]()
    with suppress(Exception) if found else nullcontext():
        errors.extend(map(TrainingError, machine_faults(config.train) if here else []))
    with suppress(Exception) if found else nullcontext():
        errors.extend(_contradictions(config))
    if found:
        raise ConfigError(" ".join([described(found), *map(str, errors)]))
    kinds = {type(error) for error in errors}
    if errors:
        kind = kinds.pop() if len(kinds) == 1 else TrainingError
        raise kind(" ".join(map(str, errors)))


def _contradictions(config: Experiment) -> Iterator[BevError]:
    """Iterate over the errors of settings that are possible alone but not together."""
    model, data = config.model, config.data
    yield from map(TrainingError, _of_training(config))
    yield from map(TrainingError, _of_model_and_data(config))
    flips = {
        "--data.image-augmentation.flip independent": data.image_augmentation.flip == "mirror",
        "--model.no-flip-tta": model.flip_tta,
    }
    checks: list[Callable[[], object]] = [
        *(partial(head.check_data, model, data) for head in model.heads.values()),
        partial(evaluators, model, data),
        partial(photometric_transform, data.image_augmentation.transform),
        partial(check_flip_tta, data.reference, flips),
    ]
    for check in checks:
        try:
            check()
        except BevError as error:
            yield error


def _of_training(config: Experiment) -> Iterator[str]:
    """Contradictions among the settings of training, and with parts of the model."""
    train, known = config.train, StrategyRegistry.available_strategies()
    if train.strategy not in ("auto", *known):
        yield (
            f"train.strategy is {train.strategy!r}; set it to auto, or to one of Lightning's:"
            f" {', '.join(sorted(known))}."
        )
    if train.ema > 0 and train.strategy.startswith(SHARDED):
        yield (
            f"Averaged weights do not work with the sharded strategy {train.strategy!r}; set"
            " --train.ema 0, or --train.strategy ddp."
        )
    if train.max_grad_norm > 0 and train.strategy.startswith("fsdp"):
        yield (
            f"Gradients are not clipped with the sharded strategy {train.strategy!r}; set"
            " --train.max-grad-norm 0, or --train.strategy ddp."
        )
    if train.stages != TrainConfig.stages and train.strategy.startswith(SHARDED):
        yield (
            f"Stages of training (train.stages) do not work with the sharded strategy"
            f" {train.strategy!r}; set --train.strategy ddp."
        )
    optimizer = OptimizerCall.of(train.optimizer, "train.optimizer").target
    if issubclass(optimizer, MuonAdamW) and train.strategy.startswith(SHARDED):
        yield (
            f"MuonAdamW updates whole kernels, which the sharded strategy {train.strategy!r}"
            " divides; set --train.optimizer AdamW, or --train.strategy ddp."
        )
    if train.init.weights is None and (train.init.only or train.init.skip):
        yield "train.init names parts to load or to skip, but no weights; set --train.init.weights."
    if train.compile and train.sync_batch_norm:
        yield (
            "Batch norms over all processes are not compiled; set --train.no-compile, or"
            " --train.no-sync-batch-norm."
        )
    checkpointed = [n for n in ("backbone", "encoder") if getattr(config.model, n).checkpointing]
    if train.compile and checkpointed:
        yield (
            "torch.compile chooses by itself which activations to recompute; use"
            f" --train.no-compile, or --model.{checkpointed[0]}.no-checkpointing."
        )
    if train.max_minutes and follows_run(train):
        yield (
            f"The schedule {train.schedule}, or a stage that starts at a fraction of the run, needs"
            " the number of steps, which --train.max-minutes does not determine; use"
            " --train.max-steps, or the default schedule and stages that start at a step."
        )


def _of_model_and_data(config: Experiment) -> Iterator[str]:
    """Contradictions between the settings of the model and of the data."""
    model, data = config.model, config.data
    joined, brought = model.temporal.num_adjacent, len(data.adjacent.offsets())
    if joined != brought:
        yield (
            f"The model joins {joined} adjacent frames and the data bring {brought};"
            " --model.temporal.num-adjacent must be --data.adjacent.previous plus .following."
        )
    if data.adjacent.plays and not model.temporal.times:
        yield (
            "Scenes played at other rates (data.adjacent.playback) need a model that uses the"
            " times of adjacent frames; set --model.temporal.times, or --data.adjacent.playback 1."
        )
    if model.view.assumes_ground and data.reference == "lidar":
        yield (
            "Ray features encode the depth of the ground at z = 0, but the ground is elsewhere in"
            " the lidar frame; set --data.reference ego, or turn the lift-splat's ray_features off."
        )
    coarsest, image = model.backbone.strides[-1], data.image_size
    if min(image) < coarsest:
        yield (
            f"data.image_size is {image}, smaller than one cell of the feature map of stride"
            f" {coarsest} (model.backbone.strides); choose larger images or smaller strides."
        )
    lift = getattr(model.view, "lift", model.view)
    net = getattr(lift, "depth_net", None)
    images = data.batch_size * (len(data.camera_names) - data.drop_cameras)
    if isinstance(net, CameraAwareDepthNetConfig) and images < 2 and (net.aspp or net.batch_norm):
        names = [n for n in ("aspp", "batch_norm") if getattr(net, n)]
        yield (
            f"The depth net's {' and '.join(names)} need two or more images in a training batch,"
            f" which has one (data.batch_size {data.batch_size}, {len(data.camera_names)} cameras,"
            f" of which {data.drop_cameras} are dropped); set --data.batch-size 2 or higher, or"
            f" turn {' and '.join(names)} off."
        )


def check_flip_tta(reference: Reference, asked: Mapping[str, bool]) -> None:
    """Raise TrainingError if scenes are to be flipped in a frame whose y axis does not point left.

    Args:
        reference: reference frame of the BEV.
        asked: whether flipping is on, by the flag that turns it off.
    """
    flags = [flag for flag, wanted in asked.items() if wanted]
    if reference == "lidar" and flags:
        raise TrainingError(
            "Flipping a scene negates y, which swaps front and back in the lidar frame; leave it"
            f" out ({', '.join(flags)}), or train in the ego frame (--data.reference ego)."
        )
