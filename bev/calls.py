"""Classes of a library with arguments, as values of a config.

A config file gives them as they are: ``torch.optim.AdamW``, or ``partial(torch.optim.SGD,
momentum=0.9)``. The config keeps a :class:`Call`, which compares by name and arguments, and is
written as ``torch.optim.SGD(momentum=0.9)``: in messages, in a saved config, and on the command
line (``--train.optimizer "SGD(momentum=0.9)"``). Reading the text runs nothing. It is parsed, not
evaluated: a name stands for a class of one family, of a library or imported by this program
already, and the arguments are numbers, strings, lists of these, or further calls of the family.
"""

import ast
import difflib
import functools
import importlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from tyro.conf import Fixed, Suppress
from tyro.constructors import PrimitiveConstructorSpec

from bev.errors import ConfigError

# Markers of a field that has no flag on the command line.
FIXED, HIDDEN = Fixed, Suppress

_LONGEST = 4000  # characters of a call's text

Fill = Callable[[type, dict[str, Any]], dict[str, Any]]


class Call:
    """A class of a family, and arguments for it: ``functools.partial`` that compares and is saved.

    Attributes:
        home: name of the module that holds the family's usual classes; it is imported when a class
            is looked up, not before.
        family: name of the class there that the class must be a subclass of.
        own: names of modules of this project that define further classes.
        what: the family in messages.
        name: of the class: with its module for the home's classes, alone for others.
        args, kwargs: its arguments; lists become tuples.

    Raises:
        ConfigError: where the class is none of the family, or an argument cannot be saved.
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
            ConfigError: where no class of this name is known.
        """
        if self._target is None:
            self._target = self._named(self.name, saved=True)
        return self._target

    @classmethod
    def of(cls, value: Any, where: str) -> "Call":
        """From a class, a ``functools.partial`` of one, or a call; ``where`` names the field."""
        try:
            if isinstance(value, cls):
                return value
            if isinstance(value, functools.partial):
                return cls(value.func, *value.args, **value.keywords)
            if isinstance(value, cls._family()):
                name = type(value).__name__
                raise ConfigError(
                    f"an object is given; give the class and its arguments instead, as {name} or"
                    f" partial({name}, ...), which a config can save."
                )
            if isinstance(value, str):
                raise ConfigError(f"{value!r} is not {cls.what}; give the class itself.")
            return cls(value)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error

    @classmethod
    def parse(cls, text: str, where: str = "", look_up: bool = True) -> "Call":
        """From its text; ``where`` names the field.

        Args:
            text: parsed, not evaluated.
            where: the field, for messages.
            look_up: whether a class must be known now; else the text is one that was saved, and its
                class is looked up when it is needed.

        Raises:
            ConfigError: where the text is anything else than a known class with plain arguments.
        """
        try:
            if len(text) > _LONGEST:
                raise ConfigError(f"the text is longer than {_LONGEST} characters.")
            call = cls._parsed(ast.parse(text.strip(), mode="eval").body)
            for part in call.walk():
                if look_up:
                    part._target = part._named(part.name)
                    part.name = part._name_of(part._target)
                elif not part.name.startswith(f"{cls.home}."):
                    part.name = part.name.rpartition(".")[2]  # 0.1.0 saved modules, too
            return call
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}" if where else str(error)) from error
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(
                f"{where}: {text[:80]!r} cannot be read; write Name or Name(argument=value, ...)."
            ) from error

    def build(self, *first: Any, fill: Fill = lambda target, given: given) -> Any:
        """Make the object.

        Args:
            first: arguments that it and all calls among its arguments get, after their own
                positional ones, as with ``functools.partial``.
            fill: from a class and the keyword arguments given for it to those that it gets.

        Raises:
            ConfigError: where the class refuses its arguments.
        """

        def made(value: Any) -> Any:
            if isinstance(value, Call):
                return value.build(*first, fill=fill)
            return tuple(map(made, value)) if isinstance(value, tuple) else value

        args = [made(value) for value in self.args]
        kwargs = {n: made(v) for n, v in fill(self.target, dict(self.kwargs)).items()}
        try:
            return self.target(*args, *first, **kwargs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{self} cannot be made: {error}") from error

    def walk(self) -> Iterator["Call"]:
        """This call and all calls among its arguments."""
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
        """The family's classes that this program has imported, by the names they are saved as."""
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
                f"{target.__module__}.{target.__qualname__} is defined within a function, where a"
                " saved config cannot name it; define it at the top of a module."
            )
        return cls._short(target)

    @classmethod
    def _short(cls, target: type) -> str:
        usual = getattr(sys.modules[cls.home], target.__name__, None) is target
        return f"{cls.home}.{target.__name__}" if usual else target.__name__

    @classmethod
    def _parsed(cls, node: ast.expr) -> "Call":
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        name = _dotted(call.func)
        names = [keyword.arg for keyword in call.keywords]
        if None in names or len(set(names)) < len(names):
            raise ConfigError(f"{name} is given ** or an argument twice; write each out once.")
        args = [cls._argument(value) for value in call.args]
        kwargs = {keyword.arg: cls._argument(keyword.value) for keyword in call.keywords}
        return cls(name, *args, **kwargs)

    @classmethod
    def _named(cls, name: str, saved: bool = False) -> type:
        """The class of a name. A module before it counts for the home alone.

        A name without one may be the home's or another's; where it was saved, another's.
        """
        for module in cls.own:
            importlib.import_module(module)
        known = cls.known()
        module, _, last = name.rpartition(".")
        usual, own = known.get(f"{cls.home}.{last}"), known.get(last)
        found = [usual] if module == cls.home else [own] if module or saved else [usual, own]
        found = [target for target in found if target is not None]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"{last} may be {cls.home}.{last} or your own; give its module, too.")
        near = difflib.get_close_matches(last, [c.__name__ for c in known.values()], 3, 0.5)
        raise ConfigError(
            f"{name[:80]} is not {cls.what} known here"
            f"{' (near: ' + ', '.join(dict.fromkeys(near)) + ')' if near else ''}; if it is your"
            " own, name the file that defines it: --import FILE."
        )

    @classmethod
    def _argument(cls, node: ast.expr) -> Any:
        if isinstance(node, ast.Tuple | ast.List):
            return tuple(cls._argument(item) for item in node.elts)
        if isinstance(node, ast.Call | ast.Name | ast.Attribute):
            return cls._parsed(node)
        return ast.literal_eval(node)  # ValueError for all but literals

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
            f"the argument {value!r} cannot be saved; a config takes numbers, strings, lists of"
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
    """Command-line form of a field of this kind: the call's text."""

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
    raise ConfigError("a call's text begins with the name of a class.")


def subclasses(base: type) -> Iterator[type]:
    """All subclasses of a class that this program has imported."""
    for child in base.__subclasses__():
        yield child
        yield from subclasses(child)
