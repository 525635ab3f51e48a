"""Modules that the libraries of a network import at once and that detection does not use.

PyTorch's compiler takes nearly as long to import as PyTorch. torchvision, timm and operators of
``torch.library`` import it to exempt functions from compilation, which needs no compiler as long as
nothing is compiled. timm imports wandb wherever it is installed.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_COMPILER, _UTILITIES = _FAMILY = ("torch._dynamo", "torch._dynamo.utils")


class OnDemand(ModuleType):
    """Stand-in of a module that is imported when more of it is used than the given functions.

    Args:
        name: name of the module.
        functions: functions that need no import, by name.
        family: modules whose stand-ins give way together.
        package: the module has submodules.
    """

    def __init__(
        self,
        name: str,
        functions: dict[str, Callable[..., Any]],
        family: tuple[str, ...] = (),
        package: bool = False,
    ) -> None:
        super().__init__(name)
        self.__dict__.update(functions)
        self.__dict__.update(_family=(name, *family), _package=package)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and not (name == "__path__" and self._package):
            raise AttributeError(name)  # what the import system looks for in any module
        return getattr(imported(self.__name__, self._family), name)


def imported(name: str, family: Iterable[str]) -> ModuleType:
    """Import a module in place of its stand-in, and of those of its family."""
    for member in family:
        if isinstance(sys.modules.get(member), OnDemand):
            del sys.modules[member]
    return importlib.import_module(name)


@contextmanager
def on_demand() -> Iterator[None]:
    """Stand-ins, within the block, in place of modules that are not imported yet."""
    stand_ins: list[OnDemand] = []
    if _COMPILER not in sys.modules:
        stand_ins += [
            OnDemand(_COMPILER, {"disable": _disable}, _FAMILY, package=True),
            OnDemand(_UTILITIES, {"is_compile_supported": _is_compile_supported}, _FAMILY),
        ]
    if "wandb" not in sys.modules and importlib.util.find_spec("wandb") is not None:
        stand_ins.append(OnDemand("wandb", {}, package=True))
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        yield
    finally:
        for module in stand_ins:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]


def _disable(function: Any = None, recursive: bool = True, **_: Any) -> Any:
    """The function itself, in place of ``torch._dynamo.disable``: nothing compiles it."""
    return (lambda decorated: decorated) if function is None else function


def _is_compile_supported(device: str) -> bool:
    return imported(_UTILITIES, _FAMILY).is_compile_supported(device)
