"""A few pooling plans kept for calibrations that come again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from bev.ops import VoxelPlan


class PlanCache:
    """Plans by calibration, the least recently used one dropped first.

    For inference on a rig whose calibration stays as it is. nuScenes key frames differ from one
    another (each camera's own ego pose is part of the calibration), and augmentation changes it at
    every step, so there a cache never hits. On a GPU, looking up waits for the device. A hit saves
    the plan, not the frustum points that it is made from.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._plans: OrderedDict[Hashable, VoxelPlan] = OrderedDict()

    def __len__(self) -> int:
        return len(self._plans)

    def get(
        self, calibration: list[Tensor], rest: Hashable, make: Callable[[], VoxelPlan]
    ) -> VoxelPlan:
        """The plan of these matrices and of ``rest`` (sizes and the like); made where it is new."""
        key = (
            rest,
            *((t.device, t.shape, t.cpu().double().numpy().tobytes()) for t in calibration),
        )
        if key not in self._plans:
            # A plan made in inference mode could not be used in training later.
            with torch.inference_mode(False):
                self._plans[key] = make()
        self._plans.move_to_end(key)
        while len(self._plans) > self.limit:
            self._plans.popitem(last=False)
        return self._plans[key]
