"""Time of each stage of a prediction, measured within whole predictions."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bev.models import Detector
from bev.models.view.base import ViewTransform

PLAN, DECODE = "plan", "decode"
Times = dict[str, float]


@contextmanager
def timed(model: Detector) -> Iterator[Times]:
    """Yield the seconds of each stage of the predictions made within the block, summed.

    Stages are the parts of the detector by their names, ``plan`` (the geometry of the view
    transform, which ``view`` does not contain), and ``decode``. A GPU is synchronised after each
    stage, so their sum is more than the time of a whole prediction.
    """
    spent: Times = defaultdict(float)
    device = next(model.parameters(), torch.empty(0)).device
    names = ["backbone", "neck", "view", "temporal", "encoder"]
    names += [name for name in model.config.heads if name not in model.left_out]
    parts = {name: getattr(model, name) for name in names}
    views = [one for one in model.modules() if isinstance(one, ViewTransform)]

    def clocked(stage: str, work: Callable[..., Any], within: str = "") -> Callable[..., Any]:
        def run(*inputs: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            result = work(*inputs, **named)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds = time.perf_counter() - begin
            spent[stage] += seconds
            if within:
                spent[within] -= seconds
            return result

        return run

    for name, part in parts.items():
        setattr(model, name, _Timed(part, clocked(name, part), lambda f: clocked(DECODE, f)))
    for view in views:
        view.geometry_of = clocked(PLAN, view.geometry_of, "view")  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        for name, part in parts.items():
            setattr(model, name, part)
        for view in views:
            del view.geometry_of


class _Timed(nn.Module):
    """Module around another, whose calls and whose ``decode`` are timed."""

    def __init__(
        self,
        inner: nn.Module,
        call: Callable[..., Any],
        decode: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> None:
        super().__init__()
        self._known: dict[str, Any] = {"inner": inner, "call": call, "decode": decode}

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self._known["call"](*inputs, **named)

    def __getattr__(self, name: str) -> Any:
        known = self.__dict__["_known"]
        value = getattr(known["inner"], name)
        return known["decode"](value) if name == DECODE else value
