"""Losses of logits against heatmaps and classes. All losses are sums; the caller normalises them.

All are computed from logits, in float32 or float64, so that they stay finite for probabilities near
0 and 1.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from bev.bounds import NonNegative, Probability, check_bounds


@dataclass(frozen=True)
class HeatmapLoss:
    """Loss of heatmap logits z, p = sigmoid(z), against a target t in [0, 1] that is 1 at centres.

    Attributes:
        kind: "gaussian" for the focal loss of CornerNet, with a reduced penalty near centres (Law
            and Deng 2018, equation 1); "focal" for the focal loss of centres against all other
            cells (Lin et al. 2017, equation 5); "bce" for binary cross-entropy against t.
        focus: exponent of the factor that down-weights well classified cells; alpha of Law and
            Deng, gamma of Lin et al.
        spare: exponent of (1 - t) in "gaussian"; beta of Law and Deng.
        balance: weight of the centres in "focal", where all other cells have the weight
            1 - balance; alpha of Lin et al.

    Raises:
        ConfigError: if an exponent is negative, or the balance is outside [0, 1].
    """

    kind: Literal["gaussian", "focal", "bce"] = "gaussian"
    focus: NonNegative = 2.0
    spare: NonNegative = 4.0
    balance: Probability = 0.25

    def __post_init__(self) -> None:
        check_bounds(self)

    def __call__(
        self, logits: Float[Tensor, "*s"], target: Float[Tensor, "*s"]
    ) -> Float[Tensor, ""]:
        """Compute the loss, summed over all cells."""
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.kind == "gaussian":
            return gaussian_focal_loss(logits, target, self.focus, self.spare)
        if self.kind == "focal":
            return focal_loss(logits, target == 1, self.focus, self.balance)
        return F.binary_cross_entropy_with_logits(logits, target, reduction="sum")


def gaussian_focal_loss(
    logits: Float[Tensor, "*s"], target: Float[Tensor, "*s"], alpha: float, beta: float
) -> Float[Tensor, ""]:
    """Focal loss of CornerNet: Law and Deng (2018), equation 1, summed.

    The loss is -(1 - p)^alpha log p where t = 1, and -(1 - t)^beta p^alpha log(1 - p) elsewhere.
    """
    centre = target == 1
    signed = torch.where(centre, logits, -logits)
    # log_true is the log-probability of the true label, log_true - signed of the other one.
    log_true = F.logsigmoid(signed)
    weight = torch.where(centre, 1.0, (1 - target) ** beta)
    return -(weight * torch.exp(alpha * (log_true - signed)) * log_true).sum()


def focal_loss(
    logits: Float[Tensor, "*s"], positive: Bool[Tensor, "*s"], gamma: float, alpha: float
) -> Float[Tensor, ""]:
    """Binary focal loss: Lin et al., Focal Loss (2017), equation 5, summed.

    The loss is -a (1 - q)^gamma log q, where q is the probability of the true label, and a is alpha
    for positives and 1 - alpha for negatives.
    """
    signed = torch.where(positive, logits, -logits)
    hard = positive.to(logits.dtype)
    weight = alpha * hard + (1 - alpha) * (1 - hard)
    log_true = F.logsigmoid(signed)
    return -(weight * torch.exp(gamma * (log_true - signed)) * log_true).sum()


def mean_over_processes(count: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Mean of a tensor over all processes; unchanged if there is one process.

    All processes must call this function equally often: it waits for them.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return count
    total = count.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def class_loss(
    logits: Float[Tensor, "M D"], target: Int[Tensor, " M"], kind: str, focus: float = 2.0
) -> Float[Tensor, ""]:
    """Classification loss of the softmax p over D classes with target class c, summed over M.

    Args:
        logits: logits before the softmax.
        target: target classes.
        kind: "ce" for -log p_c; "focal" for the focal loss over classes, -(1 - p_c)^focus log p_c;
            "bce" for -log p_c - sum of log(1 - p_d) over all other classes d, as BEVDepth trains
            depth.
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
