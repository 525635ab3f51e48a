"""Stages of a run: the parts of the model that train in each, and their learning rate factors.

Frozen parameters take no gradient: none is computed, they do not count in the gradient norm, and
the optimiser does not change them, not even by weight decay or momentum. The stage is a function of
the step, and the optimiser contains all parameters that train in any stage from the beginning: a
resumed run needs no more than its step.
"""

import bisect
import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from bev.errors import ConfigError
from bev.models.detector import Detector
from bev.models.layers import BATCH_NORMS
from bev.models.weights.parts import unknown_part, within, within_any
from bev.training.settings import StageConfig


def stage_at(starts: Sequence[int], step: int) -> int:
    """Index of the stage of a step; the last one if several start at the same step."""
    return bisect.bisect_right(starts, step) - 1


class Stages:
    """Stages of a config, for a model.

    Args:
        model: the model; parameters that initially take no gradient stay frozen in all stages.
        configs: settings of the stages, in order; the first starts at 0.

    Raises:
        ConfigError: if a stage names a part that the model does not have, or trains nothing.
    """

    def __init__(self, model: nn.Module, configs: Sequence[StageConfig]) -> None:
        self.model, self.configs = model, tuple(configs)
        named = dict(model.named_parameters())
        norms = [name for name, m in model.named_modules() if isinstance(m, BATCH_NORMS)]
        self.parameters = {name: p for name, p in named.items() if p.requires_grad}
        self.rates = []  # factors by parameter name, for each stage; 0 is frozen
        for number, config in enumerate(self.configs):
            parts = (*config.only, *config.frozen, *(part for part, _ in config.rates))
            unknown = unknown_part(named, parts) or unknown_part(
                norms, config.fixed_norms, "part with batch norms"
            )
            if unknown:
                raise ConfigError(f"train.stages, stage {number}: {unknown}")
            rates = {name: _rate(name, config) for name in self.parameters}
            if not any(rates.values()):
                raise ConfigError(f"train.stages, stage {number}: nothing is left to train.")
            self.rates.append(rates)
        signatures = zip(*(rates.values() for rates in self.rates), strict=True)
        self._members: dict[tuple[float, ...], list[nn.Parameter]] = {}
        for signature, parameter in zip(signatures, self.parameters.values(), strict=True):
            if any(signature):
                self._members.setdefault(signature, []).append(parameter)

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups of an optimiser: parameters with equal factors in every stage.

        If there are several groups, their factors are their names: ``0-0.1`` for parameters that
        are frozen at first and then train at a tenth of the rate.
        """
        if len(self._members) == 1:
            return [{"params": parameters} for parameters in self._members.values()]
        return [
            {"params": parameters, "name": "-".join(map("{:.6g}".format, signature))}
            for signature, parameters in self._members.items()
        ]

    def factors(self, stage: int) -> list[float]:
        """Factors on the learning rates of the groups in a stage."""
        return [signature[stage] for signature in self._members]

    def starts(self, total: int) -> list[int]:
        """First step of each stage, in a run of ``total`` steps.

        Raises:
            ConfigError: if a stage would start before the previous one.
        """
        starts = [
            max(math.floor(config.start * total + 0.5), 1) if config.is_fraction else config.start
            for config in self.configs
        ]
        if starts != sorted(starts):
            raise ConfigError(
                f"train.stages start at the steps {', '.join(f'{s:g}' for s in starts)} of {total};"
                " give them in order."
            )
        return [int(start) for start in starts]

    def enter(self, stage: int) -> None:
        """Let the parameters of a stage take gradients, and freeze all others.

        Also lets the model train with the adjacent frames, or without them.
        """
        if isinstance(self.model, Detector):
            self.model.temporal.left_out = not self.configs[stage].adjacent
        for name, rate in self.rates[stage].items():
            parameter = self.parameters[name].requires_grad_(rate > 0)
            if not rate:
                parameter.grad = None
        self.model.train()
        self.settle(stage)

    def settle(self, stage: int) -> None:
        """Set modules with fixed statistics to evaluation mode; call this after ``train()``."""
        _settle(self.model)
        fixed = self.configs[stage].fixed_norms
        for name, module in self.model.named_modules():
            if isinstance(module, BATCH_NORMS) and within_any(name, fixed):
                module.eval()

    def account(self, stage: int) -> str:
        """One-line summary of the parameters that train in a stage."""
        counts: dict[float, int] = {}
        for name, rate in self.rates[stage].items():
            counts[rate] = counts.get(rate, 0) + self.parameters[name].numel()
        counts[0.0] = sum(p.numel() for p in self.model.parameters()) - sum(
            count for rate, count in counts.items() if rate
        )
        parts = [
            f"{count:,} {f'train at {rate:g} times the learning rate' if rate else 'are frozen'}"
            for rate, count in sorted(counts.items(), reverse=True)
            if count
        ]
        return f"stage {stage}: of the parameters, {', '.join(parts)}"


def _rate(name: str, config: StageConfig) -> float:
    """Factor on the learning rate of a parameter; 0 if it is frozen."""
    if (config.only and not within_any(name, config.only)) or within_any(name, config.frozen):
        return 0.0
    matching = [rate for part, rate in config.rates if within(name, part)]
    return matching[-1] if matching else 1.0


def _settle(module: nn.Module) -> None:
    """Set a module to evaluation mode if none of its parameters trains."""
    parameters = list(module.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        module.eval()
        return
    for child in module.children():
        _settle(child)
