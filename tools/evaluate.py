"""Official metrics of a checkpoint or a results file, and the IoU of a checkpoint that segments.

python tools/evaluate.py CHECKPOINT [--split mini_val]
python tools/evaluate.py results_nusc.json --data.root DIR --data.version V --split SPLIT
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro
import yaml

from bev.config import to_plain
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.index_cache import open_index
from bev.data.settings import DataChoice
from bev.errors import ConfigError, run_command
from bev.evaluation.circumstances import circumstances, folder_name, range_limit
from bev.evaluation.official import counted_boxes, evaluate_submission
from bev.evaluation.predict import predict
from bev.evaluation.result import Result
from bev.evaluation.robustness import Disturbance
from bev.lab.analysis.displacement import displacement_errors
from bev.machine import default_device
from bev.training.checkpoint.loading import home_of, load_checkpoint
from bev.training.datamodule import ending_workers, make_loader
from bev.training.settings_check import check_mirror
from bev.visualization.report.curves import draw_evaluation
from bev.visualization.report.page import write_page


@dataclass(frozen=True)
class Command:
    """Evaluate with the official nuScenes metrics.

    Attributes:
        source: a checkpoint of a run, or a submission (.json).
        split: official or custom split; empty for the config's validation split.
        out: where the results go; empty for evaluation/<split>_<checkpoint>[_<what is unusual>]/ of
            the run, or beside the results file.
        mirror: detect in each scene and in its mirror image, and average (twice the time).
        blank: show the model grey images, to measure what it knows without seeing.
        within: metres; boxes farther from the ego car do not count, nor those beyond their class's
            official range.
        displacement: for each of these numbers of key frames, the error (m/s) of the velocity that
            an object's places tell that far apart, and of that which its place and the nearest of
            its class before tell, see ``bev.lab.analysis.displacement``.
        rig: cameras left out and calibrations made wrong, to measure how the model bears it.
    """

    source: tyro.conf.Positional[Path]
    split: str = ""
    out: Path | None = None
    mirror: bool = False
    blank: bool = False
    within: float = math.inf
    displacement: tuple[int, ...] = ()
    rig: tyro.conf.OmitArgPrefixes[Disturbance] = field(default_factory=Disturbance)
    data: DataChoice = field(default_factory=DataChoice)

    def __post_init__(self) -> None:
        if any(back < 1 for back in self.displacement):
            raise ConfigError(f"--displacement {self.displacement}: give key frames from 1 on.")


def main() -> None:
    command = tyro.cli(Command)
    if command.source.suffix == ".json":
        if not (command.data.root and command.data.version and command.split):
            raise ConfigError(
                "A results file says not where its data are: give --data.root, --data.version and"
                " --split."
            )
        split, notices = command.split, range_limit(command.within)
        folder = command.out or command.source.parent / "_".join(notices).replace(" ", "_")
        index = open_index(command.data.root, command.data.version)
        metrics = evaluate_submission(command.source, index, split, folder, command.within)
        result, text, file = Result(metrics, {}), "", command.source
    else:
        config, model = load_checkpoint(command.source, test_mirror=command.mirror)
        if (math.isfinite(command.within) or command.displacement) and not config.model.detects:
            raise ConfigError(
                "--within and --displacement are of boxes, and this model detects none; leave them"
                " out."
            )
        data = command.data.apply(config.data)
        check_mirror(data.reference, {"no --mirror": config.model.test_mirror})
        split = command.split or data.splits[1]
        notices = circumstances(
            config.data,
            data,
            command.rig,
            mirror=command.mirror,
            blank=command.blank,
            within=command.within,
        )
        name = folder_name(split, command.source, notices)
        folder = command.out or home_of(command.source) / "evaluation" / name
        device = default_device()
        loader = make_loader(KeyFrames(command.rig.frames(data, split), data, training=False))
        with ending_workers():
            found = predict(model.to(device), loader, device, command.blank)
        index, file = data.open(), folder / "results_nusc.json"
        result = found.compute(index, split, folder, command.within)
        text = yaml.safe_dump(to_plain(config), sort_keys=False)
    if command.displacement:
        boxes = counted_boxes(file, index, split, command.within)
        errors = displacement_errors(boxes, index, command.displacement)
        told = {
            f"AVE by {places} {back} apart": error
            for back, both in errors.items()
            for places, error in zip(("places", "nearest places"), both, strict=True)
        }
        result = replace(result, figures=result.figures | told)
    page = write_page(
        folder,
        title=f"{command.source.stem} on {split}",
        subtitle=str(command.source),
        notice=" ".join(notices.values()),
        metrics=result.metrics,
        figures=result.figures,
        note=result.note,
        curves=draw_evaluation(folder) if result.metrics else None,
        config_text=text,
    )
    print(f"{split}\n{result.text()}\n\nwritten to {page.parent}")


if __name__ == "__main__":
    run_command(main)
