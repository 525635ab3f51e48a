"""A backbone's first weights: timm's own, or a file's, under timm's names for the whole model.

A timm model that returns features has other names than the model with its classifier, whose
weights are published: the first dot may be an underscore, and a word may stand before all.
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
    """The weights that timm has for a model, from the hub or its cache.

    Raises:
        WeightsError: where they cannot be had; names the remedies.
    """
    try:
        return timm.create_model(name, pretrained=True, **options).state_dict()
    except Exception as error:
        raise WeightsError(
            f"Pretrained weights of {name} cannot be fetched ({first_line(error)}). Either start"
            " from random weights with --model.backbone.no-pretrained, give a local file with"
            " --model.backbone.weights FILE, or fetch them once where there is a network and bring"
            f" the cache along: python -c \"import timm; timm.create_model('{name}',"
            ' pretrained=True)" (HF_HOME names the cache).'
        ) from error


def fill_from_file(body: nn.Module, path: Path, name: str, options: dict) -> WeightsReport:
    """Load a file into a timm model's features, under timm's names or its original authors'.

    Where timm knows how to convert the names of a file that does not fit, they are converted.

    Raises:
        WeightsError: where the file cannot be read or does not fit.
    """
    state = read_weights(path)
    try:
        return fill(body, state, str(path), name)
    except WeightsError as error:
        try:
            return fill(body, _converted(state, name, options), str(path), name)
        except Exception:  # not the kind of file that timm converts
            raise error from None


def fill(body: nn.Module, state: Mapping[str, Tensor], source: str, name: str) -> WeightsReport:
    """Load a whole timm model's weights into its features; every tensor must be there.

    Raises:
        WeightsError: where a tensor is missing or misfits: it would stay random.
    """
    report = load_weights(body, _flattened(state, body), source)
    # Files of old have no counters of batches; nothing is computed from them.
    missing = [name for name in report.missing if not name.endswith("num_batches_tracked")]
    faults = [*missing, *map(str, report.mismatched)]
    if faults:
        total = len(report.matched) + len(faults)
        raise WeightsError(
            f"Backbone weights {source} do not fit {name}: {len(faults)} of {total} tensors are"
            f" missing or of another shape, the first is {faults[0]}. The file must hold the"
            " weights under timm's names."
        )
    return report.below("backbone.body.")


def _flattened(state: Mapping[str, Tensor], body: nn.Module) -> dict[str, Tensor]:
    """timm's names as the features have them: ``stages.0.`` may be ``stages_0.``."""
    here = set(body.state_dict())

    def renamed(name: str) -> str:
        joined = name.replace(".", "_", 1)
        return joined if joined in here and name not in here else name

    return {renamed(name): value for name, value in state.items()}


def _converted(state: Mapping[str, Tensor], name: str, options: dict) -> dict[str, Tensor]:
    """By the function that most of timm's model files have for this."""
    with torch.device("meta"):
        whole = timm.create_model(name, **options)
    return dict(sys.modules[type(whole).__module__].checkpoint_filter_fn(dict(state), whole))
