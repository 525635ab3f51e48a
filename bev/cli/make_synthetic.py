"""Makes the synthetic driving world: ``bevlab make-synthetic DIR``."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Command:
    """Make a synthetic driving world and write it as a nuScenes data set."""

    dir: Annotated[Path, tyro.conf.Positional]
    """Folder to make; must not hold anything else."""
    preset: Literal["default", "tiny"] = "default"
    """tiny is made in a minute, for tests; default is large enough to learn from."""
    scenes: int | None = None
    """Training scenes, instead of the preset's; held-out scenes follow as a seventh."""
    val_scenes: int | None = None
    """Held-out scenes, instead of the preset's."""
    frames: int | None = None
    """Key frames per scene, instead of the preset's."""
    seed: int | None = None
    """Seed of the world, instead of the preset's."""
    lens: Literal["pinhole", "fisheye"] = "pinhole"
    """Of the cameras: nuScenes' six pinholes, or four fisheyes around the car."""
    workers: int | None = None
    """Processes; all usable cores by default."""
    stats: bool = False
    """Print how hard the world is."""


def main(arguments: list[str], prog: str) -> None:
    options = tyro.cli(Command, args=arguments, prog=prog)

    from bev.lab.synthetic import PRESETS, make_world

    val_scenes = options.val_scenes
    if val_scenes is None and options.scenes is not None:
        val_scenes = max(1, round(options.scenes / 7))
    chosen = {
        "train_scenes": options.scenes,
        "val_scenes": val_scenes,
        "frames_per_scene": options.frames,
        "seed": options.seed,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    config = replace(PRESETS[options.preset], lens=options.lens, **given)
    root = make_world(options.dir, config, options.workers)
    print(f"The synthetic world stands at {root}.")
    if options.stats:
        from bev.lab.synthetic.statistics import world_statistics

        print(world_statistics(root, config).report())
