"""Losses of logits against heatmaps and classes; each is a sum, to be divided by who calls it.

All are computed from logits, in float32 at least, so that they stay finite where a probability
reaches 0 or 1.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from bev.errors import ConfigError


@dataclass(frozen=True)
class HeatmapLoss:
    """Loss of heatmap logits z, p = sigmoid(z), against a target t in [0, 1] that is 1 at centres.

    Attributes:
        kind: "gaussian", CornerNet's focal loss, which spares cells near centres (Law and Deng
            2018, equation 1); "focal", the focal loss of centres against all other cells (Lin et
            al. 2017, equation 5); "bce", binary cross-entropy against t itself.
        focus: exponent of the factor that turns the loss away from cells that are right already;
            alpha of the first, gamma of the second paper.
        spare: "gaussian": exponent of (1 - t); CornerNet's beta.
        balance: "focal": weight of the centres, and 1 minus that of all other cells; alpha of Lin
            et al.

    Raises:
        ConfigError: for a negative exponent, or a balance outside [0, 1].
    """

    kind: Literal["gaussian", "focal", "bce"] = "gaussian"
    focus: float = 2.0
    spare: float = 4.0
    balance: float = 0.25

    def __post_init__(self) -> None:
        if self.focus < 0 or self.spare < 0 or not 0 <= self.balance <= 1:
            raise ConfigError(f"{self} needs exponents of at least 0, and a balance in [0, 1].")

    def __call__(
        self, logits: Float[Tensor, "*s"], target: Float[Tensor, "*s"]
    ) -> Float[Tensor, ""]:
        """The loss, summed over all cells."""
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.kind == "gaussian":
            return gaussian_focal_loss(logits, target, self.focus, self.spare)
        if self.kind == "focal":
            return focal_loss(logits, target == 1, self.focus, self.balance)
        return F.binary_cross_entropy_with_logits(logits, target, reduction="sum")


def gaussian_focal_loss(
    logits: Float[Tensor, "*s"], target: Float[Tensor, "*s"], alpha: float, beta: float
) -> Float[Tensor, ""]:
    """-(1 - p)^alpha log p where t = 1, -(1 - t)^beta p^alpha log(1 - p) elsewhere, summed.

    Law and Deng, CornerNet (2018), equation 1.
    """
    centre = target == 1
    signed = torch.where(centre, logits, -logits)
    log_so = F.logsigmoid(signed)  # of what is so; of the other it is log_so - signed
    weight = torch.where(centre, 1.0, (1 - target) ** beta)
    return -(weight * torch.exp(alpha * (log_so - signed)) * log_so).sum()


def focal_loss(
    logits: Float[Tensor, "*s"], positive: Bool[Tensor, "*s"], gamma: float, alpha: float
) -> Float[Tensor, ""]:
    """-a (1 - q)^gamma log q, summed; q is the probability given to what is so.

    a is alpha where positive, and 1 - alpha elsewhere. Lin et al., Focal Loss (2017), equation 5.
    """
    signed = torch.where(positive, logits, -logits)
    hard = positive.to(logits.dtype)
    weight = alpha * hard + (1 - alpha) * (1 - hard)
    log_so = F.logsigmoid(signed)
    return -(weight * torch.exp(gamma * (log_so - signed)) * log_so).sum()


def class_loss(
    logits: Float[Tensor, "M D"], target: Int[Tensor, " M"], kind: str, focus: float = 2.0
) -> Float[Tensor, ""]:
    """Loss of the softmax p over D classes against the right one c, summed over M.

    Args:
        logits: before the softmax.
        target: the right classes.
        kind: "ce", -log p_c; "focal", -(1 - p_c)^focus log p_c, the focal loss over classes; or
            "bce", -log p_c - sum of log(1 - p_d) over all others d, as BEVDepth trains depth.
        focus: gamma of the focal loss.
    """
    if kind == "ce":
        return F.cross_entropy(logits, target, reduction="sum")
    if kind == "focal":
        chosen = logits.log_softmax(dim=-1).gather(-1, target.unsqueeze(-1))
        return (-((1 - chosen.exp()) ** focus) * chosen).sum()
    one_hot = F.one_hot(target, logits.shape[-1]).to(logits.dtype)
    probability = logits.softmax(dim=-1).clamp(1e-6, 1 - 1e-6)
    return F.binary_cross_entropy(probability, one_hot, reduction="sum")
