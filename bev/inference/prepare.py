"""Preparation of a trained detector for inference: less work for the same results."""

from collections.abc import Collection

from bev.errors import ConfigError
from bev.machine import keep_freed_memory
from bev.models import Detector
from bev.models.folding import fold_batch_norms
from bev.models.heads.base import Head
from bev.models.view.base import ViewTransform
from bev.models.view.kept import KeptGeometry
from bev.models.winograd import use_winograd


def prepare_for_inference(
    model: Detector,
    heads: Collection[str] | None = None,
    winograd: bool = True,
    keep_memory: bool = False,
) -> Detector:
    """Prepare a trained detector for inference, in place; returns it.

    - Batch norms are folded into the convolutions before them.
    - Pooling plans, and the sampling positions of other view transforms, are kept while the rig
      stays; a changed calibration is noticed by its numbers.
    - Heads that are not asked for are not computed.
    - On a CPU, wide 3x3 convolutions are computed by Winograd's algorithm.

    Results are those of before up to rounding. The model can neither be trained nor saved after
    this: its tensors no longer have the names and meanings of its config.

    Args:
        model: detector, on any device.
        heads: names of the heads whose results are needed; None for all.
        winograd: use Winograd's algorithm; off for exporters, and to save memory.
        keep_memory: for a model on a CPU, let the whole process keep freed memory
            (:func:`bev.machine.keep_freed_memory`).

    Raises:
        ConfigError: if the model has no head of one of the names.
    """
    if unknown := set(heads or ()) - set(model.config.heads):
        own = ", ".join(model.config.heads)
        raise ConfigError(f"The model has no head {min(unknown)!r}; its heads are {own}.")
    model.eval().requires_grad_(False)
    fold_batch_norms(model)
    if next(model.parameters()).device.type == "cpu":
        if keep_memory:
            keep_freed_memory()
        if winograd:
            use_winograd(model)
    for module in model.modules():
        if isinstance(module, ViewTransform):
            module.kept = KeptGeometry()
    if heads is not None:
        model.left_out = frozenset(set(model.config.heads) - set(heads))
    return model


def box_heads(model: Detector) -> list[str]:
    """Names of the heads that predict boxes, in order; the first one's boxes are the model's."""
    names = model.config.heads
    return [name for name in names if type(getattr(model, name)).boxes is not Head.boxes]
