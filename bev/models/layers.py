"""Convolution blocks of the BEV encoder and the heads, and the batch norm classes."""

from torch import Tensor, nn

# The batch norms of timm and torchvision are subclasses of these.
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU; the padding keeps the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016, figure 5 left).

    The shortcut of a block that changes stride or channels (or has a ``projection``) is a 3x3
    convolution, as in the BEV backbone of BEVDet.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, projection: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(inputs, outputs, stride=stride)
        self.conv2 = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        )
        same = stride == 1 and inputs == outputs and not projection
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))
