"""Reproduce published figures: ``bevlab reproduce NAME --weights FILE --data.root DIR``.

Published weights are converted and evaluated on the validation split; ``--train`` trains the config
on one GPU instead. The result is set beside the published row, and ``reproduction.json`` holds what
another machine needs to find out where a difference comes from.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from bev.bounds import check_bounds, gathered
from bev.config import Experiment, load_file, override
from bev.errors import ConfigError
from bev.options import parse_known
from bev.paths import file_name

if TYPE_CHECKING:
    from bev.evaluation.scores import Scores
    from bev.lab.reproduce.stages import Stage


@dataclass(frozen=True)
class Command:
    """Reproduce the published figures of a config; any of its fields can be overridden.

    Attributes:
        config: name of a shipped config.
        weights: published checkpoint, to convert and evaluate.
        train: train the config on one GPU instead, with the published global batch by gradient
            accumulation.
        split: split to evaluate; empty for the validation split of the config.
        out: output folder; defaults to runs/reproduce_<config>.
    """

    config: tyro.conf.Positional[str]
    weights: Path | None = None
    train: bool = False
    split: str = ""
    out: Path | None = None


def main(arguments: list[str], prog: str) -> None:
    command, overrides = parse_known(Command, arguments, prog)
    if (command.weights is None) != command.train:
        raise ConfigError(
            "Give either --weights FILE, a published checkpoint to evaluate, or --train."
        )

    from bev.lab.reproduce import stages
    from bev.lab.reproduce.published import rows_of
    from bev.lab.reproduce.record import RECORD, Reproduction
    from bev.training.settings_check import check_settings

    shipped = load_file(command.config)
    with gathered():  # all faults are named at once
        config, start = override(shipped, overrides, f"{prog} {command.config}"), shipped
    if command.train:
        check_settings(config)
    else:  # of weights that are evaluated, settings of training may contradict the data
        check_bounds(config, "")
    if command.train:
        names = {argument.split("=")[0] for argument in overrides}
        if "--train.devices" in names:
            raise ConfigError(
                "This command trains on one device; omit --train.devices, or use bevlab train."
            )
        chosen = config.train.accumulate if "--train.accumulate" in names else 0
        config, start = on_one_gpu(config, chosen), on_one_gpu(shipped)
    folder = command.out or config.train.runs / f"reproduce_{shipped.name}"
    split = command.split or config.data.splits[1]
    if command.train and command.split:
        raise ConfigError("--split goes with --weights; choose --data.val-split instead.")
    found = {  # before the work that takes hours
        "machine": stages.machine_stage(),
        "data": stages.data_stage(config, split),
        "switches": stages.switches_stage(config, start, command.train),
    }
    if command.weights is not None:
        found["weights"], heads = _evaluate(command.weights, config, split, folder)
    else:
        found["weights"], heads = _train(config)
    done = Reproduction(shipped.name, rows_of(shipped.name), heads, found, command.train)
    done.write(folder / RECORD)
    print(f"\n{done.text()}\n\nwritten to {folder / RECORD}")


def on_one_gpu(config: Experiment, accumulate: int = 0) -> Experiment:
    """The same training on one device: as many samples per step, by gradient accumulation.

    Batch norms see one batch, as on each of the published GPUs.

    Args:
        config: config of the training.
        accumulate: batches per step; 0 for as many as the published global batch has.
    """
    batches = accumulate or max(config.train.lr_batch // config.data.batch_size, 1)
    name = config.train.run_name or "reproduce"
    train = replace(config.train, devices=1, accumulate=batches, run_name=name)
    return replace(config, train=train)


def _evaluate(
    weights: Path, config: Experiment, split: str, folder: Path
) -> "tuple[Stage, Mapping[str, Scores]]":
    """Convert and evaluate published weights; the stage of the weights, and the scores."""
    from bev.cli.evaluate.run import Command as Evaluate
    from bev.cli.evaluate.run import evaluate
    from bev.lab.convert.published import FAMILIES, convert, read_published
    from bev.lab.reproduce.stages import weights_stage

    family = next((name for name, one in FAMILIES.items() if one.config == config.name), None)
    if family is None:
        known = ", ".join(one.config for one in FAMILIES.values())
        raise ConfigError(
            f"No published weights are converted to {config.name}; name one of {known}, or --train."
        )
    conversion = convert(read_published(weights), {family: config}, family)
    stage = weights_stage(weights, conversion)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "converted.ckpt"
    conversion.save(checkpoint)
    return stage, evaluate(Evaluate(checkpoint, split, folder)).heads


def _train(config: Experiment) -> "tuple[Stage, Mapping[str, Scores]]":
    """Train a config; the stage of the weights, and the scores of its last validation.

    A run that was interrupted continues, and one that is finished is read.

    Raises:
        ConfigError: if the finished run had other settings.
    """
    from bev.evaluation.evaluation import evaluators
    from bev.lab.reproduce.stages import PLACES, changes
    from bev.training.folder import named_folder
    from bev.training.record import RECORD, is_finished, last_checkpoint
    from bev.training.run import train
    from bev.visualization.report.run import report_run
    from bev.visualization.training import sample_pictures

    folder = named_folder(config.train, config.name)
    if is_finished(folder):
        before = changes(load_file(folder / "config.yaml"), config)
        if others := [name for name in before if not name.startswith(PLACES)]:
            raise ConfigError(
                f"{folder} was trained with another {', '.join(others)}; repeat its flags, or set"
                " --train.run-name to start a new run."
            )
    else:
        last, callbacks = last_checkpoint(folder), sample_pictures(config)
        train(config, last, callbacks=callbacks, finish=[report_run])
    stage: Stage = {
        "run": json.loads((folder / RECORD).read_bytes()),
        "seed": config.train.seed,
        "samples_per_step": config.data.batch_size * config.train.accumulate,
        "findings": [],
    }
    written, heads = folder / "evaluation" / file_name(config.data.splits[1]), {}
    for name, one in evaluators(config.model, config.data).items():
        heads[name] = one.read(written)
    return stage, heads
