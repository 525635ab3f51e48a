"""Run-time type checker of the tests: beartype, which accepts an int for a float.

Functions without arrays in their signature are checked by beartype alone. jaxtyping's wrapper would
add nothing and binds the arguments by name and calls the checker twice; four in five calls of a
training have no arrays.

Of each function, the first ``EACH_TEST`` calls in a test are checked: the thousands that follow in
a training step through the same types and shapes. In a property test, whose examples have other
shapes, every call is checked. Triton's kernels are not wrapped.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any, ForwardRef, TypeVar, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

EACH_TEST = 4

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_counts: dict[Callable, int] = {}
_limit: float = EACH_TEST
_jaxtyped = jaxtyping.jaxtyped


def install() -> None:
    """Check the types of all calls in ``bev``; call it before ``bev`` is imported."""
    jaxtyping.jaxtyped = _typed  # the decorator that the import hook adds to every function
    jaxtyping.install_import_hook("bev", "typechecking.check")


def _typed(thing: Any = None, *, typechecker: Callable) -> Any:
    if thing is None:
        return partial(_typed, typechecker=typechecker)
    if inspect.isfunction(thing) and _is_kernel(thing):
        return thing
    if inspect.isfunction(thing) and not _names_arrays(thing):
        return _counted(thing, typechecker) if thing.__annotations__ else thing
    if dataclasses.is_dataclass(thing) and not _names_arrays(thing.__init__):
        if "__init__" in vars(thing):
            thing.__init__ = _counted(thing.__init__, typechecker)
        return thing
    if inspect.isfunction(thing) and not inspect.isgeneratorfunction(thing):
        return _counted(thing, partial(_jaxtyped, typechecker=typechecker))
    return _jaxtyped(thing, typechecker=typechecker)


def _is_kernel(function: Callable) -> bool:
    """True for a function of Triton, which compiles it with the globals of what it is given."""
    types = function.__annotations__.values()
    return any(getattr(kind, "__module__", "").startswith("triton.") for kind in types)


def start_test(every_call: bool) -> None:
    """Begin counting anew; check every call of a property test."""
    global _limit
    _limit = math.inf if every_call else EACH_TEST
    _counts.clear()


def _counted(function: Callable, check: Callable[[Callable], Callable]) -> Callable:
    """Check the first calls of a function; the check is made at the first, as most have none."""
    made = cache(lambda: check(function))

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        count = _counts.get(call, 0)
        if count >= _limit or jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        _counts[call] = count + 1
        return made()(*args, **kwargs)

    return call


def _names_arrays(function: Callable) -> bool:
    """True if an annotation contains an array's shape, or a name that jaxtyping resolves."""
    return any(map(_is_of_jaxtyping, function.__annotations__.values()))


def _is_of_jaxtyping(annotation: Any) -> bool:
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    if isinstance(annotation, str | ForwardRef | TypeVar):
        return True
    parts = annotation if isinstance(annotation, list) else get_args(annotation)
    return any(map(_is_of_jaxtyping, parts))
