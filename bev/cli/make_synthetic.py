"""Make the synthetic driving world: ``bevlab make-synthetic DIR``."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from bev.bounds import Bound, Count, Natural
from bev.options import parse


@dataclass(frozen=True)
class Command:
    """Make a synthetic driving world and write it as a nuScenes data set."""

    dir: Annotated[Path, tyro.conf.Positional]
    """Output folder; must be new or empty."""
    preset: Literal["default", "tiny"] = "default"
    """World size: tiny takes a minute and is for tests; default is large enough to learn from."""
    scenes: Count | None = None
    """Number of training scenes; defaults to the preset's."""
    val_scenes: Count | None = None
    """Number of held-out scenes; defaults to a seventh of --scenes, or to the preset's."""
    frames: Annotated[int, Bound(least=2)] | None = None
    """Key frames per scene; defaults to the preset's."""
    seed: Natural | None = None
    """Seed of the world; defaults to the preset's."""
    lens: Literal["pinhole", "fisheye"] = "pinhole"
    """Camera rig: the six pinhole cameras of nuScenes, or four fisheye cameras around the car."""
    workers: Count | None = None
    """Number of processes; defaults to all usable CPU cores."""
    stats: bool = False
    """Print statistics on the difficulty of the world."""


def main(arguments: list[str], prog: str) -> None:
    options = parse(Command, arguments, prog)

    from bev.lab.synthetic import PRESETS, make_world

    val_scenes = options.val_scenes
    if val_scenes is None and options.scenes is not None:
        val_scenes = max(1, round(options.scenes / 7))
    preset = PRESETS[options.preset]
    config = replace(
        preset,
        lens=options.lens,
        train_scenes=_or_default(options.scenes, preset.train_scenes),
        val_scenes=_or_default(val_scenes, preset.val_scenes),
        frames_per_scene=_or_default(options.frames, preset.frames_per_scene),
        seed=_or_default(options.seed, preset.seed),
    )
    root = make_world(options.dir, config, options.workers)
    print(f"The synthetic world is written to {root}.")
    if options.stats:
        from bev.lab.synthetic.statistics import world_statistics

        print(world_statistics(root, config).report())


def _or_default(value: int | None, default: int) -> int:
    return default if value is None else value
