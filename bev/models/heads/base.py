"""The one interface of all heads: features in; output, loss and decoded result out.

A head is one class and its settings. Its evaluation (``bev.evaluation.base.evaluator``) and its
drawing (``bev.visualization.overlays.overlay``) are registered for the class of its settings, in a
file of the project or in a user's own.
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
    """Everything that heads are computed from.

    Attributes:
        bev: (B, C, Y, X), of the BEV encoder; Y and X may be coarser than the grid.
        image: (B, N, c, h, w), the neck's; zero where a camera is absent.
        depth_logits: (B, N, h, w, D) before the softmax; None where no depth is predicted.
    """

    bev: Float[Tensor, "B C Y X"]
    image: Float[Tensor, "B N c h w"]
    depth_logits: Float[Tensor, "B N h w D"] | None


@dataclass(frozen=True)
class FeatureSpec:
    """The features and labels that a head is built for.

    Attributes:
        channels: C of the BEV features.
        grid: of the BEV; outputs on a BEV map have its resolution.
        labels: classes, attributes and layers.
        image_channels: c of the image features.
        stride: pixels per cell of the image features.
        depth: the D depth bins; None where no depth is predicted.
    """

    channels: int
    grid: BevGrid
    labels: LabelSpace
    image_channels: int
    stride: float
    depth: DepthBinning | None = None


class Note(NamedTuple):
    """A sentence of a weights report, worth it where a tensor of one of the parts is loaded."""

    parts: tuple[str, ...]
    text: str


class Head(nn.Module):
    """Base of the heads; ``forward`` and ``loss`` must be given."""

    def forward(self, features: Features) -> Any:
        """The head's raw output: tensors, also in tuples, lists or mappings."""
        raise NotImplementedError(f"{type(self).__name__}.forward is not defined")

    def loss(self, output: Any, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Weighted loss terms by name; names are unique among all heads of a model."""
        raise NotImplementedError(f"{type(self).__name__}.loss is not defined")

    def decode(self, output: Any) -> Any:
        """The result of an output, for users, evaluation and drawing."""
        return output

    def averaged(self, output: Any, flipped: Any) -> Any:
        """The output averaged with that of the flipped scene (test-time augmentation).

        Args:
            output: of the scene.
            flipped: of its mirror image, whose BEV y is turned round; see ``bev.models.flip_tta``.
        """
        raise ConfigError(
            f"{type(self).__name__} does not define `averaged`, which flip test-time augmentation"
            " needs; set --model.no-flip-tta."
        )

    def boxes(self, decoded: Any) -> list[Boxes3D] | None:
        """Boxes of each sample in a decoded result, best first, BEV frame; None without any."""
        return None

    def adapted(
        self, name: str, state: Mapping[str, Tensor], saved: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], list[Note]]:
        """Tensors of a model of other settings as this head can use them.

        Args:
            name: of the head in its model; tensors of it are named ``<any prefix><name>.…``.
            state: a detector's tensors.
            saved: the settings of that detector's model, as plain data.

        Returns:
            The tensors, those that cannot be used left out, and sentences on what was changed.
        """
        return dict(state), []


@dataclass(frozen=True)
class HeadConfig:
    """Common base of the heads' settings.

    Every field of a ``DetectorConfig`` that holds one is a head of the detector, under the field's
    name; a subclass of ``DetectorConfig`` adds fields, and with them heads.
    """

    @property
    def active(self) -> bool:
        """Whether there is anything to predict; else the head is not built."""
        return True

    @property
    def auxiliary(self) -> bool:
        """Whether it only helps to train other parts: it needs no evaluation."""
        return False

    def check_model(self, model: "DetectorConfig") -> None:
        """Refuse a model that the head does not work in.

        Raises:
            ConfigError: names the settings that contradict one another.
        """

    def check_data(self, model: "DetectorConfig", data: "DataConfig") -> None:
        """Refuse data that the head cannot be trained on.

        Raises:
            TrainingError: names the settings that contradict one another.
        """

    def build(self, spec: FeatureSpec) -> Head:
        """Build for features of this kind."""
        raise ConfigError(f"{type(self).__name__} does not define what it builds (build).")
