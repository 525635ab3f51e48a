"""The suite: a model is evaluated under one condition after another.

The figures of each condition are written when it is done, to a file of its own, so a suite that
was interrupted continues. ``suite.json`` holds what they depend on; a suite of another model, other
data or other settings is refused.
"""

import hashlib
import json
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bev.data.dataset import KeyFrames
from bev.data.settings import DataConfig
from bev.data.source import Frames
from bev.errors import ConfigError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.breakdown.divisions import divisions
from bev.evaluation.breakdown.precision import group_precision
from bev.evaluation.predict import predict
from bev.files import replacing
from bev.lab.robustness.conditions import Condition
from bev.machine import default_device
from bev.models import Detector
from bev.paths import file_name
from bev.plain_json import read_json
from bev.training.datamodule import make_loader
from bev.training.workers import ending_workers

SUITE, _CONDITIONS = "suite.json", "conditions"


@dataclass(frozen=True)
class Outcome:
    """Figures of one condition.

    Attributes:
        figures: all figures of all heads, by name.
        azimuth: mean AP of the ground truth in each sector of 60 degrees around the vehicle, by the
            sector's name; empty for a model without boxes.
    """

    figures: dict[str, float]
    azimuth: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """A suite in its folder.

    Attributes:
        folder: folder of all results.
        identity: what the results depend on, as plain data, see :func:`identity`.
    """

    folder: Path
    identity: dict[str, Any]

    def begin(self) -> None:
        """Begin or continue the suite.

        Raises:
            ConfigError: if the folder holds a suite of another model, other data or other settings.
        """
        path = self.folder / SUITE
        if path.is_file():
            before = read_json(path, dict, ConfigError, "delete its folder, and run again.")
            changed = [
                f"{name} was {before.get(name)!r}, now {value!r}"
                for name, value in self.identity.items()
                if before.get(name) != value
            ]
            if changed:
                raise ConfigError(
                    f"{self.folder} holds results of another suite ({'; '.join(changed)}); choose"
                    " another --out, or delete that folder."
                )
            return
        (self.folder / _CONDITIONS).mkdir(parents=True, exist_ok=True)
        _write(path, self.identity)

    def outcome(self, condition: Condition) -> Outcome | None:
        """Outcome of a condition that is done; None for others."""
        path = self._path(condition)
        if not path.is_file():
            return None
        return read_json(path, _outcome, ConfigError, "delete it, and run again.")

    def run(
        self,
        condition: Condition,
        model: Detector,
        data: DataConfig,
        split: str,
        every: int,
    ) -> Outcome:
        """Evaluate a model under a condition and write its outcome.

        Args:
            condition: the condition.
            model: detector in evaluation mode.
            data: data settings.
            split: name of the split.
            every: distance between the samples that are evaluated.
        """
        done = evaluated(condition, model, data, split, every)
        path = self._path(condition)
        path.parent.mkdir(parents=True, exist_ok=True)
        figures = {name: _plain(value) for name, value in done.figures.items()}
        content = {"condition": condition.name, "figures": figures, "azimuth": done.azimuth}
        _write(path, content)
        return done

    def _path(self, condition: Condition) -> Path:
        return self.folder / _CONDITIONS / f"{file_name(condition.name.replace(' ', '_'))}.json"


def evaluated(
    condition: Condition, model: Detector, data: DataConfig, split: str, every: int
) -> Outcome:
    """Evaluate a model under a condition; see :meth:`Suite.run` for the arguments."""
    rig, device = condition.perturbation, default_device()
    opened = data.source.open(rig.rigged(data))
    with tempfile.TemporaryDirectory() as folder, ending_workers():
        place = EvaluatedSplit(opened, split, Path(folder), every=every)
        frames = rig.perturbed(place.frames(), data, split)
        loader = make_loader(KeyFrames(frames, data, False, corruption=rig.image_corruption))
        evaluation = predict(model.to(device), loader, device)
        result = evaluation.compute(place)
        azimuth: dict[str, float | None] = {}
        for name, one in evaluation.evaluators.items():
            matched = one.matched(place) if name in result.heads else None
            if matched is not None and not azimuth:
                sectors = next(d for d in divisions(matched) if d.name == "azimuth")
                means = group_precision(matched, sectors).mean_ap.tolist()
                pairs = zip(sectors.groups, means, strict=True)
                azimuth = {group: _plain(ap) for group, ap in pairs}
    return Outcome(result.scalars(), azimuth)


def identity(
    weights: Detector, data: DataConfig, split: str, every: int, seed: int, frames: Frames
) -> dict[str, Any]:
    """What the results of a suite depend on: model, data and settings, as plain data.

    The model is known by the hash of its weights and settings, the data by that of the tokens of
    all samples, and of the cameras and calibrations of some.
    """
    state = hashlib.sha256(repr(weights.config).encode())
    for name, value in sorted(weights.state_dict().items()):
        state.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    held = hashlib.sha256(" ".join(frames.tokens).encode())
    for frame in frames[:: max(len(frames) // 50, 1)]:
        held.update(f"{frame.token} {frame.timestamp}".encode())
        for camera in frame.cameras:
            held.update(f"{camera.name} {camera.size}".encode())
            held.update(camera.intrinsics.numpy().tobytes())
            held.update(camera.ego_from_camera.numpy().tobytes())
    size = frames[0].cameras[0].size
    return {
        "model": state.hexdigest()[:16],
        "data": held.hexdigest()[:16],
        "version": data.version,
        "split": split,
        "samples": len(frames),
        "every": every,
        "seed": seed,
        "image_size": f"{size[1]}x{size[0]}",
        "cameras": list(data.camera_names),
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _outcome(content: dict[str, Any]) -> Outcome:
    figures, azimuth = content["figures"].items(), content["azimuth"].items()
    return Outcome(
        {name: math.nan if value is None else float(value) for name, value in figures},
        {name: None if value is None else float(value) for name, value in azimuth},
    )


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
