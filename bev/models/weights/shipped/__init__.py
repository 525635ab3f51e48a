"""Trained models that come with the package, and their names: docs/models.md is their card.

A name in ``SHIPPED`` stands for its file wherever a checkpoint or a weights file is named. The
files have kernels in half precision and are computed in float32.
"""

from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import safe_open

_FOLDER = Path(__file__).resolve().parent
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # no trained parameters


@dataclass(frozen=True)
class ShippedModel:
    """A trained model of the package.

    Attributes:
        name: what it is named by, instead of a path.
        about: input, data and config, in a line.
        mean_ap, nds, mave: figures of its file on the 140 held-out frames of the synthetic world;
            ``mave`` in m/s.
    """

    name: str
    about: str
    mean_ap: float
    nds: float
    mave: float

    @property
    def path(self) -> Path:
        """Its file."""
        return _FOLDER / f"{self.name}.safetensors"

    @property
    def parameters(self) -> int:
        """Number of trained numbers in its file."""
        with safe_open(self.path, "pt") as file:
            names = [name for name in file.keys() if not name.endswith(_STATISTICS)]  # noqa: SIM118
            return sum(prod(file.get_slice(name).get_shape()) for name in names)


SHIPPED = {
    model.name: model
    for model in (
        ShippedModel(
            "synthetic",
            "one frame of six cameras at 160x416, trained on the synthetic world"
            " (bevdepth_synthetic)",
            mean_ap=0.621,
            nds=0.611,
            mave=1.69,
        ),
        ShippedModel(
            "synthetic-temporal",
            "the frame and the one a second before it, otherwise the same (bevdet4d_synthetic)",
            mean_ap=0.566,
            nds=0.582,
            mave=0.83,
        ),
    )
}


def located(path: Path) -> Path:
    """Return the file that a path names: an existing file of that path, or else a shipped model."""
    if not path.is_file() and (model := SHIPPED.get(str(path))):
        return model.path
    return path


def shipped_name(path: Path) -> str:
    """Name of the shipped model that a path stands for; empty for any other file."""
    path = located(path)
    names = (name for name, model in SHIPPED.items() if path.resolve() == model.path)
    return next(names, "")


def shipped_names() -> str:
    """Sentence for errors: the names that could have been meant."""
    return f"The models that come with the package are named {' and '.join(SHIPPED)}."
