"""Interface of the heads: features to output, loss and decoded result.

A head consists of a module and its settings. Its evaluator (``bev.evaluation.base.evaluator``) and
its overlay (``bev.visualization.overlays.overlay``) are registered for the class of the settings,
in a file of this project or of the user.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from bev.data.batch import Batch
from bev.data.labels import LabelSpace
from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D
from bev.models.view.depth_bins import DepthBinning

if TYPE_CHECKING:
    from bev.data.settings import DataConfig
    from bev.models.detector import DetectorConfig


class Features(NamedTuple):
    """Input features of the heads.

    Attributes:
        bev: (B, C, Y, X) output of the BEV encoder; Y and X may be coarser than the grid.
        image: (B, N, c, h, w) output of the neck; zero for absent cameras.
        depth_logits: (B, N, h, w, D) depth logits before the softmax; None if no depth is
            predicted.
    """

    bev: Float[Tensor, "B C Y X"]
    image: Float[Tensor, "B N c h w"]
    depth_logits: Float[Tensor, "B N h w D"] | None


@dataclass(frozen=True)
class FeatureSpec:
    """Features and labels that a head is built for.

    Attributes:
        channels: channels C of the BEV features.
        grid: BEV grid; BEV maps that a head outputs have its resolution.
        labels: label space: classes, attributes and layers.
        image_channels: channels c of the image features.
        stride: pixels per cell of the image features.
        depth: D depth bins; None if no depth is predicted.
    """

    channels: int
    grid: BevGrid
    labels: LabelSpace
    image_channels: int
    stride: float
    depth: DepthBinning | None = None


class Note(NamedTuple):
    """Note for a weights report, shown if a tensor of one of the parts is loaded.

    Attributes:
        parts: prefixes of tensor names.
        text: the note.
    """

    parts: tuple[str, ...]
    text: str


class Head(nn.Module):
    """Base class of heads; subclasses must define ``forward`` and ``loss``."""

    def forward(self, features: Features) -> Any:
        """Compute the raw output: tensors, possibly in tuples, lists or mappings."""
        raise NotImplementedError(f"{type(self).__name__}.forward is not defined")

    def loss(self, output: Any, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Weighted loss terms, by name; names must be unique among all heads of a model."""
        raise NotImplementedError(f"{type(self).__name__}.loss is not defined")

    def decode(self, output: Any) -> Any:
        """Decode an output into the result for users, evaluation and visualization."""
        return output

    def averaged(self, output: Any, flipped: Any) -> Any:
        """Average the outputs of a batch and of its flipped copy (flip TTA).

        Args:
            output: output of the batch.
            flipped: output of the flipped batch, whose BEV is flipped in y; see
                ``bev.models.flip_tta``.
        """
        raise ConfigError(
            f"{type(self).__name__} does not define `averaged`, which flip test-time augmentation"
            " needs; define it, or set --model.no-flip-tta."
        )

    def boxes(self, decoded: Any) -> list[Boxes3D] | None:
        """Boxes of each sample in a decoded result, sorted by score, BEV frame.

        None for a head that does not predict boxes.
        """
        return None

    def adapted(
        self, name: str, state: Mapping[str, Tensor], saved: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], list[Note]]:
        """Adapt the tensors of a detector with other settings to this head.

        Args:
            name: name of the head in its model; its tensors are named ``<any prefix><name>.…``.
            state: tensors of a detector.
            saved: model settings of that detector, as plain data.

        Returns:
            The tensors without those that this head cannot use, and notes on the changes.
        """
        return dict(state), []


@dataclass(frozen=True)
class HeadConfig:
    """Base class of the settings of heads.

    Every field of a ``DetectorConfig`` whose value is a ``HeadConfig`` is a head of the detector,
    named like the field. A subclass of ``DetectorConfig`` can add fields to add heads.
    """

    @property
    def active(self) -> bool:
        """True if the head predicts anything; an inactive head is not built."""
        return True

    @property
    def auxiliary(self) -> bool:
        """True if the head only serves the training of other parts, and needs no evaluation."""
        return False

    def check_model(self, model: "DetectorConfig") -> None:
        """Check that the head is compatible with the model.

        Raises:
            ConfigError: if not; names the conflicting settings.
        """

    def check_data(self, model: "DetectorConfig", data: "DataConfig") -> None:
        """Check that the head can be trained on the data.

        Raises:
            TrainingError: if not; names the conflicting settings.
        """

    def build(self, spec: FeatureSpec) -> Head:
        """Build the head for features of this specification."""
        raise ConfigError(f"{type(self).__name__} does not define the method build.")


def check_terms(terms: Any, name: str) -> dict[str, Tensor]:
    """Check the loss terms of a head, and return them unchanged.

    Raises:
        ConfigError: if they are not a mapping of names to scalar tensors.
    """
    if isinstance(terms, dict) and "loss" in terms:
        raise ConfigError(
            f"Head model.{name}: the name 'loss' is reserved for the sum of all loss terms; rename"
            " the term."
        )
    sound = isinstance(terms, dict) and all(
        isinstance(value, Tensor) and value.ndim == 0 for value in terms.values()
    )
    if not sound:
        items = terms.items() if isinstance(terms, dict) else [("the loss", terms)]
        values = ", ".join(f"{key} is {_described(value)}" for key, value in items)
        raise ConfigError(
            f"Head model.{name}: its loss gives no mapping of names to scalar tensors: {values}."
        )
    return terms


def _described(value: Any) -> str:
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
    return f"a {type(value).__name__}{shape}"
