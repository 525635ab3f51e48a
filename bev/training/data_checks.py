"""Check of a run's data before its first step, from columns alone: no image is read."""

from bev.config import Experiment
from bev.data.checks.plausible import without_times
from bev.data.nuscenes.source import NuScenesConfig
from bev.data.source import Frames
from bev.errors import DataError, NoGroundTruthError, print_warnings
from bev.evaluation.evaluation import evaluators
from bev.training.datamodule import KeyFrameData


def check_run_data(config: Experiment, data: KeyFrameData) -> list[str]:
    """Check that a run can train on its training split and score its validation split.

    Args:
        config: the experiment.
        data: data after set-up.

    Returns:
        Warnings, each one sentence.

    Raises:
        NoGroundTruthError: if a head predicts boxes and no box of the training split is used.
        DataError: if values cannot be right, or the metrics refuse the ground truth of the
            validation split.
    """
    names = dict(zip(("train", "val"), config.data.splits, strict=True))
    scored = evaluators(config.model, config.data)
    train, val = data.frames["train"], data.frames["val"]
    if any(one.of_boxes for one in scored.values()):
        _check_boxes(train, names["train"], config)
    warnings = []
    for one in scored.values():
        try:
            one.check(val, names["val"])
        except NoGroundTruthError as error:
            warnings.append(f"validation has no figures, so no checkpoint is the best: {error}")
    # The velocities of nuScenes' format follow from times, other ones only with adjacent frames.
    of_tables = isinstance(config.data.source, NuScenesConfig)
    uses_times = of_tables or bool(config.data.adjacent.offsets())
    for part, name in names.items():
        doubts = data.frames[part].doubts()
        if not uses_times:
            doubts = without_times(doubts)
        for sentence in doubts.sentences(is_error=True):
            raise DataError(f"Split {name!r} of {config.data.root}: {sentence}")
        for sentence in doubts.sentences(is_error=False):
            warnings.append(f"split {name!r}: {sentence}")
    for name in dict.fromkeys(names.values()):
        if unknown := data.source.unknown_scenes(name):
            warnings.append(
                f"{len(unknown)} scenes of split {name!r} do not exist ({_some(unknown)}); correct"
                " their names, or remove them from the split."
            )
    shared = sorted(set(train.scenes) & set(val.scenes))
    if shared:
        warnings.append(
            f"{len(shared)} of the {len(set(val.scenes))} scenes of split {names['val']!r} are also"
            f" trained on, in {names['train']!r} ({_some(shared)}), so validation does not measure"
            " generalisation; use splits without common scenes."
        )
    return warnings


def print_data(data: KeyFrameData, config: Experiment, warnings: list[str]) -> None:
    """Print the counts of the training and validation ground truth, and warnings to stderr."""
    for name, part in zip(config.data.splits, ("train", "val"), strict=True):
        tally = data.frames[part].tally(config.data.min_points)
        if tally is not None:
            print(f"{name}: {tally.text()}", flush=True)
    print_warnings(warnings)


def _check_boxes(frames: Frames, split: str, config: Experiment) -> None:
    """Check that at least one box is trained on."""
    tally = frames.tally(config.data.min_points)
    used = frames.classes_held(config.data.min_points).any() if tally is None else tally.num_used
    if not used:
        why = "none has enough points" if tally is None else tally.why_none()
        raise NoGroundTruthError(
            f"Split {split!r} of {config.data.root} has no box to train on: {why}."
        )


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
