"""Which names a file may use, and how they are found: by looking them up, and never by running what they name."""

from __future__ import annotations

import builtins
import importlib
import re
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from execution_dataflow.functions import OperationFunction
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation

__all__ = ["Allowed", "RefusedNameError"]

_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_NAMES = _MODULE
_SYNTAX = "'module:Name', such as 'mypackage.operations:Clean'"


# Its operations pass values on, and run nothing of anybody's.
_BRANCHES = "execution_dataflow.expansion.branches"


class RefusedNameError(Exception):
    """A name that a file may not use, or that there is not.

    Attributes
    ----------
    expected, nearest : str or None
        As for `DefinitionFault`.
    """

    def __init__(self, problem: str, *, expected: str | None = None, nearest: str | None = None) -> None:
        super().__init__(problem)
        self.expected = expected
        self.nearest = nearest


class Allowed:
    """What the caller allows a file to name.

    Parameters
    ----------
    allow : iterable of str or module
        Modules, each with those below it, of which operations may be used: ``"mypackage"``. Or single names, which may
        be plain functions too: ``"mypackage.operations:load"``.

    Raises
    ------
    TypeError, ValueError
        It is no such thing.
    """

    def __init__(self, allow: Iterable[str | ModuleType]) -> None:
        if isinstance(allow, str | ModuleType) or not isinstance(allow, Iterable):
            raise TypeError(f"allow= must be a list of modules and of names such as 'module:name', not {allow!r}")
        self._modules: dict[str, None] = {}
        self._names: dict[str, None] = {}
        for entry in allow:
            if isinstance(entry, ModuleType):
                entry = entry.__name__
            if not isinstance(entry, str):
                raise TypeError(
                    f"allow= must be a list of modules and of names such as 'module:name', not of {entry!r}"
                )
            module, colon, name = entry.partition(":")
            if _is_private(module) or not _MODULE.fullmatch(module) or (colon and not _NAMES.fullmatch(name)):
                raise ValueError(f"allow= takes modules such as 'mypackage' and names such as {_SYNTAX}, not {entry!r}")
            (self._names if colon else self._modules)[entry] = None

    def _allows_module(self, module: str) -> bool:
        if module == _BRANCHES:
            return True
        parts = module.split(".")
        return any(".".join(parts[:count]) in self._modules for count in range(1, len(parts) + 1))

    def find(self, reference: str) -> OperationFunction[..., Any] | type[Operation] | Any:
        """Return the class of operations or the function that a reference names.

        Parameters
        ----------
        reference : str
            ``"module:Name"``.

        Returns
        -------
        type, OperationFunction or callable
            A class of operations, a decorated function, or a plain function that is allowed by its name.

        Raises
        ------
        RefusedNameError
            It is not allowed, there is no such thing, or it is something else.
        """
        found = self._look_up(reference)
        kind = type(found)
        is_class = issubclass(kind, type)
        if not (issubclass(kind, OperationFunction) or (is_class and issubclass(found, Operation))):
            if is_class:
                raise RefusedNameError(f"{reference} is a class and no Operation")
            if not callable(found):
                raise RefusedNameError(f"{reference} is {kind.__name__}, and no operation or function")
            if reference not in self._names:
                raise RefusedNameError(
                    f"{reference} is a plain function; decorate it with @operation, or allow it by its name: "
                    f"allow=[{reference!r}]"
                )
        self._check_home(reference, found.function if issubclass(kind, OperationFunction) else found)
        return found

    def find_exception(self, reference: str) -> type[BaseException]:
        """Return the class of exceptions that a reference names: a built-in one by its name, or ``"module:Name"``."""
        if ":" in reference:
            found = self._look_up(reference)
        else:
            known = [name for name, value in vars(builtins).items() if _is_exception(value)]
            found = vars(builtins).get(reference)
            if found is None:
                raise RefusedNameError(
                    f"there is no built-in exception {reference!r}",
                    expected="a built-in exception, or 'module:Name'",
                    nearest=nearest_name(reference, known),
                )
        if not _is_exception(found):
            raise RefusedNameError(f"{reference} is no class of exceptions")
        self._check_home(reference, found)
        return found  # type: ignore[no-any-return] # it is one, as was just seen

    def find_class(self, reference: str) -> type[Any]:
        """Return the class that a reference names, for the type of a parameter: nobody calls it."""
        found = self._look_up(reference)
        if not issubclass(type(found), type):
            raise RefusedNameError(f"{reference} is no class")
        self._check_home(reference, found)
        return found  # type: ignore[no-any-return] # it is one, as was just seen

    def _look_up(self, reference: str) -> Any:
        module, colon, names = reference.partition(":")
        if not colon or not _MODULE.fullmatch(module) or not _NAMES.fullmatch(names):
            head, _, tail = reference.rpartition(".")
            meant = f"{head}:{tail}" if not colon and head and _MODULE.fullmatch(reference) else None
            raise RefusedNameError(f"{reference!r} names nothing", expected=_SYNTAX, nearest=meant)
        if _is_private(module) or _is_private(names):
            raise RefusedNameError(f"{reference!r} has a name with two underscores, which no file may use")
        if reference not in self._names and not self._allows_module(module):
            allowed = [*self._modules, *self._names]
            raise RefusedNameError(
                f"{reference} is not allowed; if it may be used, add {module!r} to allow=",
                expected=f"something of {', '.join(allowed)}" if allowed else "nothing, since allow= is empty",
                nearest=nearest_name(reference, self._names) or _nearest_module(module, names, self._modules),
            )
        container: Any = self._imported(module)
        home, at = container, module
        for name in names.split("."):
            # Into classes, and not into the modules that a module has imported.
            is_container = issubclass(type(container), type) or container is home
            if is_container and container is not home:
                self._check_home(reference, container)
            members = vars(container) if is_container and hasattr(container, "__dict__") else {}
            if name not in members:
                known = [known for known, value in members.items() if _may_be_named(value)]
                raise RefusedNameError(f"{at} has no {name!r}", nearest=nearest_name(name, known))
            container, at = members[name], f"{at}.{name}"
        return container

    @staticmethod
    def _imported(module: str) -> Any:
        found = sys.modules.get(module)
        if found is not None:
            return found
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name == module or module.startswith(f"{error.name}."):
                raise RefusedNameError(f"there is no module {error.name}") from error
            raise RefusedNameError(f"the import of {module} failed: there is no module {error.name}") from error
        except (Exception, SystemExit) as error:
            raise RefusedNameError(f"the import of {module} failed: {type(error).__name__}: {error}") from error

    def _check_home(self, reference: str, found: Any) -> None:
        """What a module has only imported is not its own: who allows the module does not mean it."""
        home = getattr(found, "__module__", None)
        if reference in self._names or home == "builtins" or (isinstance(home, str) and self._allows_module(home)):
            return
        raise RefusedNameError(
            f"{reference} comes from {home}, which is not allowed; add {home!r} or {reference!r} to allow="
        )


def _is_private(dotted: str) -> bool:
    return any(part.startswith("__") for part in dotted.split("."))


def _is_exception(value: Any) -> bool:
    return issubclass(type(value), type) and issubclass(value, BaseException)


def _may_be_named(value: Any) -> bool:
    return issubclass(type(value), OperationFunction) or (
        issubclass(type(value), type) and issubclass(value, Operation | BaseException)
    )


def _nearest_module(module: str, names: str, modules: Iterable[str]) -> str | None:
    nearest = nearest_name(module, modules)
    return f"{nearest}:{names}" if nearest else None
