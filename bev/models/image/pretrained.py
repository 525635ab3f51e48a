"""Pretrained weights of backbones: timm's own or from a file, named like the full timm model.

Published weights are those of the full model with its classifier. A timm model with
``features_only`` has slightly different names: the first dot may be an underscore, and there may be
a prefix.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from bev.errors import WeightsError
from bev.models.weights.loading import WeightsReport, first_line, load_weights, read_weights


def timm_weights(name: str, options: dict) -> dict[str, Tensor]:
    """Fetch timm's pretrained weights of a model from the hub or its cache.

    Raises:
        WeightsError: if they are not available; suggests remedies.
    """
    try:
        return timm.create_model(name, pretrained=True, **options).state_dict()
    except Exception as error:
        raise WeightsError(
            f"Pretrained weights of {name} cannot be fetched ({first_line(error)}). Either start"
            " from random weights with --model.backbone.no-pretrained, load a local file with"
            " --model.backbone.weights FILE, or fetch them once on a machine with network access"
            f" and copy the cache: python -c \"import timm; timm.create_model('{name}',"
            ' pretrained=True)" (HF_HOME names the cache).'
        ) from error


def fill_from_file(body: nn.Module, path: Path, name: str, options: dict) -> WeightsReport:
    """Load a weights file into a timm feature model.

    The names are those of timm, or names that timm can convert, such as those of the authors.

    Raises:
        WeightsError: if the file cannot be read or does not fit.
    """
    state = read_weights(path)
    try:
        return fill(body, state, str(path), name)
    except WeightsError as error:
        try:
            return fill(body, _converted(state, name, options), str(path), name)
        except Exception:  # timm cannot convert the file
            raise error from None


def fill(body: nn.Module, state: Mapping[str, Tensor], source: str, name: str) -> WeightsReport:
    """Load the weights of a full timm model into a feature model, which must be complete.

    Raises:
        WeightsError: if a tensor is missing or has another shape, and would remain random.
    """
    report = load_weights(body, _flattened(state, body), source)
    # Old files lack the batch counters, which have no effect.
    missing = [name for name in report.missing if not name.endswith("num_batches_tracked")]
    faults = [*missing, *map(str, report.mismatched)]
    if faults:
        total = len(report.matched) + len(faults)
        raise WeightsError(
            f"Backbone weights {source} do not fit {name}: {len(faults)} of {total} tensors are"
            f" missing or have another shape; the first is {faults[0]}. The file must contain the"
            " weights under timm's names."
        )
    return report.below("backbone.body.")


def _flattened(state: Mapping[str, Tensor], body: nn.Module) -> dict[str, Tensor]:
    """Rename tensors to the names of the feature model: ``stages.0.`` may be ``stages_0.``."""
    names = set(body.state_dict())

    def renamed(name: str) -> str:
        joined = name.replace(".", "_", 1)
        return joined if joined in names and name not in names else name

    return {renamed(name): value for name, value in state.items()}


def _converted(state: Mapping[str, Tensor], name: str, options: dict) -> dict[str, Tensor]:
    """Convert names with ``checkpoint_filter_fn``, which most timm model files define."""
    with torch.device("meta"):
        model = timm.create_model(name, **options)
    return dict(sys.modules[type(model).__module__].checkpoint_filter_fn(dict(state), model))
