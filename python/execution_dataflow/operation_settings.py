"""What few operations are given and none has to: time limits, limits on what runs together, and what failure means.

These options share one record, so that an operation without them has no field more than before, and reading a million
operations costs one look at each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any, overload

from execution_dataflow.caching.policy import CachePolicy, checked_cache
from execution_dataflow.errors import GraphError
from execution_dataflow.rate_limits import RateLimit

__all__ = ["DEFAULT_SETTINGS", "SETTINGS", "OperationSettings", "Setting", "collect_settings"]


@dataclass(frozen=True, slots=True, eq=False)
class OperationSettings:
    """The options of an operation that few have, checked.

    Parameters
    ----------
    timeout_seconds : float, optional
        The longest that one attempt may take.
    resources : mapping of str to float
        What it holds of the engine's resources while it runs.
    max_concurrency : int, optional
        How many operations of its class, or of its function, may run at the same time.
    rate_limit : RateLimit, optional
        How often operations of its class, or of its function, may start.
    tags : iterable of str
        What it is known as to the limits of an engine.
    output_bytes : int, optional
        The size of its outputs, for an engine with a memory limit.
    on_failure : object, optional
        What stands in for its outputs when it has failed.
    always_run : bool
        Whether it runs whatever happened before.
    dynamic : bool
        Whether it returns a graph, which runs in its place.
    version : str, optional
        What its code counts as for checkpoints and caches, instead of its text.
    cache : CachePolicy, optional
        How its results are kept across runs.
    """

    timeout_seconds: float | None = None
    resources: tuple[tuple[str, float], ...] = ()
    max_concurrency: int | None = None
    rate_limit: RateLimit | None = None
    tags: tuple[str, ...] = ()
    output_bytes: int | None = None
    on_failure: Any = None
    always_run: bool = False
    dynamic: bool = False
    version: str | None = None
    cache: CachePolicy | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What is equal for settings that mean the same; they must be alive while their keys are compared."""
        values = (getattr(self, field.name) for field in fields(self) if field.name != "on_failure")
        # A value that stands in may be an array, which has no truth to compare.
        return (*values, None if self.on_failure is None else id(self.on_failure))

    def given(self, owner: str, name: str, value: Any) -> OperationSettings:
        """Return these settings with another value for one of them.

        Parameters
        ----------
        owner : str
            Whose it is, for messages.
        name : str
            The setting.
        value : object
            What a user gave for it.

        Returns
        -------
        OperationSettings
            The settings.

        Raises
        ------
        TypeError, ValueError, GraphError
            It is no such thing.
        """
        check = _CHECKS.get(name)
        checked: Any = value if check is None or value is None else check(f"{owner}({name}=)", value)
        return replace(self, **{name: checked})


def _positive_seconds(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number of seconds, not {value!r}")
    if not isfinite(value) or value <= 0:
        raise ValueError(f"{what} must be more than 0 seconds, not {value!r}; leave it out for no limit")
    return float(value)


def _amounts(what: str, value: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} must be a mapping such as {{'gpu': 1}}, not {value!r}")
    for name, amount in value.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"{what} has resources by name, not {name!r}")
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise TypeError(f"{what} must say how much of {name!r} as a number, not {amount!r}")
        if not isfinite(amount) or amount < 0:
            raise ValueError(f"{what} must be 0 or more of {name!r}, not {amount!r}")
    return tuple(sorted((name, float(amount)) for name, amount in value.items() if amount))


def _count(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int, not {value!r}")
    if value < 1:
        raise GraphError(f"{what} must be 1 or more, not {value}; leave it out for no limit")
    return value


def _size(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be a number of bytes, an int, not {value!r}")
    if value < 0:
        raise ValueError(f"{what} must be 0 or more, not {value}")
    return value


def _rate(what: str, value: Any) -> RateLimit:
    if not isinstance(value, RateLimit):
        raise TypeError(f"{what} must be a RateLimit, such as RateLimit(10, per_seconds=1), not {value!r}")
    return value


def _words(what: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{what} must be a list of strings, not {value!r}")
    words = tuple(dict.fromkeys(value))
    for word in words:
        if not isinstance(word, str) or not word:
            raise TypeError(f"{what} must be strings that are not empty, not {word!r}")
    return words


def _version(what: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{what} must be a str or an int, such as '2', not {value!r}")
    return str(value)


def _truth(what: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, not {value!r}")
    return value


_CHECKS = {
    "timeout_seconds": _positive_seconds,
    "resources": _amounts,
    "max_concurrency": _count,
    "rate_limit": _rate,
    "tags": _words,
    "output_bytes": _size,
    "always_run": _truth,
    "dynamic": _truth,
    "version": _version,
    "cache": checked_cache,
}

DEFAULT_SETTINGS = OperationSettings()
"""Those of nearly all operations."""

SETTINGS = tuple(field.name for field in fields(OperationSettings))
"""Their names."""


class Setting:
    """One of the settings as an attribute of an operation or of its class.

    Parameters
    ----------
    name : str
        Which one.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Any: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Return the value, of the class when asked on the class."""
        value = getattr((owner if instance is None else instance)._settings, self._name)
        return dict(value) if self._name == "resources" else value

    def __set__(self, instance: Any, value: Any) -> None:
        """Check the value and keep it."""
        own = instance.__dict__.get("_settings") or type(instance)._given_settings
        instance.__dict__["_settings"] = own.given(type(instance).__name__, self._name, value)


def collect_settings(cls: Any) -> None:
    """Move the settings that a class of operations declares as attributes into its record.

    Parameters
    ----------
    cls : type
        The class, at its creation. A property stays what it is, and is asked for each instance.

    Raises
    ------
    TypeError, ValueError, GraphError
        A value is not possible.
    """
    settings = cls._given_settings
    computed = set(cls._computed_settings)
    for name in SETTINGS:
        if name not in vars(cls):
            continue
        value = vars(cls)[name]
        if hasattr(value, "__get__") and name != "on_failure":
            computed.add(name)
        else:
            settings = settings.given(cls.__name__, name, value)
            computed.discard(name)
            delattr(cls, name)
    # A class whose first base has computed a setting inherits that, unless it is given here: then it is a plain one.
    for name in set(cls._computed_settings) - computed:
        setattr(cls, name, Setting(name))
    cls._given_settings = settings
    cls._computed_settings = tuple(sorted(computed))
    cls._settings = property(_computed) if computed else settings


def _computed(operation: Any) -> OperationSettings:
    settings = operation.__dict__.get("_settings") or type(operation)._given_settings
    for name in type(operation)._computed_settings:
        settings = settings.given(type(operation).__name__, name, getattr(operation, name))
    result: OperationSettings = settings
    return result
