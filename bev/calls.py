"""Library classes with arguments, such as optimizers and image transforms, as config values.

A config file contains the class itself: ``torch.optim.AdamW``, or ``partial(torch.optim.SGD,
momentum=0.9)``. The config stores a :class:`Call`, which compares by name and arguments and is
written as ``torch.optim.SGD(momentum=0.9)`` in messages, in saved configs and on the command line
(``--train.optimizer "SGD(momentum=0.9)"``). This text is parsed, not evaluated, so reading it runs
no code: a name refers to a class of one family, defined by a library or by a module that is
already imported, and arguments are numbers, strings, lists of these, or calls of the same family.
"""

import ast
import difflib
import functools
import importlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TypeVar

from tyro.conf import Fixed, Suppress
from tyro.constructors import PrimitiveConstructorSpec

from bev.errors import ConfigError

# Markers of a field that has no flag on the command line.
FIXED, HIDDEN = Fixed, Suppress

_MAX_LENGTH = 4000  # characters of a call's text

Fill = Callable[[type, dict[str, Any]], dict[str, Any]]

_Call = TypeVar("_Call", bound="Call")


class Call:
    """A class of a family with arguments: a ``functools.partial`` that can be compared and saved.

    Attributes:
        home: name of the module that defines the family's usual classes; it is imported only when
            a class is looked up.
        family: name of the family's base class in ``home``.
        own: names of modules of this project that define further classes of the family.
        what: description of the family for messages.
        name: name of the class, with its module for classes of ``home`` and without it for others.
        args, kwargs: arguments of the class; lists become tuples.

    Raises:
        ConfigError: if the class does not belong to the family or an argument cannot be saved.
    """

    home: ClassVar[str]
    family: ClassVar[str]
    own: ClassVar[tuple[str, ...]] = ()
    what: ClassVar[str]

    def __init__(self, target: Any, /, *args: Any, **kwargs: Any) -> None:
        if isinstance(target, str):
            self.name, self._target = target, None
        else:
            self.name, self._target = self._name_of(target), target
        self.args = tuple(self._plain(value) for value in args)
        self.kwargs = {name: self._plain(kwargs[name]) for name in sorted(kwargs)}

    @property
    def target(self) -> type:
        """The class.

        Raises:
            ConfigError: if no imported class has this name.
        """
        if self._target is None:
            self._target = self._named(self.name, saved=True)
        return self._target

    @classmethod
    def of(cls: type[_Call], value: Any, where: str) -> _Call:
        """Convert a class, a ``functools.partial`` of one, or a call; ``where`` names the field."""
        try:
            if isinstance(value, cls):
                return value
            if isinstance(value, functools.partial):
                return cls(value.func, *value.args, **value.keywords)
            if isinstance(value, cls._family()):
                name = type(value).__name__
                raise ConfigError(
                    f"an object cannot be saved in a config; give the class and its arguments"
                    f" instead, as {name} or partial({name}, ...)."
                )
            if isinstance(value, str):
                raise ConfigError(f"{value!r} is not {cls.what}; give the class itself.")
            return cls(value)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error

    @classmethod
    def parse(cls: type[_Call], text: str, where: str = "", look_up: bool = True) -> _Call:
        """Create a call from its text, which is parsed, not evaluated.

        Args:
            text: the call as Python source, e.g. ``SGD(momentum=0.9)``.
            where: name of the config field, for messages.
            look_up: look the class up now. Otherwise the text comes from a saved config, and the
                class is looked up when it is needed.

        Raises:
            ConfigError: if the text is not an imported class of the family with plain arguments.
        """
        try:
            if len(text) > _MAX_LENGTH:
                raise ConfigError(f"the text is longer than {_MAX_LENGTH} characters.")
            call = cls._parsed(ast.parse(text.strip(), mode="eval").body)
            for part in call.walk():
                if look_up:
                    part._target = part._named(part.name)
                    part.name = part._name_of(part._target)
                elif not part.name.startswith(f"{cls.home}."):
                    part.name = part.name.rpartition(".")[2]  # 0.1.0 saved the module as well
            return call
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}" if where else str(error)) from error
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(
                f"{where}: {text[:80]!r} cannot be read; write Name or Name(argument=value, ...)."
            ) from error

    def build(self, *first: Any, fill: Fill = lambda target, given: given) -> Any:
        """Instantiate the class.

        Args:
            first: arguments passed to this class and to every call among its arguments, after
                their own positional arguments, as with ``functools.partial``.
            fill: function from a class and its given keyword arguments to the keyword arguments
                that the class is called with.

        Raises:
            ConfigError: if the class rejects its arguments.
        """

        def built(value: Any) -> Any:
            if isinstance(value, Call):
                return value.build(*first, fill=fill)
            return tuple(map(built, value)) if isinstance(value, tuple) else value

        args = [built(value) for value in self.args]
        kwargs = {n: built(v) for n, v in fill(self.target, dict(self.kwargs)).items()}
        try:
            return self.target(*args, *first, **kwargs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{self} cannot be created: {error}") from error

    def walk(self) -> Iterator["Call"]:
        """Iterate over this call and all calls among its arguments."""
        yield self
        waiting = [*self.args, *self.kwargs.values()]
        while waiting:
            value = waiting.pop()
            if isinstance(value, tuple):
                waiting += value
            elif isinstance(value, Call):
                yield from value.walk()

    @classmethod
    def known(cls) -> dict[str, type]:
        """The family's imported classes, by the names that they are saved under."""
        return {cls._short(child): child for child in subclasses(cls._family())}

    @classmethod
    def _family(cls) -> type:
        return getattr(importlib.import_module(cls.home), cls.family)

    @classmethod
    def _name_of(cls, target: Any) -> str:
        if not (isinstance(target, type) and issubclass(target, cls._family())):
            raise ConfigError(
                f"{target!r} is not {cls.what}, a subclass of {cls.home}.{cls.family}."
            )
        if "<locals>" in target.__qualname__:
            raise ConfigError(
                f"{target.__module__}.{target.__qualname__} is defined inside a function, so a"
                " saved config cannot refer to it; define it at the top level of a module."
            )
        return cls._short(target)

    @classmethod
    def _short(cls, target: type) -> str:
        usual = getattr(sys.modules[cls.home], target.__name__, None) is target
        return f"{cls.home}.{target.__name__}" if usual else target.__name__

    @classmethod
    def _parsed(cls: type[_Call], node: ast.expr) -> _Call:
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        name = _dotted(call.func)
        names = [keyword.arg for keyword in call.keywords]
        if None in names or len(set(names)) < len(names):
            raise ConfigError(f"{name} has ** or a repeated argument; write each argument once.")
        args = [cls._argument(value) for value in call.args]
        kwargs = {
            keyword.arg: cls._argument(keyword.value)
            for keyword in call.keywords
            if keyword.arg is not None
        }
        return cls(name, *args, **kwargs)

    @classmethod
    def _named(cls, name: str, saved: bool = False) -> type:
        """The imported class of a name.

        A module before the name counts only if it is ``home``. A name without a module may mean
        a class of ``home`` or of another module; in a saved config it always means the latter.
        """
        for module in cls.own:
            importlib.import_module(module)
        known = cls.known()
        module, _, last = name.rpartition(".")
        usual, own = known.get(f"{cls.home}.{last}"), known.get(last)
        allowed = [usual] if module == cls.home else [own] if module or saved else [usual, own]
        matches = [target for target in allowed if target is not None]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ConfigError(f"{last} may be {cls.home}.{last} or your own; add its module.")
        near = difflib.get_close_matches(last, [c.__name__ for c in known.values()], 3, 0.5)
        raise ConfigError(
            f"{name[:80]} is not {cls.what} known here"
            f"{' (similar: ' + ', '.join(dict.fromkeys(near)) + ')' if near else ''}; if it is a"
            " class of your own, import the file that defines it: --import FILE."
        )

    @classmethod
    def _argument(cls, node: ast.expr) -> Any:
        if isinstance(node, ast.Tuple | ast.List):
            return tuple(cls._argument(item) for item in node.elts)
        if isinstance(node, ast.Call | ast.Name | ast.Attribute):
            return cls._parsed(node)
        return ast.literal_eval(node)  # ValueError for anything but literals

    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, tuple | list):
            return tuple(cls._plain(item) for item in value)
        finite = type(value) is float and math.isfinite(value)
        if value is None or finite or type(value) in (bool, int, str):
            return value
        if isinstance(value, cls._family() | functools.partial | type | Call):
            return cls.of(value, "an argument")
        raise ConfigError(
            f"the argument {value!r} cannot be saved; a config accepts numbers, strings, lists of"
            f" these, and {cls.what} with its own arguments."
        )

    def __repr__(self) -> str:
        args = [repr(value) for value in self.args]
        args += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return self.name + (f"({', '.join(args)})" if args else "")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def flag(kind: type[Call]) -> PrimitiveConstructorSpec:
    """Command-line parser of a field of this kind: the flag's value is the call's text."""

    def read(texts: list[str]) -> Call:
        try:
            return kind.parse(texts[0])
        except ConfigError as error:
            raise ValueError(str(error)) from error

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="CLASS(ARGUMENT=VALUE)",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
    )


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ConfigError("the text of a call must begin with the name of a class.")


def subclasses(base: type) -> Iterator[type]:
    """Iterate over all imported subclasses of a class, at any depth."""
    children: list[type] = base.__subclasses__()
    for child in children:
        yield child
        yield from subclasses(child)
