"""Check for contradictory settings before a run begins."""

from collections.abc import Mapping

from bev.config import Experiment
from bev.data.frame import Reference
from bev.data.images.photometric import photometric_transform
from bev.errors import TrainingError
from bev.evaluation.evaluation import evaluators
from bev.training.optimization.schedule import follows_run
from bev.training.settings import TrainConfig

_SHARDED = ("fsdp", "deepspeed")


def check_settings(config: Experiment) -> None:
    """Raise an error for settings of an experiment that cannot work.

    Raises:
        TrainingError: if settings contradict one another.
        ConfigError: if the photometric transform cannot augment images, or a head has no evaluator.
    """
    train = config.train
    if train.ema > 0 and train.strategy.startswith(_SHARDED):
        raise TrainingError(
            f"Averaged weights do not work with the sharded strategy {train.strategy!r}; set"
            " --train.ema 0, or --train.strategy ddp."
        )
    if train.max_grad_norm > 0 and train.strategy.startswith("fsdp"):
        raise TrainingError(
            f"Gradients are not clipped with the sharded strategy {train.strategy!r}; set"
            " --train.max-grad-norm 0, or --train.strategy ddp."
        )
    if train.stages != TrainConfig.stages and train.strategy.startswith(_SHARDED):
        raise TrainingError(
            f"Stages of training (train.stages) do not work with the sharded strategy"
            f" {train.strategy!r}; set --train.strategy ddp."
        )
    joined, brought = config.model.temporal.num_adjacent, len(config.data.adjacent.offsets())
    if joined != brought:
        raise TrainingError(
            f"The model joins {joined} adjacent frames and the data bring {brought};"
            " --model.temporal.num-adjacent must be --data.adjacent.previous plus .following."
        )
    if config.data.adjacent.plays and not config.model.temporal.times:
        raise TrainingError(
            "Scenes played at other rates (data.adjacent.playback) need a model that uses the"
            " times of adjacent frames; set --model.temporal.times, or --data.adjacent.playback 1."
        )
    if train.init.weights is None and (train.init.only or train.init.skip):
        raise TrainingError(
            "train.init names parts to load or to skip, but no weights; set --train.init.weights."
        )
    checkpointed = [n for n in ("backbone", "encoder") if getattr(config.model, n).checkpointing]
    if train.compile and checkpointed:
        raise TrainingError(
            "torch.compile chooses by itself which activations to recompute; use"
            f" --train.no-compile, or --model.{checkpointed[0]}.no-checkpointing."
        )
    if config.model.view.assumes_ground and config.data.reference == "lidar":
        raise TrainingError(
            "Ray features encode the depth of the ground at z = 0, but the ground is elsewhere in"
            " the lidar frame; set --data.reference ego, or turn the lift-splat's ray_features off."
        )
    flips = config.data.image_augmentation.flip == "mirror"
    check_flip_tta(
        config.data.reference,
        {
            "--data.image-augmentation.flip independent": flips,
            "--model.no-flip-tta": config.model.flip_tta,
        },
    )
    for head in config.model.heads.values():
        head.check_data(config.model, config.data)
    evaluators(config.model, config.data)  # raises their errors
    if train.max_minutes and follows_run(train):
        raise TrainingError(
            f"The schedule {train.schedule}, or a stage that starts at a fraction of the run, needs"
            " the number of steps, which --train.max-minutes does not determine; use"
            " --train.max-steps, or the default schedule and stages that start at a step."
        )
    photometric_transform(config.data.image_augmentation.photometric)


def check_flip_tta(reference: Reference, asked: Mapping[str, bool]) -> None:
    """Raise TrainingError if scenes are to be flipped in a frame whose y axis does not point left.

    Args:
        reference: reference frame of the BEV.
        asked: whether flipping is on, by the flag that turns it off.
    """
    flags = [flag for flag, wanted in asked.items() if wanted]
    if reference == "lidar" and flags:
        raise TrainingError(
            "Flipping a scene negates y, which swaps front and back in the lidar frame; set"
            f" --data.reference ego, or leave it out ({', '.join(flags)})."
        )
