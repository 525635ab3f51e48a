"""BEV encoder of BEVDepth: a ResNet without max pooling, and SECONDFPN over all levels.

After Li et al., BEVDepth (2022), with the values of the authors' code: a 7x7 convolution with
stride 2, stages of basic blocks at strides 2, 4 and 8 (He et al. 2016; shortcuts are 1x1
convolutions with a norm), and the SECONDFPN neck over the input grid and the three stages.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from bev.bounds import Positive, check_clashes
from bev.models.bev.encoder import BevEncoderBase, BevEncoderConfig
from bev.models.image.neck import SECONDFPNConfig
from bev.models.recompute import blocks, recompute


@dataclass(frozen=True)
class SECONDEncoderConfig(BevEncoderConfig):
    """Settings of :class:`SECONDEncoder`.

    Attributes:
        stages: channels of each residual stage; the first has half the resolution of the grid, and
            each further stage halves the resolution.
        blocks: number of basic blocks per stage.
        neck: not used.
        channels: output channels, divided equally among the input grid and the stages.
        skip: not used, as the input grid is always part of the output.
        checkpointing: recompute activations in the backward pass instead of storing them.
        eps: epsilon of the batch norms in the neck.

    Raises:
        ConfigError: if ``channels`` is not divisible by the number of levels.
    """

    eps: Positive = 1e-3

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about channels that cannot be divided."""
        levels = len(self.stages) + 1
        if self.channels % levels:
            yield (
                f"encoder.channels = {self.channels} must be a multiple of {levels}: a"
                f" SECONDEncoder concatenates {levels} levels of equal width."
            )

    def build(self, in_channels: int) -> "SECONDEncoder":
        return SECONDEncoder(self, in_channels)


class SECONDEncoder(BevEncoderBase):
    """ResNet with SECONDFPN: (B, C, Y, X) to (B, channels, Y, X).

    Y and X must be multiples of 2^S for S stages.
    """

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
