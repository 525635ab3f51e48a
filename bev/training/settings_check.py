"""Settings that contradict one another, found before anything runs."""

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
    """Refuse settings of an experiment that cannot work.

    Raises:
        TrainingError: where they contradict one another.
        ConfigError: where the photometric transform cannot augment images, and where a head has no
            evaluator.
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
            "Scenes played at other rates (data.adjacent.playback) need a model that is told the"
            " times; set --model.temporal.times, or --data.adjacent.playback 1."
        )
    if train.init.weights is None and (train.init.only or train.init.skip):
        raise TrainingError(
            "train.init names parts to load or leave and no weights; set --train.init.weights."
        )
    again = [n for n in ("backbone", "encoder") if getattr(config.model, n).checkpointing]
    if train.compile and again:
        raise TrainingError(
            f"A compiled model chooses itself what to compute again; use --train.no-compile, or"
            f" --model.{again[0]}.no-checkpointing."
        )
    if config.model.view.assumes_ground and config.data.reference == "lidar":
        raise TrainingError(
            "Ray features tell the depth of the ground at z = 0, which is not where it lies in the"
            " lidar's frame; set --data.reference ego, or the lift-splat's ray_features off."
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
    evaluators(config.model, config.data)  # raises what is wrong with them
    if train.max_minutes and follows_run(train):
        raise TrainingError(
            f"The schedule {train.schedule}, or a stage that starts at a fraction of the run, needs"
            " to know the number of steps, and --train.max-minutes does not say; use"
            " --train.max-steps, or the default schedule and starts counted in steps."
        )
    photometric_transform(config.data.image_augmentation.photometric)


def check_flip_tta(reference: Reference, asked: Mapping[str, bool]) -> None:
    """Raises TrainingError where scenes are to be mirrored in a frame whose y is not the left.

    Args:
        reference: whose frame the BEV is.
        asked: by what leaves it out, whether mirroring is asked for.
    """
    flags = [flag for flag, wanted in asked.items() if wanted]
    if reference == "lidar" and flags:
        raise TrainingError(
            "A scene's mirror image has its y turned round, which in the lidar's frame is front and"
            f" back; set --data.reference ego, or leave it out ({', '.join(flags)})."
        )
