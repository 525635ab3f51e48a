"""Measure how a model stands corrupted images, lost cameras and wrong calibrations.

bevlab robustness CHECKPOINT                       # the whole suite
bevlab robustness CHECKPOINT --every 5             # on one of every five samples
bevlab robustness CHECKPOINT --groups corruptions  # RoboBEV's eight corruptions alone
"""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from bev.bounds import Bound, Count, Length, Seed
from bev.data.settings import DataChoice
from bev.errors import print_warnings
from bev.lab.robustness.conditions import DEFAULT, Group
from bev.options import parse

Minutes = Annotated[float, Bound(above=0, finite=False)]


@dataclass(frozen=True)
class Command:
    """Evaluate a checkpoint under many conditions, and set each beside the clean data.

    Attributes:
        source: checkpoint of a run, or the name of a shipped model (see `bevlab models`).
        split: official or custom split; empty for the validation split of the config.
        every: evaluate one of every so many samples.
        groups: groups of conditions. late-sweep needs data with images between the key frames.
        seed: seed of all that is drawn.
        out: output folder; defaults to robustness/<split>[_every_N] of the run. A folder with
            results continues; its table also has what is done of other groups.
        minutes: begin no further condition after this time; the same command continues.
        data: location of the data, if other than in the config; also those of another rig.
    """

    source: tyro.conf.Positional[Path]
    split: str = ""
    every: Count = 1
    groups: Annotated[tuple[Group, ...], Length(least=1)] = DEFAULT
    seed: Seed = 0
    out: Path | None = None
    minutes: Minutes = math.inf
    data: DataChoice = field(default_factory=DataChoice)


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)

    from bev.evaluation.evaluation import evaluators
    from bev.inference.prepare import prepare_for_inference
    from bev.lab.robustness.conditions import GROUPS, conditions
    from bev.lab.robustness.report import write_report
    from bev.lab.robustness.suite import Suite, identity
    from bev.lab.robustness.table import Results
    from bev.training.checkpoint import home_of, load_checkpoint

    begin = time.monotonic()
    config, model = load_checkpoint(command.source)
    data = command.data.apply(config.data)
    split, every = command.split or data.splits[1], command.every
    frames = data.source.open(data).frames(split)[::every]
    scored = evaluators(config.model, data)
    for one in scored.values():
        one.check(frames, split)
    place = split if every == 1 else f"{split}_every_{every}"
    folder = command.out or home_of(command.source) / "robustness" / place
    suite = Suite(folder, identity(model, data, split, every, command.seed, frames))
    suite.begin()
    prepare_for_inference(model, heads=scored, keep_memory=True)
    planned = [  # those asked for, and what is done of others
        one
        for one in conditions(tuple(GROUPS), data.camera_names, command.seed)
        if one.group in ("", *command.groups) or suite.outcome(one) is not None
    ]
    outcomes = {}
    for number, condition in enumerate(planned, 1):
        done = suite.outcome(condition)
        if done is None and (time.monotonic() - begin) / 60 < command.minutes:
            print(f"{number} of {len(planned)}: {condition.name}", flush=True)
            done = suite.run(condition, model, data, split, every)
        if done is not None:
            outcomes[condition.name] = done
    if not outcomes:
        print_warnings(["No condition was evaluated; raise --minutes."])
        return
    results = Results(suite.identity, planned, outcomes)
    results.write(folder)
    page = write_report(folder, results, str(command.source), frames[0].cameras[0], data.root)
    print(f"\n{results.text()}\n\nwritten to {page.parent}")
