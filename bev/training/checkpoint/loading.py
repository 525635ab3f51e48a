"""Loading of checkpoints, which contain the experiment and the (averaged) weights."""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from bev.config import Experiment
from bev.data.settings import DataChoice, DataConfig
from bev.errors import BevError, CheckpointError, ConfigError, WeightsError, shown
from bev.models import Detector
from bev.models.weights.loading import read_file, write_weights
from bev.models.weights.shipped import located, shipped_name, shipped_names
from bev.serialization import UnknownClassError, differences, from_plain, to_plain
from bev.training.checkpoint.bounded import build_bounded
from bev.training.settings import TrainConfig

# Settings in the saved states of the optimiser and the schedule: new values would have no effect.
_OPTIMISATION = ("optimizer", "schedule", "lr", "lr_batch", "weight_decay", "warmup_steps")

# Settings that a position within an epoch depends on, besides the number of ranks.
_POSITION = [
    ("train", "seed"),
    ("train", "accumulate"),
    *(
        ("data", name)
        for name in (
            "source", "version", "train_split", "fold", "fraction", "fraction_seed", "sampling",
            "min_points", "batch_size",
        )
    ),
]  # fmt: skip


def load_checkpoint(path: Path, flip_tta: bool = False) -> tuple[Experiment, Detector]:
    """Load the experiment and its trained detector (averaged weights, evaluation mode, on the CPU).

    The file is a checkpoint of a run, or was written by :func:`export_weights`. Only plain data and
    tensors are read: loading an untrusted checkpoint runs no code.

    Args:
        path: checkpoint file, or the name of a shipped model (``bev.models.weights.shipped``).
        flip_tta: turn flip test-time augmentation on, whatever the config sets.

    Raises:
        CheckpointError: if the file is missing, damaged, not a checkpoint of bevlab, or its weights
            do not fit its config.
    """
    path = located(path)
    content = read_checkpoint(path)
    config = _experiment(content, path)
    # The weights come from the checkpoint, so pretrained ones are not downloaded.
    model = dataclasses.replace(config.model, backbone=config.model.backbone.without_weights())
    weights = _detector_weights(content)
    model = dataclasses.replace(model, flip_tta=flip_tta or model.flip_tta)
    try:
        detector = build_bounded(model, weights)
    except BevError as error:
        raise CheckpointError(f"Checkpoint {path}: {error}") from error
    fault = _misfit(detector.state_dict(), weights)
    if fault:
        raise CheckpointError(f"Checkpoint {path} does not fit the model of its config: {fault}.")
    detector.load_state_dict(weights)
    return config, detector.eval()


def export_weights(
    checkpoint: Path, path: Path, half: bool = False, data: DataChoice | None = None
) -> int:
    """Write the detector of a checkpoint as safetensors with its config; returns the size in bytes.

    The file contains only the (averaged) weights, with the tensor names of the detector;
    :func:`load_checkpoint` reads it. In its config, the folder of runs and limits of the
    machine that trained it are at their defaults, and weights that training began with are named
    without a folder of the machine; ``data.root`` stays unless ``data`` has another.

    Args:
        checkpoint: checkpoint file.
        path: output file.
        half: write kernels in half precision, see :func:`~bev.models.weights.write_weights`.
        data: changes of the data settings in the file's config.

    Raises:
        CheckpointError: as :func:`load_checkpoint`.
        WeightsError: for a suffix other than ``.safetensors``.
    """
    config, model = load_checkpoint(checkpoint)
    settings = config.data if data is None else data.apply(config.data)
    settings = dataclasses.replace(
        settings, workers=DataConfig.workers, image_cache=DataConfig.image_cache
    )
    train = dataclasses.replace(
        config.train, runs=TrainConfig.runs, run_name="", threads=TrainConfig.threads
    )
    plain = to_plain(dataclasses.replace(config, data=settings, train=train))
    for started in (plain["train"]["init"], plain["model"]["backbone"]):
        if started["weights"] and Path(started["weights"]).is_absolute():
            started["weights"] = Path(started["weights"]).name
    write_weights(path, model.state_dict(), plain, half)
    return path.stat().st_size


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU; raises CheckpointError as :func:`load_checkpoint`."""
    path = located(path)
    if not path.is_file():
        raise CheckpointError(
            f"Checkpoint {path} does not exist; a run writes checkpoints/last.ckpt and best.ckpt"
            f" into its folder. {shipped_names()}"
        )
    try:
        content = read_file(path)
    except WeightsError as error:
        raise CheckpointError(f"Checkpoint {path} cannot be used. {error}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or "config" not in content:
        raise CheckpointError(
            f"Checkpoint {path} contains no config and state_dict; it is not a bevlab checkpoint."
        )
    for name, value in state.items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor) and _is_whole(value)):
            raise CheckpointError(
                f"Checkpoint {path} has {shown(name)} in its state_dict, which is no named tensor;"
                " it is not a bevlab checkpoint."
            )
        if not value.isfinite().all():
            raise CheckpointError(
                f"Checkpoint {path} has numbers in {name[:200]} that are not finite, so it predicts"
                " nothing; use an earlier checkpoint."
            )
    return content


def _is_whole(value: torch.Tensor) -> bool:
    """True for a tensor that holds each of its numbers, not one for many of them."""
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def home_of(path: Path) -> Path:
    """Run folder of a checkpoint; outside of a run, the folder that contains the checkpoint.

    A shipped model has ``runs/NAME`` in the current folder: nothing is written into the package.
    """
    if name := shipped_name(path):
        return TrainConfig.runs / name
    path = path.resolve()
    run = path.parent.parent
    in_run = path.parent.name == "checkpoints" and (run / "config.yaml").is_file()
    return run if in_run else path.parent


def check_resumable(path: Path, config: Experiment, ranks: int = 1) -> None:
    """Raise an error if a checkpoint cannot be resumed with these settings.

    The model, the optimiser, the schedule and the stages must be the same, and averaged weights
    must not be turned off. A checkpoint from within an epoch also needs the same samples in the
    same batches on as many ranks; a checkpoint from the end of an epoch does not.

    Args:
        path: checkpoint file.
        config: experiment to resume with.
        ranks: number of training processes on all machines.

    Raises:
        CheckpointError: names each setting that differs.
    """
    content = read_checkpoint(path)
    model = config.model
    if "current_model_state" in content and config.train.ema == 0:
        raise CheckpointError(
            f"Checkpoint {path} comes from a run with averaged weights; resume it with averaged"
            " weights, not with --train.ema 0."
        )
    saved = _experiment(content, path)
    if not saved.model.label_space.renamed(model.label_space):  # e.g. colours may differ
        model = dataclasses.replace(model, labels=saved.model.labels)
    free = (".backbone.pretrained", ".backbone.weights", ".decode.")
    differing = [
        f"{name} was {before}, now {after}"
        for name, before, after in differences(saved.model, model, "model")
        if not any(part in name for part in free)
    ]
    stages = differences(saved.train.stages, config.train.stages, "train.stages")
    differing += [f"{name} was {before}, now {after}" for name, before, after in stages]
    differing += [
        f"train.{name} was {before}, now {after}"
        for name in _OPTIMISATION
        if (before := getattr(saved.train, name)) != (after := getattr(config.train, name))
    ]
    if differing:
        raise CheckpointError(
            f"Checkpoint {path} was trained with other settings than those to resume it with:"
            f" {'; '.join(differing)}. Resume it with its own config."
        )
    position = content.get("KeyFrameData", {"batches": 0})
    states = [content.get(name) for name in ("optimizer_states", "lr_schedulers", "loops")]
    if None in states or not (isinstance(position, dict) and {"batches"} <= set(position)):
        raise CheckpointError(
            f"Checkpoint {path} lacks the state of the optimizer or of the data, so a run cannot"
            " resume from it; start a new one from its weights (--train.init.weights)."
        )
    if position["batches"]:
        differing = [
            f"{part}.{name} was {before}, now {now}"
            for part, name in _POSITION
            if (before := getattr(getattr(saved, part), name))
            != (now := getattr(getattr(config, part), name))
        ]
        if position["ranks"] != ranks:
            differing.append(f"the number of processes was {position['ranks']}, now {ranks}")
        if differing:
            raise CheckpointError(
                f"Checkpoint {path} was saved within an epoch, after {position['batches']} batches,"
                f" and resumes only with the same data and batches: {'; '.join(differing)}. Resume"
                " it with the same settings, or use a checkpoint from the end of an epoch."
            )


def _experiment(content: dict[str, Any], path: Path) -> Experiment:
    try:
        return from_plain(Experiment, content["config"])
    except UnknownClassError as error:
        code = content.get("code")
        named = ", ".join(map(str, code))[:200] if isinstance(code, list) else ""
        where = f" It was trained with {named}." if named else ""
        raise CheckpointError(f"Checkpoint {path}: {error}{where}") from error
    except ConfigError as error:
        raise CheckpointError(f"Checkpoint {path}: {error}") from error


def _detector_weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Weights with the tensor names of the detector; the training module prefixes ``model.``."""
    state, prefix = content["state_dict"], "model."
    inside = {name: value for name, value in state.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in (inside or state).items()}


def _misfit(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> str:
    missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or unknown:
        return (
            f"{len(missing)} tensors are missing (first: {missing[:1]}) and {len(unknown)} unknown"
            f" (first: {unknown[:1]})"
        )
    for name, tensor in wanted.items():
        if tensor.shape != found[name].shape:
            return f"{name} should be {tuple(tensor.shape)}, is {tuple(found[name].shape)}"
    return ""
