"""Muon: orthogonalised momentum for kernels and matrices, AdamW for all other parameters.

After Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon). An update of a kernel is its
Nesterov momentum with all singular values brought to about 1, so that directions which few samples
show are learnt as fast as common ones. Updates are scaled to the size of AdamW's (Liu et al. 2025,
arXiv 2502.16982, eq. 4), so that its learning rates and weight decays carry over.
"""

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Five Newton-Schulz steps a X + b XX'X + c XX'XX'X that bring singular values of 0.002 to 1 close
# to 1 (Cesista 2025, https://leloykun.github.io/ponder/muon-opt-coeffs).
COEFFICIENTS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
SMALLEST = 4  # rows and columns of a matrix that is orthogonalised
RMS = 0.2  # root mean square of AdamW's updates


class MuonAdamW(torch.optim.AdamW):
    """Muon for convolution kernels and matrices; AdamW of torch for all other parameters.

    A kernel (out, in, ...) counts as a matrix (out, in * ...), one with groups too. Matrices of
    fewer than 4 rows or columns, one input channel (depthwise kernels), vectors and scalars are
    left to AdamW; other kernels of the first and last layers are not, unlike in Jordan's network.
    Newton-Schulz steps are computed in float32 on every device: bfloat16, as published, is slow on
    CPUs without units for it, and not exact enough for their form here.

    Args:
        params: parameters or parameter groups.
        lr: learning rate; a matrix of shape (m, n) moves by 0.2 * lr * sqrt(max(m, n)) along the
            orthogonalised momentum.
        momentum: of the running mean of gradients of matrices; schedules that change a momentum
            change that of AdamW alone.
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: decoupled weight decay, of all parameters.

    Raises:
        ValueError: if a rate, a momentum or a weight decay is outside its range.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        self.momentum = momentum
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        self.defaults["momentum"] = momentum

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.momentum = self.defaults["momentum"]
        for group in self.param_groups:  # those of a state of AdamW
            group.setdefault("momentum", self.momentum)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group, with the optimiser's momentum unless it has its own."""
        momentum = param_group.setdefault("momentum", self.momentum)
        if not 0 <= momentum < 1:
            raise ValueError(f"Invalid momentum: {momentum}; it lies in [0, 1).")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update all parameters that have gradients.

        Args:
            closure: computes the loss and its gradients again.

        Returns:
            what the closure returns, if there is one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        held: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and is_matrix(parameter):
                    self._step_matrix(parameter, parameter.grad, group)
                    held.append((parameter, parameter.grad))
                    parameter.grad = None  # AdamW leaves parameters without gradients alone
        _update_others(self)
        for parameter, grad in held:
            parameter.grad = grad
        return loss

    def _step_matrix(self, parameter: Tensor, grad: Tensor, group: dict) -> None:
        beta, state = group["momentum"], self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros(())  # AdamW expects one when a state is loaded
        state["step"] += 1
        mean = state["momentum_buffer"].lerp_(grad, 1 - beta)
        update = orthogonalize(grad.lerp(mean, beta).flatten(1))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        rate = group["lr"] * RMS * math.sqrt(max(update.shape))
        parameter.add_(update.view_as(parameter), alpha=-rate)


# AdamW's own, without the hooks of a step, which this class's step has called.
_update_others = inspect.unwrap(torch.optim.AdamW.step)


def is_matrix(parameter: Tensor) -> bool:
    """Return whether Muon updates this parameter: a kernel or matrix of at least 4 x 4."""
    if parameter.ndim < 2 or parameter.shape[1] == 1:
        return False
    rows = parameter.shape[0]
    return min(rows, parameter.numel() // rows) >= SMALLEST


def orthogonalize(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix close to 1 and keep its singular vectors.

    Args:
        matrix: (m, n).

    Returns:
        (m, n) in the type of ``matrix``; singular values from 0.002 of the Frobenius norm on lie
        between 0.7 and 1.2 afterwards, and a matrix of zeros stays one.
    """
    x = matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / x.norm().clamp(min=1e-7)
    with torch.autocast(x.device.type, enabled=False):
        gram = x @ x.mT
        factor = torch.eye(len(gram), device=x.device)  # a polynomial of the Gram matrix
        for a, b, c in COEFFICIENTS:
            step = torch.addmm(gram, gram, gram, beta=b, alpha=c)
            step.diagonal().add_(a)
            factor = step @ factor
            gram = step @ gram @ step
        x = factor @ x
    return (x.mT if tall else x).to(matrix.dtype)
