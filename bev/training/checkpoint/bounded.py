"""Building of a detector from a config that others wrote, within the memory of its weights."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bev.errors import BevError, CheckpointError, shown
from bev.models import Detector, DetectorConfig

_MARGIN = 64 << 20  # bytes beside the weights
_RANDOM = (Tensor.normal_, Tensor.uniform_)


def build_bounded(config: DetectorConfig, weights: Mapping[str, Tensor]) -> Detector:
    """Build the detector that some weights belong to.

    A damaged config may describe layers of any width; layers of more than twice the weights' bytes
    are not built.

    Raises:
        CheckpointError: if no model can be built from the config.
        ConfigError, WeightsError: see :meth:`~bev.models.DetectorConfig.build`.
    """
    bound = 2 * sum(tensor.nbytes for tensor in weights.values()) + _MARGIN
    try:
        with _Bounded(bound):
            return config.build()
    except BevError:
        raise
    # The layers of any library are built from these settings, so any error may arise.
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {shown(str(error))}".split())
        raise CheckpointError(
            f"its config describes no model that can be built ({why})."
        ) from error


class _Bounded(TorchFunctionMode):
    """Counts the memory of new tensors, which layers create empty and then fill.

    They are not filled with random numbers, because the weights take the place of these.
    """

    def __init__(self, bound: int) -> None:
        super().__init__()
        self.left = bound

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        if func in _RANDOM:
            return args[0]
        result = func(*args, **(kwargs or {}))
        if func is torch.empty and result.device.type != "meta":
            self.left -= result.nbytes
            if self.left < 0:
                raise MemoryError("its layers are larger than the weights by far")
        return result
