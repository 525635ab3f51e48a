"""BEVDepth's BEV encoder: a ResNet without its pooling, and every level brought back to the grid.

Li et al., BEVDepth (2022), values of the authors' code: a 7x7 convolution of stride 2, stages of
basic blocks at strides 2, 4 and 8 (He et al. 2016; shortcuts are 1x1 convolutions with a norm), and
SECOND's neck over the grid itself and the three stages.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from bev.errors import ConfigError
from bev.models.bev.encoder import BevEncoderConfig
from bev.models.image.neck import SECONDFPNConfig
from bev.models.recompute import blocks, recompute


@dataclass(frozen=True)
class SECONDEncoderConfig(BevEncoderConfig):
    """Settings of :class:`SECONDEncoder`.

    Attributes:
        stages: width of each residual stage; the first stands at half the grid's resolution, each
            further one halves it.
        blocks: basic blocks a stage.
        neck: has no part in it.
        channels: width of the result, shared equally by the grid and the stages.
        skip: has no part in it, as the grid is read in any case.
        checkpointing: compute activations again in the backward pass instead of keeping them.
        eps: of the neck's batch norms.

    Raises:
        ConfigError: where ``channels`` cannot be shared equally.
    """

    eps: float = 1e-3

    def __post_init__(self) -> None:
        levels = len(self.stages) + 1
        if self.channels % levels:
            raise ConfigError(
                f"encoder.channels = {self.channels} must be a multiple of {levels}: a"
                f" SECONDEncoder joins {levels} levels of equal width."
            )

    def build(self, in_channels: int) -> "SECONDEncoder":
        return SECONDEncoder(self, in_channels)


class SECONDEncoder(nn.Module):
    """(B, C, Y, X) to (B, channels, Y, X); Y and X are multiples of 2 to the number of stages."""

    def __init__(self, config: SECONDEncoderConfig, in_channels: int) -> None:
        super().__init__()
        self.channels = config.channels
        width = config.stages[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.ModuleList()
        for number, stage in enumerate(config.stages):
            first = _block(width, stage, stride=1 if number == 0 else 2)
            rest = [_block(stage, stage) for _ in range(config.blocks - 1)]
            self.stages.append(nn.Sequential(first, *rest))
            width = stage
        strides = [2**level for level in range(len(config.stages) + 1)]
        neck = SECONDFPNConfig(config.channels // len(strides), stride=1, eps=config.eps)
        self.neck = neck.build((in_channels, *config.stages), strides)
        if config.checkpointing:
            recompute([self.stem, *blocks(self.stages)])

    def forward(self, bev: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C2 Y X"]:
        levels = [bev]
        features = self.stem(bev)
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return self.neck(levels)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    from torchvision.models.resnet import BasicBlock  # seconds to import

    same = stride == 1 and inputs == outputs
    shortcut = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
    )
    return BasicBlock(inputs, outputs, stride, None if same else shortcut)
